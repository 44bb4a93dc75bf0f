# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that ask no server: they read what the tasks of their run have noted."""

from __future__ import annotations

from .dances import Dance

HOSTS = 1
PLAN = "{directory}/plan.json"

DANCES: dict[str, Dance] = {
    "run_plan": Dance(({"save": PLAN}, {"compare": PLAN}, {"done": True}), before=(("cluster_info", {}),), reads=True),
    "run_end": Dance(({},), reads=True),
}
