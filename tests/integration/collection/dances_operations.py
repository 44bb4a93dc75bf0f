# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of what is done to nodes in operation: maintenance, disks that are replaced, upgrades."""

from __future__ import annotations

from ...packages import ask_public_repositories
from ...stacks import RunningStack
from .dances import DANCES as BASE
from .dances import GONE, MAKE_TANK, NODES, SSH, Dance, Parameters, guest, guests
from .dances_stretch import THIRD

VERSION = "9.2.4"
HOSTS = 3
# the HA manager's watchdog is armed while it has nodes in maintenance
SCALE = 25
SHELL: Parameters = {**SSH, "nodes": NODES}
CLUSTER = ("cluster", BASE["cluster"].steps[0])
JOIN = ("cluster_member", BASE["cluster_member"].steps[0])
EMPTY: Parameters = {
    **SHELL,
    **{"node": "pve1", "others": "migrate", "guests": {"106": "shutdown"}, "note": "{directory}/maintenance.json"},
    **{"ceph_noout": True, "shutdown_timeout": 60, "recall": True, "on_failure": "stay"},
}


def prepare(stack: RunningStack) -> None:
    """Lists of packages, as the daily look of a node brings them."""
    ask_public_repositories(stack, "pve1", "pve2")


DANCES: dict[str, Dance] = {
    "node_maintenance": Dance(
        ({**EMPTY, "state": "enabled"}, {**EMPTY, "state": "disabled"}),
        before=(CLUSTER, JOIN, MAKE_TANK, guests(guest(105, started=True), guest(106, started=True))),
        after=(guests({"vmid": 105, **GONE}, {"vmid": 106, **GONE}),),
    ),
    "zfs_replace": Dance(
        (
            {**SHELL, "node": "pve2", "pool": "tank", "device": "/dev/sdb", "by": "/dev/nvme0n1", "timeout": 60},
            {
                **SHELL,
                **{"node": "pve2", "pool": "tank", "device": "/dev/nvme0n1", "by": {"model": "SSD-A"}},
                **{"allow_raid_controller": True, "wait": True},
            },
        ),
    ),
    "apt_upgrade": Dance(
        (
            {**SHELL, "node": "pve1", "state": "upgraded", "release": "9", "reboot": "never", "timeout": 60},
            {**SHELL, "node": "pve2", "reboot": "if_needed", "allow_running_guests": True, "timeout": 120},
        ),
    ),
    "cluster_member": Dance(
        (
            {
                **SSH,
                **{"node": "pve3", "address": "{node3}", "state": "absent", "shutdown": True, "members": NODES},
                **{"trim": ["storages", "replication", "firewall", "mappings"], "assume": ["guests"], "timeout": 60},
            },
        ),
        before=(("cluster_member", THIRD),),
    ),
}
