# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's configuration: of the datacenter, of nodes and of guests (facts §19).

It is kept, checked and answered like on a real node; packets are not filtered.
"""
