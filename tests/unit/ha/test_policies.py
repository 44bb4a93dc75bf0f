# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies and rules beside each other: restart, relocate, locks, affinity, groups and shutdowns in one cluster."""

from __future__ import annotations

import pytest

from .conftest import Run, messages
from .test_manager import on

TOGETHER = {"type": "resource-affinity", "affinity": "positive"}
APART = {"type": "resource-affinity", "affinity": "negative"}


@pytest.mark.parametrize(
    ("max_restart", "max_relocate", "starts", "end"),
    [
        (0, 0, 1, "error"),
        (2, 0, 3, "error"),
        (0, 1, 2, "error"),
        (1, 2, 6, "error"),
        (8, 0, 9, "error"),
        (9, 0, 10, "started"),
    ],
)
def test_restart_and_relocate_policy(run: Run, max_restart: int, max_relocate: int, starts: int, end: str) -> None:
    result = run(
        ["delay 600"],
        services={"fa:190": on("node1", max_restart=max_restart, max_relocate=max_relocate)},
    )
    tries = [text for text in messages(result, "starting service fa:190") if text.endswith("fa:190")]
    assert len(tries) == starts
    assert result.world.manager_status["service_status"]["fa:190"]["state"] == end
    failed = [text.split(" ", 1)[1] for text in messages(result, "Failed nodes:")]
    if end == "error":
        nodes = ", ".join(f"node{number}" for number in range(1, max_relocate + 2))
        assert failed == [f"recovery policy for service fa:190 failed, entering error state. Failed nodes: {nodes}"]


def test_a_locked_guest_is_not_started_until_it_is_put_right(run: Run) -> None:
    result = run(
        ["service vm:1 lock backup", "service vm:1 started"], [], ["service vm:1 unlock", "service vm:1 disabled"],
        ["service vm:1 started"],
        services={"vm:1": on("node1", "stopped", max_relocate=0, max_restart=0)},
    )  # fmt: skip
    assert messages(result, "locked", "entering error", "vm:1 started")[1:] == [
        "121 service 'vm:1' locked (backup), unable to start!",
        "140 recovery policy for service vm:1 failed, entering error state. Failed nodes: node1",
        "420 execute service vm:1 started",
        "421 service status vm:1 started",
    ]


@pytest.mark.parametrize(("lock", "removed"), [("backup", True), ("snapshot-delete", True), ("create", False)])
def test_recovery_removes_the_locks_of_what_was_cut_off(run: Run, lock: str, removed: bool) -> None:
    result = run([f"service vm:1 lock {lock}", "power node3 off"], services={"vm:1": on("node3")})
    assert bool(messages(result, f"removed leftover lock '{lock}'")) == removed
    assert any("vm:1" in guests for guests in result.world.running.values()) == removed


def test_what_is_deleted_or_ignored_is_let_go_and_runs_on(run: Run) -> None:
    result = run(
        ["service vm:1 delete", "service vm:2 ignored"], ["service vm:2 started"],
        services={"vm:1": on("node1"), "vm:2": on("node2")},
    )  # fmt: skip
    assert messages(result, "removing stale", "adding new service 'vm:2'")[1:] == [
        "120 removing stale service 'vm:1' (no config)",
        "120 removing stale service 'vm:2' (ignored state requested)",
        "220 adding new service 'vm:2' on node 'node2'",
    ]
    assert result.world.running["node1"] == {"vm:1"}


def test_an_lrm_restart_freezes_and_touches_no_guest(run: Run) -> None:
    result = run(["restart-lrm node1"], services={"vm:1": on("node1"), "ct:2": on("node1"), "vm:3": on("node2")})
    assert messages(result, "freeze", "stopping", "starting service")[3:] == [
        "120 restart LRM, freeze all services",
        "120 service 'ct:2': state changed from 'started' to 'freeze'",
        "120 service 'vm:1': state changed from 'started' to 'freeze'",
        "160 service 'ct:2': state changed from 'freeze' to 'started'",
        "160 service 'vm:1': state changed from 'freeze' to 'started'",
    ]


def test_what_an_lrm_restart_froze_leaves_a_node_that_is_to_be_empty(run: Run) -> None:
    """An upgrade does so: it starts the LRM of a node in maintenance anew, while a guest comes back for a moment."""
    result = run(["restart-lrm node1", "crm node1 enable-node-maintenance"], services={"vm:1": on("node1")})
    assert messages(result, "'vm:1': state changed", "end migrate")[1:] == [
        "120 service 'vm:1': state changed from 'started' to 'freeze'",
        "160 service 'vm:1': state changed from 'freeze' to 'started'",
        "160 service 'vm:1': state changed from 'started' to 'migrate'  (node = node1, target = node2)",
        "161 service vm:1 - end migrate to node 'node2'",
        "180 service 'vm:1': state changed from 'migrate' to 'started'  (node = node2)",
    ]


def test_maintenance_moves_what_belongs_together_to_one_place_and_keeps_the_rest_apart(run: Run) -> None:
    rules = {
        "a": {**TOGETHER, "resources": "vm:1,vm:2"},
        "b": {**APART, "resources": "vm:1,vm:3"},
    }
    services = {"vm:1": on("node1"), "vm:2": on("node1"), "vm:3": on("node2")}
    result = run(["crm node1 enable-node-maintenance"], services=services, rules=rules)
    assert messages(result, "end migrate") == [
        "141 service vm:1 - end migrate to node 'node3'",
        "141 service vm:2 - end migrate to node 'node3'",
    ]


def test_who_may_run_nowhere_else_stays_in_maintenance(run: Run) -> None:
    rules = {"r": {"type": "node-affinity", "resources": "vm:1", "nodes": "node1", "strict": "1"}}
    services = {"vm:1": on("node1"), "vm:2": on("node1")}
    result = run(["crm node1 enable-node-maintenance"], services=services, rules=rules)
    assert result.world.running["node1"] == {"vm:1"}
    assert not messages(result, "FENCE")


@pytest.mark.parametrize("release", [8, 9])
@pytest.mark.parametrize(
    ("policy", "command", "moved"),
    [
        ("conditional", "reboot", False),
        ("conditional", "shutdown", True),
        ("freeze", "shutdown", False),
        ("failover", "reboot", True),
        ("migrate", "reboot", True),
        ("migrate", "shutdown", True),
    ],
)
def test_shutdown_policies_respect_where_services_may_run(
    run: Run, release: int, policy: str, command: str, moved: bool
) -> None:
    places = {"nodes": "node1:2,node3:1"}
    rules = {"r": {"type": "node-affinity", "resources": "vm:1", "strict": "1", **places}} if release == 9 else {}
    groups = {"g": {"type": "group", "restricted": "1", **places}} if release == 8 else {}
    service = on("node1") if release == 9 else on("node1", group="g")
    result = run(
        [f"{command} node1"], ["delay 300"], ["power node1 on"],
        services={"vm:1": service, "vm:2": on("node2")},
        rules=rules, groups=groups, release=release, datacenter={"ha": {"shutdown_policy": policy}},
    )  # fmt: skip
    ran = {line.who for line in result.lines if line.message == "service status vm:1 started"}
    # a node that is rebooted may be back before its services are looked for elsewhere
    assert ran <= {"node1/lrm", "node3/lrm"}
    assert ("node3/lrm" in ran) == (moved and (policy, command) != ("failover", "reboot"))
    assert result.world.running["node1"] == {"vm:1"}, "it returns to the node that it prefers"


@pytest.mark.parametrize(("nofailback", "home"), [("0", "node1"), ("1", "node2")])
def test_failback_of_groups(run: Run, nofailback: str, home: str) -> None:
    group = {"type": "group", "nodes": "node1:2,node2:1", "nofailback": nofailback}
    result = run(
        ["power node1 off"], [], [], ["power node1 on"],
        services={"vm:1": on("node1", group="g")}, groups={"g": group}, release=8,
    )  # fmt: skip
    assert result.world.running[home] == {"vm:1"}


def test_groups_are_not_migrated_while_a_node_is_away(run: Run) -> None:
    sizes = {name: {"pve-manager-version": "9.0.0"} for name in ("node1", "node2", "node3")}
    result = run(
        ["network node3 off"], [], [], ["power node3 on"],
        services={"vm:1": on("node1", group="g")}, groups={"g": {"type": "group", "nodes": "node1"}},
        sizes={**sizes, "node3": {"pve-manager-version": "8.4.1"}},
    )  # fmt: skip
    obstacles = [text.split(" ", 1)[1] for text in messages(result, "abort ha groups")]
    assert obstacles[0] == "abort ha groups migration: node 'node3' needs at least pve-manager version '9.0.0~16'"
    assert "abort ha groups migration: node 'node3' is not online" in obstacles
    assert result.world.groups


def test_two_groups_of_rules_that_contradict_each_other_are_dropped(run: Run) -> None:
    rules = {
        "a": {**TOGETHER, "resources": "vm:1,vm:2"},
        "b": {**APART, "resources": "vm:1,vm:2"},
        "c": {"type": "node-affinity", "resources": "vm:3", "nodes": "node3"},
    }
    services = {f"vm:{number}": on(f"node{number}") for number in (1, 2, 3)}
    result = run(["power node1 off"], services=services, rules=rules)
    assert [text.split(" ", 1)[1] for text in messages(result, "Drop rule")][:2] == [
        "Drop rule 'a', because rule shares two or more resources with 'b'.",
        "Drop rule 'b', because rule shares two or more resources with 'a'.",
    ]
    assert result.world.running["node3"] >= {"vm:3"}


@pytest.mark.parametrize("mode", ["freeze", "ignore"])
def test_nothing_happens_to_services_of_a_node_that_goes_while_disarmed(run: Run, mode: str) -> None:
    result = run(
        [f"crm node1 disarm-ha {mode}"], ["power node3 off"], ["delay 200"], ["power node3 on"], ["crm node1 arm-ha"],
        services={"vm:1": on("node3"), "vm:2": on("node1")},
    )  # fmt: skip
    assert not messages(result, "FENCE", "recover service")
    assert result.world.running["node3"] == {"vm:1"}


def test_a_failed_move_leaves_the_service_where_it_runs(run: Run) -> None:
    result = run(["service fa:1090 migrate node2"], services={"fa:1090": on("node1")})
    assert messages(result, "not moved", "migration failed", "to 'started'")[1:] == [
        "121 service fa:1090 not moved (migration error)",
        "140 service 'fa:1090' - migration failed (exit code 1)",
        "140 service 'fa:1090': state changed from 'migrate' to 'started'  (node = node1)",
    ]
    assert result.world.running["node1"] == {"fa:1090"}
