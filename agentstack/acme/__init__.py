# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's ACME client: `accounts` of the cluster, `orders` for a node's certificate, `proofs` of its domains."""
