# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HA engine in virtual time, driven by scenario directories."""

from agentstack.sim.simulator import SimResult, run_scenario

__all__ = ["SimResult", "run_scenario"]
