# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API tree of Proxmox Backup Server: one module a branch (facts §20)."""
