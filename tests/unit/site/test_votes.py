# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in the variables about votes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.filter.on_nodes import on_nodes
from ansible_collections.quorate.pve.plugins.module_utils._site_checks import problems
from ansible_collections.quorate.pve.plugins.module_utils._site_nodes import Node, node_table

HOSTS = {f"pve{number}": {"pve_address": f"10.0.0.1{number}", "pve_voter": number == 3} for number in (1, 2, 3)}


def nodes() -> list[Node]:
    return node_table(HOSTS, HOSTS, [{"number": 0, "network": "10.0.0.0/24"}])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a guest on a voter": (
        {"pve_guests": [{"vmid": 101, "node": "pve3"}]},
        "pve_guests[0] (101): is to run on pve3, which only votes (pve_voter).",
    ),
    "a replica on a voter": (
        {"pve_replication_jobs": [{"guest": 101, "target": "pve3"}]},
        "pve_replication_jobs[0] (101): is to be replicated to pve3, which only votes (pve_voter).",
    ),
    "an OSD on a voter": (
        {"pve_ceph_osds": [{"node": "pve3", "devices": ["/dev/sdb"]}]},
        "pve_ceph_osds[0] (pve3): is to have disks of pve3, which only votes (pve_voter).",
    ),
    "an affinity to a voter": (
        {"pve_ha_affinity": [{"name": "a", "nodes": {"pve1": 1, "pve3": 1}, "resources": ["vm:101"]}]},
        "pve_ha_affinity[0] (a): names pve3, which only votes (pve_voter).",
    ),
    "HA that may choose a voter": (
        {"pve_ha_resources": [{"sid": "vm:101"}]},
        "pve_ha_resources[0] (vm:101): HA may start it on pve3, which only votes (pve_voter). Add it to an affinity "
        "with strict: true over the other nodes.",
    ),
    "a witness without an address": ({"pve_witness": {"force": True}}, "pve_witness: address is missing."),
    "a witness among the nodes": (
        {"pve_witness": {"address": "10.0.0.12"}},
        "pve_witness: 10.0.0.12 is pve2, a node of the cluster. Name another host.",
    ),
    "what a finding counts as": (
        {"pve_preflight_severity": {"latency": "ignore"}},
        "pve_preflight_severity.latency: must be error, warning, info, is ignore.",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong(what: str) -> None:
    variables, text = WRONG[what]
    assert text in problems(variables, nodes())


def test_a_check_that_there_is_not() -> None:
    (problem,) = problems({"pve_preflight_severity": {"latencies": "info"}}, nodes())
    assert problem.startswith("pve_preflight_severity: there is no check latencies; there are api, ")


def test_nothing_wrong() -> None:
    variables = {
        "pve_ha_affinity": [{"name": "a", "nodes": {"pve1": 1, "pve2": 1}, "strict": True, "resources": ["vm:101"]}],
        "pve_ha_resources": [{"sid": "vm:101"}, {"sid": "vm:102", "state": "ignored"}, {"sid": "vm:103"}],
        "pve_guests": [{"vmid": 103, "node": "pve1"}],
        "pve_replication_jobs": [{"guest": 103, "target": "pve2"}],
        "pve_witness": {"address": "192.0.2.9"},
        "pve_preflight_severity": {"latency": "warning"},
    }
    assert problems(variables, nodes()) == []


def test_every_node_leaves_voters_out() -> None:
    pools = [{"node": "*", "name": "tank"}, {"node": "pve1", "name": "more"}]
    assert on_nodes(pools, nodes()) == [
        {"node": "pve1", "name": "tank"},
        {"node": "pve2", "name": "tank"},
        {"node": "pve1", "name": "more"},
    ]
    assert on_nodes(pools, nodes()[:2]) == pools
