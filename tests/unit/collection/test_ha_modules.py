# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA modules: what cannot be said, what is refused beforehand, and what is awaited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .scripted import Step, get, post, put, refused

NODES = get("/nodes", [{"node": name, "status": "online"} for name in ("pve1", "pve2", "pve3")])
MIGRATED = refused("GET", "/cluster/ha/groups", 500, "cannot index groups: ha groups have been migrated to rules")
NO_GROUP = (
    "this server has HA rules instead of groups, and a rule has resources: a group without any cannot be said. Give the"
    " group's resources, or leave it out (state: ignore)."
)
WEB = {"rule": "ha-group-web", "type": "node-affinity", "nodes": "pve1", "resources": "vm:101"}
RESOURCES = [{"sid": "vm:101", "type": "vm"}, {"sid": "vm:102", "type": "vm", "failback": 0}]


def status(stamp: int, *services: tuple[str, str, str], armed: str = "armed") -> Step:
    """Services as (sid, node, state)."""
    rows: list[dict[str, Any]] = [{"type": "quorum", "id": "quorum", "quorate": 1, "node": "pve1", "status": "OK"}]
    rows.append({"type": "master", "id": "master", "node": "pve1", "status": "pve1 (active, x)", "timestamp": stamp})
    rows.append({"type": "fencing", "id": "fencing", "node": "pve1", "status": armed, "armed-state": armed})
    for sid, node, state in services:
        rows.append(
            {
                **{"type": "service", "id": f"service:{sid}", "sid": sid, "node": node, "request_state": "started"},
                **{"crm_state": "started", "status": f"{sid} ({node}, {state})"},
            }
        )
    return get("/cluster/ha/status/current", rows)


def test_a_group_is_the_rule_that_the_server_would_make_of_it(run: Any) -> None:
    steps = [
        MIGRATED,
        get("/cluster/ha/rules", []),
        get("/cluster/ha/resources", RESOURCES),
        NODES,
        post("/cluster/ha/rules", None, type="node-affinity", rule="ha-group-web", nodes="pve1", resources="vm:101"),
        put("/cluster/ha/resources/vm:101", None, failback=0),
        get("/cluster/ha/rules", [WEB]),
        get("/cluster/ha/resources", [{**RESOURCES[0], "failback": 0}]),
    ]
    wanted = [{"name": "web", "nodes": {"pve1": 0}, "resources": ["vm:101"], "nofailback": True}]
    result = run("ha_groups", steps, groups=wanted, wait=False)
    assert (result["changed"], result["api"]) == (True, "rules")
    assert result["plan"][0]["object"] == "HA group web"


@pytest.mark.parametrize(
    "element",
    [
        {"name": "new", "nodes": {"pve1": 0}},
        {"name": "web", "resources": []},
        {"name": "web", "remove_resources": ["vm:101"]},
    ],
)
def test_what_rules_cannot_say(run: Any, element: dict[str, Any]) -> None:
    steps = [MIGRATED]
    if element.get("resources", True):
        steps += [get("/cluster/ha/rules", [WEB]), get("/cluster/ha/resources", RESOURCES)]
    assert run("ha_groups", steps, groups=[element])["msg"] == f"groups[0] ({element['name']}): {NO_GROUP}"


def test_a_purge_of_groups_spares_other_rules(run: Any) -> None:
    steps = [MIGRATED, get("/cluster/ha/rules", [{**WEB, "rule": "mine"}]), get("/cluster/ha/resources", RESOURCES)]
    assert not run("ha_groups", steps, groups=[], purge=True)["changed"]


def test_the_rule_that_a_group_became_is_the_rule_of_its_name(run: Any) -> None:
    wanted = [{"name": "web", "nodes": {"pve1": 0}, "resources": ["vm:101"]}]
    became = get("/cluster/ha/rules", [{**WEB, "comment": "Generated from HA group 'web'."}])
    assert not run("ha_rules", [became], rules=wanted, purge=True)["changed"]
    changed = [
        became,
        NODES,
        put("/cluster/ha/rules/ha-group-web", None, type="node-affinity", nodes="pve1,pve2"),
        get("/cluster/ha/rules", [{**WEB, "nodes": "pve1,pve2"}]),
    ]
    wanted[0]["nodes"] = {"pve1": 0, "pve2": 0}
    assert run("ha_rules", changed, rules=wanted, wait=False)["changed"]


def test_single_members(run: Any) -> None:
    apart = {"rule": "apart", "type": "resource-affinity", "affinity": "negative", "resources": "vm:1,vm:2"}
    steps = [
        get("/cluster/ha/rules", [apart]),
        put("/cluster/ha/rules/apart", None, type="resource-affinity", resources="vm:2,vm:3"),
        get("/cluster/ha/rules", [{**apart, "resources": "vm:2,vm:3"}]),
    ]
    wanted = [{"name": "apart", "add_resources": ["vm:3"], "remove_resources": ["vm:1"]}]
    assert run("ha_rules", steps, rules=wanted, wait=False)["changed"]
    assert run("ha_rules", [], rules=[{**wanted[0], "resources": ["vm:9"]}])["msg"] == (
        "rules[0] (apart): resources is the whole list: it does not go with single members"
    )
    steps = [get("/cluster/ha/rules", [{**WEB, "rule": "web"}])]
    assert (
        "take the last resource"
        in run("ha_rules", steps, rules=[{"name": "web", "remove_resources": ["vm:101"]}])["msg"]
    )


def test_a_changed_rule_is_awaited_until_the_manager_has_acted(run: Any) -> None:
    rule = {"rule": "web", "type": "node-affinity", "nodes": "pve1", "resources": "vm:101"}
    steps = [
        get("/cluster/ha/rules", [rule]),
        NODES,
        put("/cluster/ha/rules/web", None, type="node-affinity", nodes="pve2"),
        get("/cluster/ha/rules", [{**rule, "nodes": "pve2"}]),
        status(10, ("vm:101", "pve1", "started")),
        status(20, ("vm:101", "pve1", "started")),
        status(30, ("vm:101", "pve1", "migrate")),
        status(40, ("vm:101", "pve2", "starting")),
        status(50, ("vm:101", "pve2", "started")),
    ]
    assert run("ha_rules", steps, rules=[{"name": "web", "nodes": {"pve2": 0}}])["changed"]


VERSIONS = [get(f"/nodes/{node}/version", {"version": "9.2.11"}) for node in ("pve1", "pve2")]


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script knows one order only."""
    path = "ansible_collections.quorate.pve.plugins.module_utils._releases.side_by_side"
    monkeypatch.setattr(path, lambda work, items: [work(item) for item in items])


MOVE = {"guest": 101, "target": "pve2"}


def guest(node: str = "pve1", running: bool = True) -> Step:
    row = {"vmid": 101, "node": node, "type": "qemu", "status": "running" if running else "stopped"}
    return get("/cluster/resources", [row], type="vm")


def current(running: bool = True) -> Step:
    return get("/nodes/pve1/qemu/101/status/current", {"status": "running" if running else "stopped"})


def test_a_move_that_a_rule_forbids_is_refused_beforehand(run: Any) -> None:
    blocking = {"pve2": {"blocking-ha-resources": [{"sid": "vm:102", "cause": "resource-affinity"}]}}
    steps = [
        guest(),
        NODES,
        current(),
        status(1, ("vm:101", "pve1", "started")),
        *VERSIONS,
        get("/nodes/pve1/qemu/101/migrate", {"not_allowed_nodes": blocking, "local_disks": []}, target="pve2"),
    ]
    assert run("guest_migration", steps, guest=101, target="pve2")["msg"] == (
        "target: vm:102 on pve2 must not be on the same node (negative affinity). Choose another node, or change the"
        " rule (ha_rules)."
    )


def test_whether_a_guest_runs_is_asked_of_its_node(run: Any) -> None:
    upid = "UPID:pve1:000004D2:0000162E:655F1A2B:qmigrate:101:root@pam:"
    steps = [
        guest(running=False),
        NODES,
        current(running=True),
        status(1),
        *VERSIONS,
        get("/nodes/pve1/qemu/101/migrate", {"local_disks": []}, target="pve2"),
        post("/nodes/pve1/qemu/101/migrate", upid, target="pve2", online=1),
        get(f"/nodes/pve1/tasks/{upid}/status", {"status": "stopped", "exitstatus": "OK"}),
        get(f"/nodes/pve1/tasks/{upid}/log", [], limit=0),
    ]
    assert run("guest_migration", steps, guest=101, target="pve2")["changed"]


def test_a_move_by_hand_tells_how_long_the_guest_was_held(run: Any) -> None:
    upid = "UPID:pve1:000004D2:0000162E:655F1A2B:qmigrate:101:root@pam:"
    log = [{"n": 1, "t": "average migration speed: 512.0 MiB/s - downtime 43 ms"}, {"n": 2, "t": "TASK OK"}]
    steps = [
        guest(),
        NODES,
        current(),
        status(1),
        *VERSIONS,
        get("/nodes/pve1/qemu/101/migrate", {"local_disks": []}, target="pve2"),
        post("/nodes/pve1/qemu/101/migrate", upid, target="pve2", online=1),
        get(f"/nodes/pve1/tasks/{upid}/status", {"status": "stopped", "exitstatus": "OK"}),
        get(f"/nodes/pve1/tasks/{upid}/log", log, limit=0),
    ]
    result = run("guest_migration", steps, guest=101, target="pve2")
    assert (result["changed"], result["pause_ms"]) == (True, 43)
    assert run("guest_migration", [guest("pve2"), NODES], guest=101, target="pve2")["changed"] is False


def test_a_request_that_the_manager_does_not_take_up_is_not_waited_for(run: Any) -> None:
    """It drops what it cannot do, and loses what it had read when it is replaced (facts §7.1); its log alone tells."""
    tasks = get("/nodes/pve1/tasks", [], vmid=101, typefilter="qmigrate", source="all", limit=20)
    at_rest = ("vm:101", "pve1", "started")
    before = [
        guest(),
        NODES,
        current(),
        status(1, at_rest),
        *VERSIONS,
        get("/nodes/pve1/qemu/101/migrate", {"local_disks": []}, target="pve2"),
        tasks,
        post("/cluster/ha/resources/vm:101/migrate", None, node="pve2"),
    ]
    ignored = [each for stamp in (1, 1, 11, 21, 31, 41) for each in (tasks, status(stamp, at_rest))]
    assert "has not taken up the move of vm:101 to pve2" in run("guest_migration", [*before, *ignored], **MOVE)["msg"]
    # a round in which it moves begins the count anew
    moves = [each for stamp in (51, 61) for each in (tasks, status(stamp, ("vm:101", "pve1", "migrate")))]
    there = [tasks, status(71, ("vm:101", "pve2", "started"))]
    assert run("guest_migration", [*before, *ignored[:-2], *moves, *ignored[:-2], *there], **MOVE)["changed"]


def test_a_move_under_way_is_not_back_yet(run: Any, tmp_path: Path) -> None:
    """It goes on without the run that began it, and ends elsewhere."""
    note = tmp_path / "note.json"
    deed = {"vmid": 101, "kind": "qemu", "did": "migrate", "target": "pve2"}
    note.write_text(json.dumps({"node": "pve1", "guests": [deed]}))
    manager = get("/cluster/ha/status/manager_status", {"manager_status": {"node_status": {"pve1": "online"}}})
    for lock, expected in (({"lock": "migrate"}, ["guest 101"]), ({}, [])):
        now = get("/nodes/pve1/qemu/101/status/current", {"status": "running", **lock})
        steps = [NODES, manager, guest(), now]
        result = run("node_maintenance", steps, check=True, node="pve1", state="disabled", note=str(note))
        assert [change["object"] for change in result["plan"]] == expected


def test_none_of_has_guests_can_be_left(run: Any) -> None:
    services = {"vm:101": {"state": "started", "node": "pve1"}, "ct:102": {"state": "stopped", "node": "pve1"}}
    document = {"manager_status": {"node_status": {"pve1": "online"}, "service_status": services}}
    steps = [NODES, get("/cluster/ha/status/manager_status", document)]
    assert run("node_maintenance", steps, node="pve1", guests={"101": "leave", "102": "leave"})["msg"] == (
        "guests: vm:101 cannot be left: HA leaves nothing on a node in maintenance. Say migrate or shutdown for it, or"
        " have HA ignore it (ha_resources)."
    )


def test_no_maintenance_while_disarmed(run: Any) -> None:
    manager = get("/cluster/ha/status/manager_status", {"manager_status": {"node_status": {"pve1": "online"}}})
    assert run("node_maintenance", [NODES, manager, status(1, armed="disarmed")], node="pve1")["msg"] == (
        "node: HA is disarmed, and the manager ignores maintenance while it is. Arm it again first (ha-manager"
        " crm-command arm-ha)."
    )


def test_maintenance_is_awaited_though_it_was_asked_for_before(run: Any) -> None:
    def manager(state: str, node: str) -> Step:
        document = {
            "node_status": {"pve1": state},
            "node_request": {"pve1": {"maintenance": 1}},
            "service_status": {"vm:101": {"state": "started", "node": node, "maintenance_node": "pve1"}},
        }
        return get("/cluster/ha/status/manager_status", {"manager_status": document})

    steps = [
        NODES,
        manager("online", "pve1"),
        get("/access/permissions", {"/vms": {"VM.Audit": 1}}),
        manager("online", "pve1"),
        manager("maintenance", "pve1"),
        manager("maintenance", "pve2"),
        status(1, ("vm:101", "pve2", "started")),
        *(get(f"/nodes/pve1/{kind}", []) for kind in ("qemu", "lxc")),
    ]
    result = run("node_maintenance", steps, node="pve1")
    assert (result["changed"], result["state"], result["guests_left"]) == (False, "maintenance", [])


def test_who_is_on_the_way_back_is_waited_for(run: Any) -> None:
    """The manager forgets with the order to return where a service came from (facts §7.7)."""

    def manager(**service: str) -> Step:
        document = {"node_status": {"pve1": "online"}, "service_status": {"vm:101": service}}
        return get("/cluster/ha/status/manager_status", {"manager_status": document})

    on_the_way = manager(state="migrate", node="pve2", target="pve1")
    steps = [NODES, *[on_the_way] * 4, manager(state="started", node="pve1")]
    result = run("node_maintenance", steps, node="pve1", state="disabled")
    assert (result["state"], result["warnings"]) == ("online", [])


def test_what_rules_keep_away_does_not_hold_up_the_end_of_maintenance(run: Any) -> None:
    def manager(stamp: int) -> Step:
        document = {
            "timestamp": stamp,
            "node_status": {"pve1": "online"},
            "service_status": {"vm:101": {"state": "started", "node": "pve2", "maintenance_node": "pve1"}},
        }
        return get("/cluster/ha/status/manager_status", {"manager_status": document})

    steps = [NODES, manager(10), manager(10), *(manager(stamp) for stamp in (20, 30, 40, 50, 60))]
    result = run("node_maintenance", steps, node="pve1", state="disabled")
    assert result["state"] == "online"
    assert result["warnings"] == ["vm:101 did not return to pve1: rules or room keep them where they are"]
