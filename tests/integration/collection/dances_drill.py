# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules around drills: looking ahead, waiting for rest, power, and what a user feels."""

from __future__ import annotations

from .dances import HA_GUESTS, NO_GUESTS, NO_HA, NODES, SSH, Dance, Parameters
from .dances_ha import CLUSTER

DRILL: Parameters = {
    "restore": True,
    "cluster": "dance",
    "directory": "{directory}/drills",
    "faults": {"power": {"break": ["false"], "mend": ["true"]}},
    "nodes": [
        {**node, "site": "dc1", "voter": False, "links": {"1": "127.0.0.1"}, "power": {"on": ["true"]}}
        for node in NODES
    ],
    **SSH,
}

DANCES: dict[str, Dance] = {
    "failure_forecast": Dance(
        (
            {},
            {
                "losses": [{"nodes": ["pve1", "pve2"]}],
                "voters": [],
                "host_memory": "2G",
                "osd_memory": "4G",
                "zfs_cache": "2G",
            },
        ),
        before=CLUSTER,
        after=(NO_HA, NO_GUESTS),
        reads=True,
    ),
    "wait_for_rest": Dance(
        (
            {},
            {"areas": ["nodes", "ha"], "tolerate": ["POOL_NO_REDUNDANCY"], "away": ["pve2"], "timeout": 60},
        ),
        reads=True,
    ),
    "guest_probe": Dance(
        (
            {
                "guests": [
                    {"vmid": 101},
                    {"vmid": 102, "command": ["false", "{{vmid}}"], "record": "/nonexistent/{{vmid}}"},
                    {"vmid": 103, "ping": "127.0.0.1", "url": "http://127.0.0.1:1/"},
                ],
                "probe_timeout": 1,
                "record_age": 3,
            },
        ),
        before=(HA_GUESTS,),
        after=(NO_GUESTS,),
        reads=True,
    ),
    "node_power": Dance(
        (
            {
                "action": "status",
                "nodes": [
                    {
                        "node": "pve1",
                        "on": ["false"],
                        "off": ["false"],
                        "cycle": ["false"],
                        "status": ["echo", "{{node}} is on"],
                        "ipmi": {"host": "127.0.0.1", "user": "u", "password": "p", "interface": "lan"},
                    }
                ],
                "confirm": False,
                "timeout": 10,
            },
        ),
        reads=True,
    ),
    "drill": Dance(
        # nothing was left broken: breaking things is for the drills of their own
        (
            {
                **DRILL,
                "scenario": "data-centre",
                "node": "pve1",
                "link": "1",
                "network": "ring1",
                "site": "dc1",
                "host": "pbs1",
                "guests": [{"vmid": 101, "ping": "127.0.0.1", "url": None, "record": None, "command": ["true"]}],
                "max_guests": 5,
                "probe_timeout": 1,
                "record_age": 1,
                "tolerate": ["OSD_DOWN"],
                "override": ["backup"],
                "max_replica_age": 60,
                "max_backup_age": 60,
                "promise_recovery": 180,
                "promise_service": 240,
                "recall": False,
                "hold": 10,
                "deadman": 60,
                "command_timeout": 10,
                "timeout": 60,
                "scale": 20,
                "confirm": False,
            },
        ),
        reads=True,
    ),
}
