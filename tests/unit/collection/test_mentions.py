# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What names a node that has left, without a host."""

from __future__ import annotations

from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._errors import ApiError
from ansible_collections.quorate.pve.plugins.module_utils._mentions import (
    LISTS,
    Reader,
    addresses_elsewhere,
    addresses_in_firewall,
    mentions,
)
from ansible_collections.quorate.pve.plugins.module_utils._preflight_checks import judge
from ansible_collections.quorate.pve.plugins.module_utils._preflight_look import Look, Site

ANSWERS: dict[str, Any] = {
    "/storage": [
        *({"storage": "local"}, {"storage": "there", "nodes": "pve2,pve3"}, {"storage": "own", "nodes": "pve3"}),
        {"storage": "share", "type": "nfs", "server": "192.0.2.13"},
        {"storage": "outer", "type": "rbd", "monhost": "192.0.2.12 pve3"},
    ],
    "/cluster/ha/rules": [
        {"rule": "web", "type": "node-affinity", "nodes": "pve2:2,pve3:1"},
        {"rule": "apart", "type": "resource-affinity"},
    ],
    "/cluster/replication": [
        {"id": "100-0", "target": "pve3"},
        {"id": "100-1", "target": "pve2", "remove_job": "full"},
    ],
    "/cluster/backup": [{"id": "nightly", "node": "pve3"}, {"id": "all", "all": 1}],
    "/cluster/mapping/pci": [
        {"id": "gpu", "map": ["node=pve2,path=0000:01:00.0", "id=10de:1,node=pve3,path=0000:02:00.0"]},
        {"id": "own", "map": ["node=pve3,path=0000:03:00.0"]},
    ],
    "/cluster/sdn/zones": [
        {"zone": "vx", "type": "evpn", "nodes": "pve1,pve3", "exitnodes": "pve3"},
        {"zone": "all"},
        {"zone": "tunnel", "type": "vxlan", "peers": "192.0.2.12,192.0.2.13"},
    ],
    "/cluster/sdn/fabrics/node": [
        {"fabric_id": "spine", "node_id": "pve2", "peers": ["node=pve3,iface=wg0", "node=pve1,iface=wg0"]},
        {"fabric_id": "spine", "node_id": "pve3"},
    ],
    "/cluster/notifications/matchers": [
        {"name": "exact", "match-field": ["exact:type=pve3", "exact:hostname=pve1, pve3"]},
        {"name": "plain", "match-field": ["regex:hostname=^(pve2|pve3)$"]},
        # of whom it speaks cannot be told
        {"name": "fuzzy", "match-field": ["regex:hostname=pve[23]"], "target": ["mail-to-root"]},
        {"name": "all"},
    ],
    "/cluster/acme/plugins": [{"plugin": "standalone"}, {"plugin": "dns", "nodes": "pve2,pve3"}],
    "/cluster/metrics/server": [{"id": "here", "server": "192.0.2.13"}, {"id": "there", "server": "192.0.2.99"}],
    "/cluster/sdn/controllers": [{"controller": "bgp1", "node": "pve3"}, {"controller": "bgp2", "node": "pve2"}],
    "/access/acl": [
        {"path": "/nodes/pve3", "ugid": "eve@pve", "roleid": "PVEAuditor"},
        {"path": "/", "ugid": "adam@pve", "roleid": "PVEAdmin"},
    ],
    "/cluster/firewall/rules": [{"pos": 0, "source": "192.0.2.12"}, {"pos": 1, "dest": "192.0.2.13,192.0.2.14"}],
    "/cluster/firewall/groups": [{"group": "web"}],
    "/cluster/firewall/groups/web": [{"pos": 2, "source": "192.0.2.13"}, {"pos": 3}],
    "/cluster/firewall/ipset": [{"name": "management"}],
    "/cluster/firewall/ipset/management": [{"cidr": "192.0.2.12"}, {"cidr": "192.0.2.13/32"}],
    "/cluster/firewall/aliases": [{"name": "third", "cidr": "192.0.2.13"}],
}


class Cluster:
    """Answers, and what was written."""

    def __init__(self, *hidden: str) -> None:
        self.hidden = hidden
        self.written: list[tuple[str, str, Any]] = []
        self.read: list[str] = []

    def get(self, path: str) -> Any:
        self.read.append(path)
        if path in self.hidden:
            raise ApiError("GET", path, 403, "Permission check failed (/, Sys.Audit)")
        if path not in ANSWERS:
            raise ApiError("GET", path, 501, "there is no such path")
        return ANSWERS[path]

    def put(self, path: str, params: Any) -> None:
        self.written.append(("PUT", path, params))

    def delete(self, path: str, params: Any = None) -> None:
        self.written.append(("DELETE", path, params))


def test_what_names_a_node() -> None:
    cluster: Any = Cluster()
    found = {each.name: each for each in mentions(Reader(cluster), lambda name: name == "pve3")}
    assert sorted(cluster.read) == sorted(LISTS)
    assert {name: (each.before, each.after, each.removable) for name, each in found.items()} == {
        "storage there": ("pve2,pve3", "pve2", True),
        # a storage without any node would be one of all nodes
        "storage own": ("pve3", "", False),
        "HA rule web": ("pve2:2,pve3:1", "pve2:2", True),
        "replication job 100-0": ("pve3", "", True),
        "backup job nightly": ("pve3", "", False),
        "pci mapping gpu": (
            "node=pve2,path=0000:01:00.0; id=10de:1,node=pve3,path=0000:02:00.0",
            *("node=pve2,path=0000:01:00.0", True),
        ),
        # guests may be made for it
        "pci mapping own": ("node=pve3,path=0000:03:00.0", "", False),
        "nodes of SDN zone vx": ("pve1,pve3", "", False),
        "exitnodes of SDN zone vx": ("pve3", "", False),
        "node of SDN controller bgp1": ("pve3", "", False),
        "pve2's peers in SDN fabric spine": ("node=pve3,iface=wg0", "", False),
        "SDN fabric spine": ("pve3", "", False),
        "notification matcher exact": ("exact:hostname=pve1, pve3", "", False),
        "notification matcher plain": ("regex:hostname=^(pve2|pve3)$", "", False),
        "ACME plugin dns": ("pve2,pve3", "", False),
        "the right of eve@pve (PVEAuditor)": ("/nodes/pve3", "", False),
    }


def test_how_it_is_struck_out() -> None:
    cluster: Any = Cluster()
    read = Reader(cluster)
    found = [
        *mentions(read, lambda name: name == "pve3"),
        *addresses_in_firewall(read, "pve3", {"192.0.2.13"}),
        *addresses_elsewhere(read, "pve3", {"192.0.2.13"}),
    ]
    assert len(cluster.read) == len(set(cluster.read)), "each is read once"
    for each in found:
        if each.removable:
            each.remove(cluster)
    assert cluster.written == [
        ("PUT", "/storage/there", {"nodes": "pve2"}),
        ("PUT", "/cluster/ha/rules/web", {"nodes": "pve2:2", "type": "node-affinity"}),
        # its scheduler would wait for its target for ever
        ("DELETE", "/cluster/replication/100-0", {"force": 1}),
        ("PUT", "/cluster/mapping/pci/gpu", {"map": ["node=pve2,path=0000:01:00.0"]}),
        ("DELETE", "/cluster/firewall/ipset/management/192.0.2.13/32", None),
    ]
    assert [each.name for each in found if not each.removable] == [
        *("storage own", "backup job nightly", "pci mapping own"),
        *("nodes of SDN zone vx", "exitnodes of SDN zone vx", "node of SDN controller bgp1"),
        *("pve2's peers in SDN fabric spine", "SDN fabric spine"),
        *("notification matcher exact", "notification matcher plain", "ACME plugin dns"),
        *("the right of eve@pve (PVEAuditor)", "alias third"),
        *("firewall rule 1 of the cluster", "firewall rule 2 of security group web"),
        *("peers of SDN zone tunnel", "server of storage share", "monhost of storage outer", "metric server here"),
    ]


def test_what_may_not_be_read_is_said() -> None:
    cluster: Any = Cluster("/cluster/ha/rules", "/cluster/acme/plugins")
    read = Reader(cluster)
    assert "HA rule web" not in [each.name for each in mentions(read, lambda name: name == "pve3")]
    refused = "Permission check failed (/, Sys.Audit)"
    assert read.unread == [f"{path}: {refused}" for path in ("/cluster/ha/rules", "/cluster/acme/plugins")]
    [*told] = [each for each in judge(Site("c", [], None, unread=read.unread), {}) if each.check == "departed"]
    assert [(each.severity, each.text.rpartition("known: ")[2]) for each in told] == [
        ("info", text) for text in read.unread
    ]


def test_preflight_tells_what_names_nobody() -> None:
    cluster: Any = Cluster()
    looks = [Look({"name": name, "address": name, "where": name}) for name in ("pve1", "pve2", "pve3")]
    for look in looks:
        look.offline_member = True
    listed = {look.name for look in looks}
    for names, expected in ((listed, []), (listed - {"pve3"}, ["storage there names pve3", "storage own names pve3"])):
        strays = list(mentions(Reader(cluster), lambda name, names=names: name not in names))  # type: ignore[misc]
        found = [each for each in judge(Site("c", looks, None, strays=strays), {}) if each.check == "departed"]
        assert [each.text.partition(",")[0] for each in found][:2] == expected
        assert {each.severity for each in found} <= {"warning"}
