# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules about HA's groups, maintenance and moves by hand, where the server has rules."""

from __future__ import annotations

from .dances import DANCES as BASE
from .dances import HA_GUESTS, NO_GUESTS, NO_HA, NODES, SSH, UNDER_HA, Dance, Parameters

# a watchdog of a second fires on a machine that is busy
SCALE = 20
_FIRST = {name: value for name, value in BASE["cluster"].steps[0].items() if name != "token_coefficient"}
CLUSTER = (
    ("cluster", _FIRST),
    ("cluster_member", BASE["cluster_member"].steps[0]),
    *BASE["guests"].before,
    HA_GUESTS,
    UNDER_HA,
)
GROUP: Parameters = {
    "name": "web",
    "nodes": {"pve1": 2, "pve2": 1},
    "restricted": True,
    "nofailback": True,
    "resources": ["vm:101", "vm:102"],
    "comment": "hello",
}
RUNNING = ("ha_resources", {"resources": [{"sid": "vm:101", "state": "started"}]})
MAINTENANCE: Parameters = {"node": "pve1", "nodes": NODES, **SSH}

MOVES: dict[str, Dance] = {
    "guest_migration": Dance(
        (
            {"guest": 101, "target": "pve2", "timeout": 60},
            {"guest": 101, "target": "pve1", "relocate": True},
            {"guest": 103, "target": "pve2", "with_local_disks": True, "target_storage": "tank"},
            {"guest": 103, "target": "pve1", "with_local_disks": True},
        ),
        before=(
            RUNNING,
            ("ha_resources", {"resources": [{"sid": "vm:103", "state": "absent"}]}),
            ("guests", {"guests": [{"vmid": 103, "node": "pve1", "started": True}]}),
        ),
        after=(
            ("guests", {"guests": [{"vmid": 103, "node": "pve1", "started": False}]}),
            ("ha_resources", {"resources": [{"sid": "vm:103", "state": "stopped"}]}),
        ),
    ),
    "node_maintenance": Dance(
        (
            {**MAINTENANCE, "state": "enabled", "timeout": 60},
            {**MAINTENANCE, "state": "disabled", "wait": True},
        ),
        # the manager may still balance them
        after=(("ha_info", {"wait_for_rest": True, "timeout": 300}), NO_HA, NO_GUESTS),
    ),
}

DANCES: dict[str, Dance] = {
    "ha_groups": Dance(
        (
            {"groups": [GROUP]},
            {"groups": [{**GROUP, "nofailback": False, "restricted": False, "comment": "", "nodes": {"pve2": 1}}]},
            {"groups": [{"name": "web", "add_resources": ["vm:103"], "remove_resources": ["vm:101"]}], "wait": False},
            {
                "groups": [{"name": "other", "nodes": {"pve1": 0}, "resources": ["vm:101"]}],
                "purge": True,
                "purge_limit": "100%",
            },
            {"groups": [{"name": "other", "state": "absent"}], "timeout": 60},
        ),
        before=CLUSTER,
    ),
    "ha_rules": Dance(
        (
            {
                "rules": [
                    {
                        "name": "apart",
                        "type": "resource-affinity",
                        "affinity": "negative",
                        "resources": ["vm:101", "vm:103"],
                    }
                ],
                "wait": True,
                "timeout": 60,
            },
            {"rules": [{"name": "apart", "remove_resources": ["vm:103"], "add_resources": ["vm:102"]}]},
            {"rules": [], "purge": True, "purge_limit": "100%"},
        )
    ),
    **MOVES,
}
