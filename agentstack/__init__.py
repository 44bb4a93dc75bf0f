# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents that stand in for Proxmox VE nodes and Proxmox Backup Servers on one machine."""
