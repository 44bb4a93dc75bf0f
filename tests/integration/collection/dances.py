# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run-book dance of every module: create, again, change, again, delete, again.

One entry a module. ``steps`` are the parameters of each step that changes something; after each the same parameters are
given again and must change nothing. A module that only reads has steps that change nothing (``reads``). The dances
run in this order on one cluster of two nodes, so that a later one finds what it builds on; ``before`` and ``after`` are
other modules' parameters that put things in place and away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._cluster_info import DETAILS

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Dance:
    """Steps of one module."""

    steps: tuple[Parameters, ...]
    before: tuple[tuple[str, Parameters], ...] = ()
    after: tuple[tuple[str, Parameters], ...] = ()
    reads: bool = False


def guest(vmid: int, **more: Any) -> Parameters:
    return {"vmid": vmid, "node": "pve1", "memory": 64, "disks": {"scsi0": "tank:1"}, **more}


def guests(*elements: Parameters) -> tuple[str, Parameters]:
    return "guests", {"guests": list(elements)}


TANK: Parameters = {
    "node": "*",
    "name": "tank",
    "raidlevel": "mirror",
    "devices": {"model": "SSD-A", "count": 2},
    "storage": True,
    "ashift": 12,
    "compression": "lz4",
}
MAKE_TANK = ("zfs_pools", {"pools": [TANK]})
GONE = {"state": "absent", "destroy": True}
HA_GUESTS = guests(guest(101), guest(102), guest(103))
NO_GUESTS = guests(*({"vmid": vmid, **GONE} for vmid in (101, 102, 103)))
UNDER_HA = (
    "ha_resources",
    {"resources": [{"sid": f"vm:{vmid}", "state": "stopped"} for vmid in (101, 102, 103)]},
)
NO_HA = ("ha_resources", {"resources": [], "purge": True, "purge_limit": "100%"})
AFFINITY: Parameters = {
    "name": "web",
    "type": "node-affinity",
    "resources": ["vm:101"],
    "nodes": {"pve1": 2, "pve2": 1},
}

LINK_0: Parameters = {"number": 0, "addresses": {"pve1": "{node1}", "pve2": "{node2}"}}
LINK_1: Parameters = {"number": 1, "addresses": {"pve1": "{link1_1}", "pve2": "{link1_2}"}}
SSH: Parameters = {
    "ssh_user": "root",
    "ssh_port": 2222,
    "ssh_password": "{password}",
    "ssh_private_key_file": None,
    "ssh_known_hosts": None,
    "ssh_timeout": 60,
}
NODES = [{"node": f"pve{n}", "address": f"{{node{n}}}", "host_key": f"{{ssh_host_key{n}}}"} for n in (1, 2)]
LINKS: Parameters = {"nodes": NODES, "settle": 0, **SSH}

# the placeholders {node1}, {link2_1} … are addresses and fingerprints of the test's own stack
DANCES: dict[str, Dance] = {
    "preflight": Dance(
        (
            {
                "cluster": "dance",
                "nodes": [
                    {
                        "name": f"pve{number}",
                        "address": f"{{node{number}}}",
                        "fingerprint": f"{{fingerprint{number}}}",
                        "user": "root@pam",
                        "password": "{password}",
                        "links": [{"number": 0, "address": f"{{node{number}}}"}],
                        "where": f"host_vars/pve{number}",
                        "host_key": f"{{ssh_host_key{number}}}",
                        "voter": False,
                        "site": "dc1",
                    }
                    for number in (1, 2)
                ],
                "zfs_pools": [TANK],
                "ceph_osds": [{"node": "*", "devices": {"type": "nvme"}}],
                "networks": [{"name": "migration", "cidr": "{ring1}", "min_speed": 1000, "nodes": ["pve1"]}],
                "guests": [{"vmid": 101, "node": "pve1", "memory": 64, "disks": {"scsi0": "tank:1"}}],
                "storages": [{"storage": "tank", "type": "zfspool"}],
                "interfaces": [{"node": "*", "name": "bond0.20", "type": "vlan", "cidrs": {"pve1": "192.0.2.11/24"}}],
                "replication_jobs": [{"guest": 101, "target": "pve2"}],
                "ceph": True,
                "witness": True,
                "load_max": 75,
                "severity": {"clock": "warning"},
                "measure": True,
                "packets": 3,
                **SSH,
            },
        ),
        reads=True,
    ),
    "cluster": Dance(
        (
            {
                "name": "dance",
                "links": [{"number": 0, "address": "{node1}", "priority": 5}, {"number": 1, "address": "{link1_1}"}],
                "votes": 1,
                "nodeid": 1,
                "token_coefficient": 150,
                "timeout": 60,
            },
        )
    ),
    "cluster_member": Dance(
        (
            {
                "node": "pve2",
                "address": "{node2}",
                "fingerprint": "{fingerprint2}",
                "user": "root@pam",
                "password": "{password}",
                "peer_password": "{password}",
                "links": [{"number": 0, "address": "{node2}"}, {"number": 1, "address": "{link1_2}"}],
                "votes": 1,
                "nodeid": 7,
                "timeout": 60,
                "state": "present",
                "method": "ssh",
                "host_key": "{ssh_host_key2}",
                "members": NODES[:1],
                "trim": [],
                **SSH,
            },
        )
    ),
    "cluster_info": Dance(({}, {"resources": True, "details": [*DETAILS]}), reads=True),
    "corosync_links": Dance(
        (
            {**LINKS, "links": [LINK_0, {**LINK_1, "priority": 20}], "allow_interruption": False, "timeout": 60},
            {
                **LINKS,
                "links": [LINK_0, {"number": 1, "state": "absent"}],
                "ha_timeout": 60,
                "allow_interruption": True,
            },
            {**LINKS, "links": [LINK_0, {**LINK_1, "state": "present"}], "purge": True, "purge_limit": "100%"},
        )
    ),
    "witness": Dance(
        (
            {
                "address": "{witness}",
                "state": "present",
                "host_key": "{witness_host_key}",
                "password": "{password}",
                "network": "{mgmt}",
                "force": True,
                "nodes": NODES,
                "timeout": 60,
                **SSH,
            },
            {"state": "absent", "nodes": NODES, **SSH},
        )
    ),
    "cluster_options": Dance(
        (
            {"options": {"ha": {"shutdown_policy": "migrate"}, "max_workers": 4, "registered-tags": ["b", "a"]}},
            {"options": {"ha": {"shutdown_policy": "freeze"}, "description": "hello", "registered-tags": ["a"]}},
            {"absent": ["ha", "description", "max_workers", "registered-tags"]},
        )
    ),
    "storages": Dance(
        (
            {
                "storages": [
                    {
                        "storage": "scratch",
                        "type": "dir",
                        "path": "/srv/scratch",
                        "content": ["images", "backup"],
                        "nodes": ["pve1"],
                        "prune_backups": {"keep-last": 3},
                    }
                ]
            },
            {
                "storages": [
                    {"storage": "scratch", "content": ["images"], "nodes": [], "disable": True, "prune_backups": {}},
                    {"storage": "local", "state": "ignore"},
                ],
                "update_secrets": True,
            },
            {"storages": [], "purge": True, "purge_limit": "100%", "allow_removal_in_use": True},
        )
    ),
    "zfs_pools": Dance(
        (
            {"pools": [TANK], "timeout": 60},
            {
                "pools": [
                    TANK,
                    {
                        "node": "pve2",
                        "name": "spare",
                        "raidlevel": "single",
                        "devices": ["/dev/nvme0n1"],
                        "allow_raid_controller": True,
                    },
                ]
            },
            {"pools": [{"node": "pve2", "name": "spare", **GONE}, {"node": "*", "name": "tank", **GONE}]},
        )
    ),
    "guests": Dance(
        (
            {
                "guests": [
                    guest(
                        101,
                        type="qemu",
                        name="web",
                        cores=1,
                        sockets=1,
                        cpu="host",
                        ostype="l26",
                        scsihw="virtio-scsi-single",
                        agent="1",
                        boot="order=scsi0",
                        balloon=32,
                        tags=["b", "a"],
                        nets={"net0": "virtio,bridge=vmbr0"},
                        options={"tablet": "0"},
                        started=True,
                    )
                ],
                "timeout": 60,
            },
            {
                "guests": [
                    guest(
                        101,
                        name="www",
                        cores=2,
                        tags=["a"],
                        nets={"net0": "virtio,bridge=vmbr0,firewall=1"},
                        disks={"scsi0": "tank:2"},
                        options={"tablet": ""},
                        description="notes",
                        onboot=True,
                        protection=False,
                        started=False,
                    )
                ]
            },
            {"guests": [{"vmid": 101, **GONE}]},
        ),
        before=(MAKE_TANK,),
    ),
    "replication_jobs": Dance(
        (
            {"jobs": [{"guest": 101, "target": "pve2", "rate": 50, "number": 3}]},
            {
                "jobs": [{"guest": 101, "target": "pve2", "schedule": "*/5", "comment": "hello", "disable": True}],
                "wait": True,
                "timeout": 60,
            },
            {"jobs": [{"guest": 101, "target": "pve2", "schedule": "", "comment": ""}]},
            {"jobs": [{"guest": 101, "target": "pve2", "state": "absent"}], "purge": True, "purge_limit": "100%"},
        ),
        before=(MAKE_TANK, HA_GUESTS),
    ),
    "replication_info": Dance(({}, {"guests": [101], "max_lag": 3600}), reads=True),
    "disks_info": Dance(
        (
            {},
            {"nodes": ["pve1"], "free": True, "smart": True, "match": {"type": "nvme", "min_size": "1G"}},
            {"free": False, "match": {"model": "*", "vendor": "*", "serial": "*", "max_size": "1T"}},
        ),
        reads=True,
    ),
    "ha_resources": Dance(
        (
            {
                "resources": [{"sid": "vm:101", "state": "started"}, {"sid": "vm:102", "state": "stopped"}],
                "timeout": 60,
            },
            {
                "resources": [
                    {"sid": "vm:101", "state": "stopped", "max_restart": 2, "max_relocate": 0, "comment": "hello"},
                    {"sid": "vm:102", "failback": False},
                ],
                "wait": True,
            },
            {"resources": [{"sid": "vm:101", "state": "absent"}], "purge": True, "purge_limit": "100%"},
        ),
        before=(HA_GUESTS,),
    ),
    "ha_rules": Dance(
        (
            {"rules": [AFFINITY, {"name": "off", "nodes": {"pve2": 1}, "resources": ["vm:101"], "disabled": True}]},
            {
                "rules": [
                    {**AFFINITY, "resources": ["vm:102"], "strict": True, "comment": "hello", "failback": False},
                    {
                        "name": "apart",
                        "type": "resource-affinity",
                        "affinity": "negative",
                        "resources": ["vm:101", "vm:103"],
                    },
                ],
                "purge": True,
                "purge_limit": "100%",
            },
            {"rules": [{"name": "web", "state": "absent"}, {"name": "apart", "state": "absent"}]},
        ),
        before=(UNDER_HA,),
    ),
    "ha_info": Dance(({"wait_for_rest": True, "timeout": 60},), after=(NO_HA, NO_GUESTS), reads=True),
}
