# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules: what cannot hold, and what follows from those that do."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack._shared.ha_rule_checks import check_rules
from agentstack.ha.motion import motion
from agentstack.ha.resolve import resolve

NODES = ["pve1", "pve2", "pve3"]


def on(resources: str, nodes: str, **more: Any) -> dict[str, object]:
    return {"type": "node-affinity", "resources": resources, "nodes": nodes, **more}


def together(resources: str, **more: Any) -> dict[str, object]:
    return {"type": "resource-affinity", "resources": resources, "affinity": "positive", **more}


def apart(resources: str, **more: Any) -> dict[str, object]:
    return {"type": "resource-affinity", "resources": resources, "affinity": "negative", **more}


def test_one_resource_in_two_node_affinity_rules_spoils_both() -> None:
    found = check_rules({"a": on("vm:100,vm:101", "pve1"), "b": on("vm:100", "pve2")}, NODES)
    text = "resource 'vm:100' is already used in another node affinity rule"
    assert found == {"a": {"resources": [text]}, "b": {"resources": [text]}}


def test_the_findings_of_one_rule_come_in_the_order_of_the_server() -> None:
    found = check_rules({"prefer1": on("vm:100", "pve1:2,pve2:1"), "apart1": apart("vm:100")}, NODES)
    assert found["apart1"]["resources"] == [
        "rule is ineffective as there are less than two resources",
        "resources are in node affinity rules with multiple priorities",
    ]


@pytest.mark.parametrize(
    ("rules", "infeasible"),
    [
        ({"r": apart("vm:1,vm:2,vm:3,vm:4")}, {"r"}),
        ({"r": apart("vm:1,vm:2,vm:3")}, set()),
        ({"a": apart("vm:1,vm:2"), "t": together("vm:1,vm:2,vm:3")}, {"a", "t"}),
        ({"a": apart("vm:1,vm:2"), "t": together("vm:2,vm:3")}, set()),
        ({"n": on("vm:1", "pve1"), "m": on("vm:2", "pve2"), "t": together("vm:1,vm:2")}, {"t"}),
        ({"n": on("vm:1", "pve1"), "m": on("vm:2", "pve2"), "a": apart("vm:1,vm:2")}, set()),
        ({"n": on("vm:1,vm:2", "pve1"), "a": apart("vm:1,vm:2")}, {"a"}),
        ({"n": on("vm:1,vm:2", "pve1"), "a": apart("vm:1,vm:2", disable="1")}, set()),
        ({"n": on("vm:1,vm:2", "pve1"), "a": apart("vm:1,vm:2", disable="0")}, set()),
        ({"n": on("vm:1", "pve1:2,pve2"), "t": together("vm:1,vm:2")}, {"n", "t"}),
        ({"n": on("vm:1", "pve1:2,pve2:2"), "t": together("vm:1,vm:2")}, set()),
    ],
)
def test_feasibility(rules: dict[str, dict[str, object]], infeasible: set[str]) -> None:
    assert set(check_rules(rules, NODES)) == infeasible


def test_positive_rules_that_overlap_are_one_and_share_their_nodes() -> None:
    rules = {"a": together("vm:1,vm:2"), "b": together("vm:2,vm:3"), "n": on("vm:3", "pve2")}
    affinities, dropped = resolve(rules, {}, {}, NODES)
    assert dropped == {}
    assert affinities.together["vm:1"] == {"vm:2", "vm:3"}
    assert affinities.nodes["vm:1"].nodes == {"pve2": 0}


def test_negative_partners_are_inherited_from_positive_ones() -> None:
    affinities, _ = resolve({"a": together("vm:1,vm:2"), "b": apart("vm:2,vm:3")}, {}, {}, NODES)
    assert affinities.apart == {"vm:1": {"vm:3"}, "vm:2": {"vm:3"}, "vm:3": {"vm:1", "vm:2"}}


def test_groups_in_use_are_node_affinity_rules() -> None:
    groups = {"g": {"type": "group", "nodes": "pve1:2,pve2", "restricted": "1"}, "unused": {"nodes": "pve3"}}
    affinities, _ = resolve({}, groups, {"vm:1": {"group": "g"}, "vm:2": {}}, NODES)
    assert set(affinities.nodes) == {"vm:1"}
    assert affinities.nodes["vm:1"].strict
    assert affinities.nodes["vm:1"].nodes == {"pve1": 2, "pve2": 0}


def test_a_migration_takes_partners_along_and_is_blocked_by_others() -> None:
    affinities, _ = resolve({"a": together("vm:1,vm:2"), "b": apart("vm:1,vm:3")}, {}, {}, NODES)
    services: Any = {
        "vm:1": {"node": "pve1", "state": "started"},
        "vm:2": {"node": "pve1", "state": "started"},
        "vm:3": {"node": "pve2", "state": "started"},
    }
    assert motion(affinities, services, "vm:1", "pve2") == (["vm:2"], ["vm:3"])
    assert motion(affinities, services, "vm:1", "pve3") == (["vm:2"], [])
