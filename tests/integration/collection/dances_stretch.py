# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dance of Ceph's stretch mode, on a cluster of three nodes: two sites and a third place."""

from __future__ import annotations

from .dances import DANCES as BASE
from .dances import SSH, Dance, Parameters

HOSTS = 3
NODES = [{"node": f"pve{n}", "address": f"{{node{n}}}", "host_key": f"{{ssh_host_key{n}}}"} for n in (1, 2, 3)]
SHELL: Parameters = {**SSH, "nodes": NODES}
THIRD: Parameters = {
    **BASE["cluster_member"].steps[0],
    **{"node": "pve3", "address": "{node3}", "fingerprint": "{fingerprint3}", "host_key": "{ssh_host_key3}"},
    "links": [{"number": 0, "address": "{node3}"}, {"number": 1, "address": "{link1_3}"}],
    "nodeid": 8,
}
BUCKETS = [
    *({"name": f"dc{n}", "type": "datacenter", "location": {"root": "default"}} for n in (1, 2)),
    *({"name": f"pve{n}", "type": "host", "location": {"datacenter": f"dc{n}"}} for n in (1, 2)),
]

DANCES: dict[str, Dance] = {
    "ceph_stretch": Dance(
        (
            {
                **SHELL,
                "monitors": {"pve1": "dc1", "pve2": "dc2", "pve3": "office"},
                "tiebreaker": "pve3",
                "rule": "stretch_rule",
                "type": "datacenter",
            },
        ),
        before=(
            ("cluster", BASE["cluster"].steps[0]),
            ("cluster_member", BASE["cluster_member"].steps[0]),
            ("cluster_member", THIRD),
            ("ceph_install", {**SHELL, "release": "squid", "repository": "no-subscription"}),
            ("ceph_config", {"network": "{mgmt}"}),
            ("ceph_monitors", {"monitors": [{"node": f"pve{n}"} for n in (1, 2, 3)]}),
            ("ceph_crush", {**SHELL, "buckets": BUCKETS}),
            ("ceph_osds", {"osds": [{"node": f"pve{n}", "devices": {"model": "SSD-A"}} for n in (1, 2)]}),
            (
                "ceph_crush",
                {
                    **SHELL,
                    "rules": [
                        {
                            "name": "stretch_rule",
                            "across": "datacenter",
                            "copies_in_each": 2,
                            "failure_domain": "osd",
                        }
                    ],
                },
            ),
        ),
    ),
}
