# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of all modules about HA where the server has groups."""

from __future__ import annotations

from .dances import AFFINITY, Dance
from .dances import DANCES as BASE
from .dances_ha import CLUSTER, MOVES
from .dances_ha import DANCES as ON_9

VERSION = "8.4"
# a watchdog of a second fires on a machine that is busy
SCALE = 20

DANCES: dict[str, Dance] = {
    "ha_groups": Dance(
        (
            *ON_9["ha_groups"].steps[:3],
            {"groups": [{"name": "empty", "nodes": {"pve1": 0}, "restricted": True}]},
            {"groups": [], "purge": True, "purge_limit": "100%"},
        ),
        before=CLUSTER,
    ),
    "ha_rules": Dance(
        (
            {"rules": [{**AFFINITY, "failback": False}]},
            {"rules": [{**AFFINITY, "resources": ["vm:102"], "strict": True, "comment": "hello", "failback": True}]},
            {"rules": [{"name": "web", "add_resources": ["vm:101", "vm:103"], "remove_resources": ["vm:102"]}]},
            {"rules": [{"name": "web", "state": "absent"}]},
        ),
    ),
    "ha_resources": Dance(BASE["ha_resources"].steps[:1], after=(CLUSTER[-1],)),
    "ha_info": Dance(({"wait_for_rest": True, "timeout": 60},), reads=True),
    **MOVES,
}
