# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules for firewalls, on Proxmox VE 8.4."""

from __future__ import annotations

from .dances_firewall import DANCES as ON_9

VERSION = "8.4"
LONG = True

DANCES = ON_9
