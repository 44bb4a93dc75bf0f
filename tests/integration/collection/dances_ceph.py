# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules about Ceph, on a cluster of two nodes."""

from __future__ import annotations

from .dances import DANCES as BASE
from .dances import NODES, SSH, Dance, Parameters

CLUSTER = (("cluster", BASE["cluster"].steps[0]), ("cluster_member", BASE["cluster_member"].steps[0]))
POOL: Parameters = {"name": "vm", "size": 2, "min_size": 1, "allow_data_loss": True}
INSTALL: Parameters = {"release": "squid", "repository": "no-subscription", **SSH}

DANCES: dict[str, Dance] = {
    "ceph_install": Dance(({**INSTALL, "nodes": NODES[:1]}, {**INSTALL, "nodes": NODES}), before=CLUSTER),
    "ceph_config": Dance(
        (
            {
                "network": "{mgmt}",
                "cluster_network": "{ring1}",
                "size": 2,
                "min_size": 1,
                "cephx": True,
                "node": "pve1",
            },
        )
    ),
    "ceph_monitors": Dance(
        (
            {"monitors": [{"node": "pve1", "state": "present"}], "replace_lost": True, "timeout": 60},
            {
                "monitors": [{"node": "pve1"}, {"node": "pve2", "id": "second", "address": "{node2}"}],
                "allow_even": True,
            },
            {"monitors": [{"node": "pve1"}], "purge": True, "purge_limit": "100%"},
        )
    ),
    "ceph_managers": Dance(
        (
            {"managers": [{"node": "pve1"}, {"node": "pve2", "id": "standby"}], "timeout": 60},
            {"managers": [{"node": "pve2", "id": "standby", "state": "absent"}]},
            {"managers": [{"node": "pve1"}, {"node": "pve2"}]},
            {"managers": [{"node": "pve1"}], "purge": True, "purge_limit": "100%"},
        )
    ),
    "ceph_osds": Dance(
        (
            {
                "osds": [
                    {
                        "node": "pve1",
                        "devices": ["/dev/nvme0n1"],
                        "device_class": "nvme",
                        "encrypted": True,
                        "db_device": "/dev/sdb",
                        "db_size": 10,
                        "wal_device": "/dev/sdc",
                        "wal_size": 1,
                    }
                ],
                "timeout": 60,
            },
            {
                "osds": [
                    {"node": "*", "devices": {"type": "nvme"}, "osds_per_device": 2, "allow_raid_controller": True},
                ]
            },
            {"osds": [{"node": "pve2", "devices": {"model": "SSD-A", "count": 1}}], "replace_lost": True},
            {"osds": [{"node": "pve2", "devices": ["/dev/sdc"], "replaces": 3}]},
            {"osds": [{"node": "pve2", "id": 4, "state": "absent", "allow_undersized": True}]},
        )
    ),
    "ceph_crush": Dance(
        (
            {
                **SSH,
                "nodes": NODES,
                "buckets": [
                    {"name": "dc1", "type": "datacenter", "location": {"root": "default"}, "state": "present"},
                    {"name": "pve1", "type": "host", "location": {"datacenter": "dc1"}},
                ],
                "allow_data_movement": False,
            },
            {
                **SSH,
                "nodes": NODES,
                "rules": [
                    {"name": "fast", "root": "default", "failure_domain": "osd", "device_class": "nvme"},
                    {"name": "sites", "across": "host", "copies_in_each": 1, "failure_domain": "osd"},
                ],
            },
            {
                **SSH,
                "nodes": NODES,
                "buckets": [
                    {"name": "pve1", "type": "host", "location": {"root": "default"}},
                    {"name": "dc1", "type": "datacenter", "state": "absent"},
                ],
                "allow_data_movement": True,
                "rules": [{"name": "sites", "state": "absent"}],
            },
        )
    ),
    "ceph_lost_node": Dance(
        ({**SSH, "nodes": NODES, "node": "pve9", "lost": True, "assume_empty": True},),
        before=(
            (
                "ceph_crush",
                {
                    **SSH,
                    "nodes": NODES,
                    "buckets": [{"name": "pve9", "type": "host", "location": {"root": "default"}}],
                },
            ),
        ),
    ),
    "ceph_flags": Dance(
        ({"flags": {"noout": True, "noscrub": True}, "timeout": 60}, {"flags": {"noout": False, "noscrub": False}})
    ),
    "ceph_pools": Dance(
        (
            {
                "pools": [
                    {
                        **POOL,
                        "pg_num": 32,
                        "pg_num_min": 16,
                        "crush_rule": "replicated_rule",
                        "application": "rbd",
                        "pg_autoscale_mode": "warn",
                        "target_size": "10G",
                        "target_size_ratio": 0.2,
                        "storage": True,
                        "allow_undersized": True,
                    },
                    {**POOL, "name": "scratch", "state": "present"},
                ],
                "timeout": 60,
            },
            {"pools": [{**POOL, "min_size": 2, "pg_autoscale_mode": "on", "target_size": "20G"}]},
            {"pools": [{"name": "scratch", "state": "absent", "destroy": True}]},
        )
    ),
    "ceph_info": Dance(
        (
            {
                **{"wait_for_health": True, "tolerate": ["POOL_NO_REDUNDANCY"], "tolerate_offline": True},
                **{"hosts": True, "timeout": 60},
            },
        ),
        reads=True,
    ),
}
