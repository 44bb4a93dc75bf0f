# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Software-defined networks as configuration: zones, vnets, subnets, controllers, IPAM and DNS services.

What is configured takes effect when it is applied; bridges are not made.
"""
