# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage replication: jobs, their state on the node of the guest, and what they mean for other operations."""

from agentstack.replication.jobs import Replication

__all__ = ["Replication"]
