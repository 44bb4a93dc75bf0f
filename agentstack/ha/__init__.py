# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HA manager: CRM, LRM, rules and scheduler.  Pure: time, files, locks, watchdog and guests are handed in."""

from agentstack.ha.crm import Crm
from agentstack.ha.environment import ClusterFilesError, Environment
from agentstack.ha.lrm import Lrm

__all__ = ["ClusterFilesError", "Crm", "Environment", "Lrm"]
