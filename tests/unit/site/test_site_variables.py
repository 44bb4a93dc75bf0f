# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the inventory's variables that need no server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.filter.wanted_links import wanted_links
from ansible_collections.quorate.pve.plugins.filter.with_failback import with_failback
from ansible_collections.quorate.pve.plugins.filter.with_priority import with_priority
from ansible_collections.quorate.pve.plugins.filter.with_replica_affinity import with_replica_affinity
from ansible_collections.quorate.pve.plugins.module_utils._plain import bare
from ansible_collections.quorate.pve.plugins.module_utils._site_checks import problems
from ansible_collections.quorate.pve.plugins.module_utils._site_nodes import Node, address_in, node_table

LINKS = [{"number": 0, "network": "10.0.0.0/24"}, {"number": 1, "network": "10.1.0.0/24", "priority": 20}]


def nodes(**hosts: dict[str, Any]) -> list[Node]:
    return node_table(hosts, hosts, LINKS)


def three() -> list[Node]:
    return nodes(
        pve1={"pve_address": "10.0.0.11"}, pve2={"pve_address": "10.0.0.12"}, pve3={"pve_address": "10.0.0.13"}
    )


@pytest.mark.parametrize(
    ("network", "address", "expected"),
    [
        ("10.0.0.0/24", "10.0.0.11", "10.0.0.11"),
        ("10.1.0.0/24", "10.0.0.11", "10.1.0.11"),
        ("10.1.0.0/16", "10.0.3.11", "10.1.3.11"),
        ("fd00:1::/64", "fd00::11", "fd00:1::11"),
        ("fd00:1::/64", "10.0.0.11", None),
        ("10.1.0.0/24", "pve1.example.net", None),
        (None, "10.0.0.11", None),
        ("10.1.0.0/24", None, None),
    ],
)
def test_address_in_a_network(network: str | None, address: str | None, expected: str | None) -> None:
    assert address_in(network, address) == expected


def test_a_node_as_its_variables_say() -> None:
    variables = {
        "pve_address": "10.0.0.31",
        "pve_node": "voter",
        "pve_fingerprint": "AB:CD",
        "pve_ssh_host_key": "ssh-ed25519 AAAA",
        "pve_voter": True,
        "pve_link_addresses": {1: "192.0.2.31"},
    }
    assert nodes(**{"v1.example.net": variables}) == [
        {
            "where": "v1.example.net",
            "name": "voter",
            "address": "10.0.0.31",
            "fingerprint": "AB:CD",
            "host_key": "ssh-ed25519 AAAA",
            "voter": True,
            "links": [{"number": 0, "address": "10.0.0.31"}, {"number": 1, "address": "192.0.2.31"}],
        }
    ]


def test_what_is_left_alone_says_nothing() -> None:
    """ansible-core before 2.19 gives an empty text for the None of a template."""
    assert problems({"pve_guests": None, "pve_witness": "", "pve_ceph_replace_lost": "", "pve_roles": ""}, []) == []


def test_nothing_wrong() -> None:
    variables = {
        "pve_cluster_name": "ha-lab",
        "pve_links": LINKS,
        "pve_options": {"ha": {"shutdown_policy": "migrate"}},
        "pve_zfs_pools": [{"node": "*", "name": "tank", "raidlevel": "mirror", "devices": {"count": 2}}],
        "pve_storages": [{"storage": "files", "type": "dir", "path": "/srv", "nodes": ["pve1"]}],
        "pve_guests": [{"vmid": 101, "node": "pve1", "disks": {"scsi0": "tank:1"}, "started": True}],
        "pve_replication_jobs": [{"guest": 101, "target": "pve2", "rate": 50}],
        "pve_ha_affinity": [{"name": "web", "nodes": {"pve1": 2, "pve2": 1}, "strict": True, "resources": ["vm:101"]}],
        "pve_ha_resources": [{"sid": "vm:101", "state": "started"}],
        "of_another_collection": 7,
    }
    assert problems(variables, three()) == []
    assert problems(dict.fromkeys(variables), three()) == []


WRONG: dict[str, tuple[str, Any, list[str]]] = {
    "not a list": ("pve_guests", "six", ["pve_guests: must be a list, is text."]),
    "not a mapping": ("pve_links", [0], ["pve_links[0]: must be a mapping, is a number."]),
    "type of a field": (
        "pve_guests",
        [{"vmid": 101}, {"vmid": "x"}],
        [
            "pve_guests[1] (x): argument 'vmid' is of type str and cannot be converted to int: "
            "\"'x'\" cannot be converted to an int."
        ],
    ),
    "missing field": ("pve_links", [{"network": "10.0.0.0/24"}], ["pve_links[0]: missing required arguments: number."]),
    "unknown field": (
        "pve_links",
        [{"number": 1, "netwrok": "10.0.0.0/24"}],
        ["pve_links[0] (1): netwrok is not known here; known are network, number, priority, state."],
    ),
    "same key": (
        "pve_replication_jobs",
        [{"guest": 101, "target": "pve2"}, {"guest": "101", "target": "pve2"}],
        [
            "pve_replication_jobs[1] (101 pve2): the same guest and target as pve_replication_jobs[0]. "
            "Remove one of them."
        ],
    ),
    "unknown node": (
        "pve_ha_affinity",
        [{"name": "web", "nodes": {"pve1": 1, "pve9": 2}}],
        ["pve_ha_affinity[0] (web): nodes names pve9, which is no node of this cluster (pve1, pve2, pve3)."],
    ),
    "unknown node of what is to go": ("pve_storages", [{"storage": "old", "nodes": ["pve9"], "state": "absent"}], []),
    "every node where one is needed": (
        "pve_guests",
        [{"vmid": 101, "node": "*"}],
        ["pve_guests[0] (101): node names *, which is no node of this cluster (pve1, pve2, pve3)."],
    ),
    "long name": (
        "pve_cluster_name",
        "a-name-that-is-too-long",
        [
            "pve_cluster_name (a-name-that-is-too-long): must be 1 to 15 letters, digits and hyphens, "
            "beginning and ending with a letter or digit."
        ],
    ),
    "link number": (
        "pve_links",
        [{"number": 8, "network": "10.0.0.0/24"}],
        ["pve_links[0] (8): number must be 0 to 7."],
    ),
    "link priority": (
        "pve_links",
        [{"number": 0, "network": "10.0.0.0/24", "priority": 256}],
        ["pve_links[0] (0): priority must be 0 to 255, is 256."],
    ),
    "link network": (
        "pve_links",
        [{"number": 0, "network": "10.0.0.1/24"}],
        ["pve_links[0] (0): network must be like 10.0.0.0/24, is 10.0.0.1/24."],
    ),
    "kind of resource": (
        "pve_ha_resources",
        [{"sid": "101"}],
        ["pve_ha_resources[0] (101): sid must be like vm:101 or ct:101."],
    ),
    "two affinities": (
        "pve_ha_affinity",
        [
            {"name": "a", "nodes": {"pve1": 1}, "resources": ["vm:101"]},
            {"name": "b", "nodes": {"pve2": 1}, "resources": ["vm:101"]},
        ],
        ["pve_ha_affinity[1] (b): vm:101 stands in pve_ha_affinity[0] (a) too. A resource can have one affinity only."],
    ),
    "a preference beside others that matter": (
        "pve_ha_affinity",
        [
            {"name": "a", "nodes": {"pve1": 2, "pve2": 1}, "resources": ["vm:101"]},
            {"name": "b", "type": "resource-affinity", "affinity": "negative", "resources": ["vm:101", "vm:102"]},
        ],
        [
            "pve_ha_affinity[1] (b): vm:101 stands in pve_ha_affinity[0] (a) too, which prefers some nodes to others; "
            "the server takes one or the other. Give its nodes one priority."
        ],
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_and_where(what: str) -> None:
    name, value, expected = WRONG[what]
    assert problems({name: value}, three()) == expected


def test_replication_to_where_the_guest_is() -> None:
    variables = {
        "pve_guests": [{"vmid": 101, "node": "pve1"}],
        "pve_replication_jobs": [{"guest": 101, "target": "pve1"}],
    }
    assert problems(variables, three()) == [
        "pve_replication_jobs[0] (101 pve1): target is the node where pve_guests puts the guest. Name another node."
    ]


def test_hosts_that_cannot_be_told_apart() -> None:
    found = problems(
        {},
        nodes(
            **{
                "pve1": {"pve_address": "10.0.0.11"},
                "pve1.example.net": {"pve_address": "10.0.0.12"},
                "pve3": {"pve_address": "10.0.0.12", "pve_link_addresses": {1: "10.0.0.12"}},
                "pve4": {},
            }
        ),
    )
    assert found == [
        "pve4: pve_address is missing: the address of the node's API.",
        "pve1 and pve1.example.net: both have the node name (pve_node) pve1. Each host of a cluster needs its own.",
        "pve1.example.net and pve3: both have the address (pve_address, pve_link_addresses) 10.0.0.12. "
        "Each host of a cluster needs its own.",
        "pve3: links 0 and 1 have the same address 10.0.0.12.",
        "pve4: no address on link 0. "
        "Set pve_link_addresses: {0: ADDRESS} for the host, or the link's network in pve_links.",
        "pve4: no address on link 1. "
        "Set pve_link_addresses: {1: ADDRESS} for the host, or the link's network in pve_links.",
    ]


def test_links_with_the_addresses_of_all_nodes() -> None:
    links = [LINKS[0], {**LINKS[1], "state": "absent"}, {"number": 3, "network": "10.3.0.0/24", "priority": 5}]
    nodes = [{"name": node["name"], "links": [*node["links"], {"number": 3, "address": None}]} for node in three()]
    assert wanted_links(nodes, links) == [
        {"number": 0, "addresses": {"pve1": "10.0.0.11", "pve2": "10.0.0.12", "pve3": "10.0.0.13"}},
        {"number": 1, "priority": 20, "state": "absent"},
        {"number": 3, "addresses": {}, "priority": 5},
    ]


def test_priorities_belong_to_links() -> None:
    assert with_priority(three()[0]["links"], LINKS) == [
        {"number": 0, "address": "10.0.0.11"},
        {"number": 1, "address": "10.1.0.11", "priority": 20},
    ]


def test_failback_is_said_with_the_affinity() -> None:
    resources = [{"sid": "vm:101"}, {"sid": "vm:102", "failback": True}, {"sid": "vm:103"}]
    affinity = [
        {"name": "web", "failback": False, "resources": ["vm:101", "vm:102"]},
        {"name": "x", "resources": ["vm:103"]},
    ]
    assert with_failback(resources, affinity) == [
        {"sid": "vm:101", "failback": False},
        {"sid": "vm:102", "failback": True},
        {"sid": "vm:103"},
    ]
    assert with_failback(resources, None) == resources


JOBS = [{"guest": 104, "target": "pve2"}, {"guest": 104, "target": "pve3"}, {"guest": 105, "target": "pve1"}]
PLACED = [{"vmid": 104, "node": "pve1"}, {"vmid": 105, "node": "pve2"}, {"vmid": 106, "node": "pve3"}]
UNDER_HA = [{"sid": "vm:104"}, {"sid": "vm:105", "state": "started"}, {"sid": "vm:106"}]


def test_replicated_guests_run_where_their_replicas_are() -> None:
    given = [{"name": "voice", "nodes": {"pve1": 1, "pve2": 2}, "strict": True, "resources": ["vm:105"]}]
    derived = with_replica_affinity(given, UNDER_HA, JOBS, PLACED)
    assert derived == [
        *given,
        {
            **{"name": "replicas-104", "nodes": {"pve1": 3, "pve2": 2, "pve3": 1}, "strict": True, "failback": False},
            **{"resources": ["vm:104"], "comment": "where the replicas of guest 104 are"},
        },
    ]
    assert with_replica_affinity(None, None, None, None) == []
    assert with_replica_affinity(None, UNDER_HA, [{**JOBS[0], "disable": True}], PLACED) == []


@pytest.mark.parametrize(
    ("affinity", "homes", "finding"),
    [
        ({"strict": False}, PLACED, "vm:104 is replicated to pve2, pve3, and would be started on any node"),
        ({"nodes": {"pve1": 1, "pve4": 1}}, PLACED, "vm:104 has no replica on pve4, so it cannot start there."),
        ({"nodes": {"pve5": 1, "pve4": 1}}, [], "vm:104 has no replica on pve4, pve5, so it cannot start there."),
        ({"resources": []}, [], "pve_ha_resources (vm:104): the guest is replicated, and HA does not know where to."),
    ],
)
def test_ha_must_not_lead_a_guest_away_from_its_replicas(
    affinity: dict[str, Any], homes: list[dict[str, Any]], finding: str
) -> None:
    rule = {"name": "files", "nodes": {"pve1": 2, "pve2": 1}, "strict": True, "resources": ["vm:104"], **affinity}
    variables = {
        **{"pve_cluster_name": "c", "pve_ha_affinity": [rule], "pve_ha_resources": [{"sid": "vm:104"}]},
        **{"pve_replication_jobs": JOBS[:2], "pve_guests": homes},
    }
    assert any(finding in text for text in problems(variables, three()))


APART = {"name": "apart", "type": "resource-affinity", "affinity": "negative", "resources": ["vm:104", "vm:105"]}


def test_who_stays_apart_may_have_nodes_of_its_own() -> None:
    here = {"nodes": {"pve1": 1, "pve2": 1}, "strict": True, "resources": ["vm:104"]}
    off = {"name": "old", "nodes": {"pve3": 1}, "resources": ["vm:104"], "disabled": True}
    assert problems({"pve_ha_affinity": [{"name": "here", **here}, APART, off]}, three()) == []
    # what is derived goes with it, too: the server takes no preference beside it
    derived = with_replica_affinity([APART, off], UNDER_HA, JOBS, PLACED)
    assert [one["nodes"] for one in derived[2:]] == [{"pve1": 1, "pve2": 1, "pve3": 1}, {"pve2": 1, "pve1": 1}]


def test_a_guest_whose_home_is_not_said_has_one() -> None:
    rule = {"name": "files", "nodes": {"pve1": 2, "pve2": 1}, "strict": True, "resources": ["vm:104"]}
    variables = {
        **{"pve_cluster_name": "c", "pve_ha_affinity": [rule], "pve_ha_resources": [{"sid": "vm:104"}]},
        "pve_replication_jobs": JOBS[:2],
    }
    assert problems(variables, three()) == []


class Marked(str):
    """As Ansible marks texts."""


def test_values_to_be_looked_at_have_no_marks() -> None:
    value = bare({Marked("sid"): Marked("vm:101"), "list": (Marked("a"), 1, 0.5, True, None)})
    assert value == {"sid": "vm:101", "list": ["a", 1, 0.5, True, None]}
    assert [type(each) for each in (*value, value["sid"], *value["list"])] == [
        str,
        str,
        str,
        str,
        int,
        float,
        bool,
        type(None),
    ]
