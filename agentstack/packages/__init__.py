# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's packages: what is installed, what its repositories offer, and upgrades (facts §18)."""
