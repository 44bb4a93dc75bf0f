# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a node's guests (facts §13)."""

from agentstack.backup.service import Backups

__all__ = ["Backups"]
