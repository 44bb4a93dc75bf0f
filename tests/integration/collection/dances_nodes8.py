# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nodes are set up with, where they are of Proxmox VE 8.4: packages come from one-line lists there."""

from __future__ import annotations

from .dances_nodes import DANCES as ON_9

VERSION = "8.4"
LONG = True

DANCES = ON_9
