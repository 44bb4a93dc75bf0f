# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's network cards: what the stack's cabling, and what is wrong with it, do to the host's connections."""
