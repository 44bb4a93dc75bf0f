# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of /cluster/ha/status/current."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack.ha.status import current, service_state

T = 1795290831


def show(**changes: Any) -> list[dict[str, Any]]:
    arguments: dict[str, Any] = {
        "node": "pve1",
        "quorate": True,
        "now": T + 3,
        "manager": {
            "master_node": "pve3",
            "timestamp": T,
            "node_status": {"pve1": "online", "pve2": "online"},
            "service_status": {"vm:100": {"node": "pve1", "state": "started", "uid": "u", "running": 1}},
        },
        "lrm": {
            "pve1": {"state": "active", "mode": "active", "timestamp": T + 3, "results": {}},
            "pve2": {"state": "wait_for_agent_lock", "mode": "active", "timestamp": T + 4, "results": {}},
        },
        "resources": {"vm:100": {"node": "pve1", "state": "started"}},
        **changes,
    }
    return current(**arguments)


def texts(entries: list[dict[str, Any]]) -> list[str]:
    return [f"{entry['id']}: {entry['status']}" for entry in entries]


def test_a_healthy_cluster() -> None:
    entries = show()
    assert texts(entries) == [
        "quorum: OK",
        "master: pve3 (active, Sat Nov 21 19:53:51 2026)",
        "fencing: armed (CRM watchdog active)",
        "lrm:pve1: pve1 (active, watchdog active, Sat Nov 21 19:53:54 2026)",
        "lrm:pve2: pve2 (idle, watchdog standby, Sat Nov 21 19:53:55 2026)",
        "service:vm:100: vm:100 (pve1, started)",
    ]
    assert entries[2]["armed-state"] == "armed"
    assert entries[5] == {
        "id": "service:vm:100",
        "type": "service",
        "sid": "vm:100",
        "node": "pve1",
        "crm_state": "started",
        "request_state": "started",
        "state": "started",
        "status": "vm:100 (pve1, started)",
        "max_restart": 1,
        "max_relocate": 1,
        "failback": 1,
    }


def test_release_8_has_no_fencing_no_watchdog_and_no_failback() -> None:
    entries = show(release=8)
    assert [entry["type"] for entry in entries] == ["quorum", "master", "lrm", "lrm", "service"]
    assert entries[2]["status"] == "pve1 (active, Sat Nov 21 19:53:54 2026)"
    assert "failback" not in entries[4]


def test_no_quorum_and_old_timestamps() -> None:
    entries = texts(show(quorate=False, now=T + 200))
    assert entries[0] == "quorum: No quorum on node 'pve1'!"
    assert entries[1] == "master: pve3 (old timestamp - dead?, Sat Nov 21 19:53:51 2026)"
    assert entries[2] == "fencing: standby (CRM watchdog standby)"
    assert entries[3].startswith("lrm:pve1: pve1 (old timestamp - dead?, watchdog standby,")


def test_nothing_but_quorum_and_fencing_before_any_manager_ran() -> None:
    assert texts(show(manager={}, lrm={}, resources={})) == ["quorum: OK", "fencing: standby (CRM watchdog standby)"]


def test_disarmed() -> None:
    manager = {"master_node": "pve3", "timestamp": T, "disarm": {"mode": "ignore", "state": "disarmed"}}
    fencing = show(manager=manager)[2]
    assert (fencing["armed-state"], fencing["resource_mode"]) == ("disarmed", "ignore")


@pytest.mark.parametrize(
    ("service", "resource", "expected"),
    [
        (None, {"node": "n", "state": "started"}, "queued"),
        (None, {"node": "n", "state": "ignored"}, "ignored"),
        ({"state": "started"}, None, "deleting"),
        ({"state": "started"}, {"state": "started"}, "not found"),
        ({"state": "started"}, {"node": "n", "state": "enabled"}, "starting"),
        ({"state": "started", "running": 1}, {"node": "n", "state": "started"}, "started"),
        ({"state": "started", "running": 1}, {"node": "n", "state": "stopped"}, "stopping"),
        ({"state": "stopped"}, {"node": "n", "state": "disabled"}, "disabled"),
        ({"state": "stopped"}, {"node": "n", "state": "started"}, "starting"),
        ({"state": "error"}, {"node": "n", "state": "disabled"}, "clearing error flag"),
        ({"state": "recovery"}, {"node": "n", "state": "started"}, "recovery"),
    ],
)
def test_states_in_words(service: Any, resource: Any, expected: str) -> None:
    assert service_state(service, resource, disarmed_ignore=False) == expected
