# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of the manager, one promise a test, on clusters in virtual time."""

from __future__ import annotations

import pytest

from agentstack.ha.groups import new_enough

from .conftest import Run, messages

STARTED = {"state": "started"}


def on(node: str, state: str = "started", **more: object) -> dict[str, object]:
    return {"node": node, "state": state, **more}


def test_power_loss_is_fenced_and_recovered_in_time(run: Run) -> None:
    result = run(["power node3 off"], services={"vm:1": on("node3")})
    assert messages(result, "FENCE", "recover service", "status vm:1 started")[1:] == [
        "160 FENCE: Try to fence node 'node3'",
        "240 recover service 'vm:1' from fenced node 'node3' to node 'node1'",
        "241 service status vm:1 started",
    ]


def test_two_of_three_nodes_lost_is_no_quorum_and_no_decision(run: Run) -> None:
    result = run(["network node2 off", "network node3 off"], services={"vm:1": on("node1")})
    assert messages(result, "lost_manager_lock", "FENCE", "recover service") == [
        "120 status change master => lost_manager_lock",
        "120 status change lost_manager_lock => wait_for_quorum",
    ]


def test_disabled_services_are_not_recovered(run: Run) -> None:
    result = run(["network node3 off"], services={"vm:1": on("node3", "disabled"), "vm:2": on("node3", "stopped")})
    assert messages(result, "recover service") == [
        "240 recover service 'vm:2' from fenced node 'node3' to node 'node1'"
    ]


def test_stop_with_timeout_also_changes_what_is_asked_for(run: Run) -> None:
    result = run(["service vm:1 stop 60"], services={"vm:1": on("node1")})
    assert messages(result, "state changed from 'started'", "stopping service", "=> 'x'") == [
        "120 service 'vm:1': state changed from 'started' to 'request_stop'  (timeout = 60)",
        "121 stopping service vm:1 (timeout=60)",
    ]
    assert result.world.resources()["vm:1"]["state"] == "stopped"


def test_running_containers_are_relocated_instead_of_migrated(run: Run) -> None:
    result = run(["service ct:1 migrate node2"], services={"ct:1": on("node1")})
    assert messages(result, "start relocate", "(relocate)", "live migrate") == [
        "121 unable to live migrate running container 'ct:1', relocating it instead",
        "121 service ct:1 - start relocate to node 'node2'",
        "121 stopping service ct:1 (relocate)",
    ]


@pytest.mark.parametrize(("failback", "moves"), [(1, 1), (0, 0)])
def test_failback(run: Run, failback: int, moves: int) -> None:
    rules = {"r": {"type": "node-affinity", "resources": "vm:1", "nodes": "node1:2,node2:1"}}
    result = run(services={"vm:1": on("node2", failback=failback)}, rules=rules)
    assert len(messages(result, "migrate service 'vm:1' to node 'node1'")) == moves


def test_strict_rule_without_a_node_waits_for_it(run: Run) -> None:
    rules = {"r": {"type": "node-affinity", "resources": "vm:1", "nodes": "node3", "strict": "1"}}
    result = run(["power node3 off"], [], [], ["power node3 on"], services={"vm:1": on("node3")}, rules=rules)
    assert messages(result, "recover service")[-1].endswith("to previous failed and fenced node 'node3' again")
    assert result.world.running["node3"] == {"vm:1"}


def test_a_stopped_stop_fault_ends_in_error_until_disabled(run: Run) -> None:
    result = run(["service fa:1001 stopped"], ["service fa:1001 disabled"], services={"fa:1001": on("node1")})
    assert messages(result, "state changed from 'request_stop'", "from 'error'") == [
        "140 service 'fa:1001': state changed from 'request_stop' to 'error'",
        "220 service 'fa:1001': state changed from 'error' to 'stopped'",
    ]


@pytest.mark.parametrize(
    ("policy", "command", "expected"),
    [
        ("conditional", "reboot", "reboot LRM, stop and freeze all services"),
        ("conditional", "shutdown", "shutdown LRM, stop all services"),
        ("freeze", "shutdown", "shutdown LRM, stop and freeze all services"),
        ("failover", "reboot", "shutdown LRM, stop all services"),
        ("migrate", "reboot", "reboot LRM, doing maintenance, removing this node from active list"),
    ],
)
def test_shutdown_policies(run: Run, policy: str, command: str, expected: str) -> None:
    result = run([f"{command} node3"], services={"vm:1": on("node3")}, datacenter={"ha": {"shutdown_policy": policy}})
    assert messages(result, " LRM, ") == [f"120 {expected}"]
    moved = bool(messages(result, "FENCE", "start migrate"))
    assert moved == (policy == "migrate" or (command == "shutdown" and policy != "freeze"))


def test_maintenance_empties_a_node_and_fills_it_again(run: Run) -> None:
    result = run(
        ["crm node3 enable-node-maintenance"],
        [],
        ["crm node3 disable-node-maintenance"],
        services={"vm:1": on("node3")},
    )
    assert messages(result, "node 'node3': state", "moving service") == [
        "20 node 'node3': state changed from 'unknown' => 'online'",
        "140 node 'node3': state changed from 'online' => 'maintenance'",
        "340 node 'node3': state changed from 'maintenance' => 'online'",
        "340 moving service 'vm:1' back to 'node3', node came back from maintenance.",
    ]


def test_moved_while_disarmed(run: Run) -> None:
    result = run(
        ["crm node1 disarm-ha ignore"], ["service vm:1 manual-migrate node2"], ["crm node1 arm-ha"],
        services={"vm:1": on("node1")},
    )  # fmt: skip
    assert messages(result, "updating node") == [
        "320 service 'vm:1': updating node 'node1' => 'node2' (changed while disarmed)"
    ]


def test_commands_are_dropped_while_disarmed(run: Run) -> None:
    result = run(
        ["crm node1 disarm-ha freeze"], ["service vm:1 migrate node2"], ["crm node1 arm-ha"],
        services={"vm:1": on("node1")},
    )  # fmt: skip
    assert messages(result, "start migrate", "command: migrate") == []


def test_a_disarmed_node_is_not_fenced_but_waited_for(run: Run) -> None:
    result = run(
        ["crm node1 disarm-ha ignore"], ["network node3 off"], ["crm node1 arm-ha"], ["delay 99"], ["network node3 on"],
        services={"vm:1": on("node3")},
    )  # fmt: skip
    assert messages(result, "FENCE", "recover service") == []
    assert result.world.running["node3"] == {"vm:1"}


def test_negative_affinity_blocks_a_migration(run: Run) -> None:
    rules = {"r": {"type": "resource-affinity", "resources": "vm:1,vm:2", "affinity": "negative"}}
    result = run(["service vm:1 migrate node2"], services={"vm:1": on("node1"), "vm:2": on("node2")}, rules=rules)
    assert messages(result, "crm command") == [
        "120 crm command 'migrate vm:1 node2' error - service 'vm:2' on node 'node2' in negative affinity with"
        " service 'vm:1'"
    ]


def test_cluster_files_out_of_reach_for_the_manager(run: Run) -> None:
    result = run(["cfs node1 rw fail"], ["cfs node1 rw work"], services={"vm:1": on("node1")})
    assert messages(result, "got unexpected error", "updating service status")[:2] == [
        "120 got unexpected error - cfs connection refused - not mounted?",
        "121 updating service status from manager failed: cfs connection refused - not mounted?",
    ]
    assert not messages(result, "lost_", "poweroff")


def test_groups_become_rules_in_release_9_only(run: Run) -> None:
    groups = {"g1": {"type": "group", "nodes": "node1:2,node2", "restricted": "1", "nofailback": "1"}}
    services = {"vm:1": on("node1", group="g1")}
    sizes = {name: {"pve-manager-version": "9.0.0"} for name in ("node1", "node2", "node3")}
    result = run(services=services, groups=groups, sizes=sizes)
    assert result.world.groups == {}
    assert result.world.rules == {
        "ha-group-g1": {
            "type": "node-affinity",
            "resources": "vm:1",
            "nodes": "node1:2,node2",
            "strict": 1,
            "comment": "Generated from HA group 'g1'.",
        }
    }
    assert result.world.services["vm:1"] == {"node": "node1", "state": "started", "failback": 0}
    assert run(services=services, groups=groups, sizes=sizes, release=8).world.groups == groups


@pytest.mark.parametrize(
    ("version", "enough"),
    [("9.0.0~16", True), ("9.0.0~17", True), ("9.0.0", True), ("9.0.10", True), ("9.0.0~2", False), ("8.4.1", False)],
)
def test_versions_in_debian_order(version: str, enough: bool) -> None:
    assert new_enough(version) is enough


def test_a_vanished_node_is_gone_and_forgotten(run: Run) -> None:
    status = {"master_node": "node1", "node_status": {"node1": "online", "node9": "online"}, "service_status": {}}
    result = run(["delay 4000"], services={"vm:1": on("node1")}, manager_status=status)
    assert messages(result, "node9") == [
        "20 node 'node9': state changed from 'online' => 'gone'",
        "3620 deleting gone node 'node9', not a cluster member anymore.",
    ]


def test_auto_rebalance_waits_for_the_hold_duration(run: Run) -> None:
    limits = {"maxcpu": 8.0, "maxmem": 32 << 30}
    result = run(
        services={"vm:1": on("node1"), "vm:2": on("node1")},
        static_stats={"vm:1": limits, "vm:2": limits},
        datacenter={"crs": {"ha": "static", "ha-auto-rebalance": 1}},
    )
    assert messages(result, "auto rebalance") == [
        "80 auto rebalance - migrate vm:1 to node2 (expected change for imbalance from 1.41 to 0.71)"
    ]


def test_rebalance_on_start_leaves_a_running_guest_alone(run: Run) -> None:
    result = run(
        ["service vm:2 add node1 started 1"], ["service vm:3 add node1 started 0"],
        services={"vm:1": on("node1")},
        datacenter={"crs": {"ha": "basic", "ha-rebalance-on-start": 1}},
    )  # fmt: skip
    assert messages(result, "re-balance selected") == [
        "20 service vm:1: re-balance selected current node node1 for startup",
        "220 service vm:3: re-balance selected new node node2 for startup",
    ]


def test_a_guest_that_does_not_stop_does_not_hold_its_node_up(run: Run) -> None:
    result = run(["shutdown node3"], services={"fa:1001": on("node3"), "vm:1": on("node3")})
    assert messages(result, "unable to stop", "execute power node3 off", "got lock 'ha_agent_node3")[1:] == [
        "125 unable to stop service fa:1001 (still running)",
        "145 execute power node3 off",
        "260 got lock 'ha_agent_node3_lock'",
    ]


def test_positive_partners_follow_the_one_that_failed_to_start(run: Run) -> None:
    rules = {"r": {"type": "resource-affinity", "resources": "fa:190001,vm:1", "affinity": "positive"}}
    services = {"fa:190001": on("node1", max_restart=0, max_relocate=2), "vm:1": on("node1")}
    result = run(services=services, rules=rules)
    assert messages(result, "relocate service", "migrate service") == [
        "40 relocate service 'fa:190001' to node 'node2'",
        "40 migrate service 'vm:1' to node 'node2' (running)",
    ]


def test_a_new_manager_waits_for_the_lock_of_the_old_one(run: Run) -> None:
    off = [f"power {node} off" for node in ("node1", "node2", "node3")]
    result = run(off, ["power node2 on", "power node3 on"], services={"vm:1": on("node1")})
    assert messages(result, "=> master")[1:] == ["222 status change wait_for_quorum => master"]


def test_files_that_lag_behind_only_skip_rounds(run: Run) -> None:
    result = run(["cfs node1 update fail"], ["cfs node1 update work"], services={"vm:1": on("node1")})
    assert len(messages(result, "temporary inconsistent cluster state (cfs restart?), skip round")) == 10
    assert not messages(result, "lost_", "poweroff", "FENCE")


def test_skipped_rounds_are_logged_once_a_loop(run: Run) -> None:
    result = run(["skip-round crm 2"], services={"vm:1": on("node1")})
    assert messages(result, "skipping") == ["120 skipping CRM round", "140 skipping CRM round"]
