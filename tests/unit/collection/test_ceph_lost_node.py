# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node that is gone has left in Ceph: its keys, which are asked for and removed over SSH."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _ceph_lost_node

from .scripted import Step, get

HERE = "/nodes/localhost/ceph"
OURS = ("client.crash.pve3", "mds.pve3", "mgr.pve3")
OTHERS = ("client.admin", "mds.pve3-a", "mgr.pve1", "osd.3")
NODES = {"nodes": [{"node": "pve1", "address": "192.0.2.11"}], "node": "pve3"}
NOTHING = [get(f"{HERE}/osd", {"root": {"children": []}}), get(f"{HERE}/mon", [])]


class Console:
    """Ceph's commands that were given on a node, and the keys that there are."""

    def __init__(self, *keys: str) -> None:
        self.keys = [*keys]
        self.given: list[Sequence[str]] = []

    def run(self, words: Sequence[str]) -> str:
        if words[:3] == ["ceph", "auth", "ls"]:
            return json.dumps({"auth_dump": [{"entity": each, "key": "AQ==", "caps": {}} for each in self.keys]})
        self.given.append(words)
        self.keys.remove(words[-1])
        return ""


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    made = Console(*OURS, *OTHERS)

    @contextmanager
    def there(*_given: Any) -> Iterator[Console]:
        yield made

    monkeypatch.setattr(_ceph_lost_node, "on_a_node", there)
    return made


def listed(managers: list[dict[str, Any]], *, online: bool) -> list[Step]:
    """What is looked at when daemons of the node's name have keys."""
    nodes = [{"node": "pve1", "status": "online"}, {"node": "pve3", "status": "online" if online else "offline"}]
    return [get(f"{HERE}/mgr", managers), *([get("/nodes", nodes)] if managers else []), get(f"{HERE}/mds", [])]


@pytest.mark.parametrize("check", [False, True], ids=["for real", "in check mode"])
def test_what_its_daemons_have_left_is_removed(run: Any, console: Console, check: bool) -> None:
    result = run("ceph_lost_node", [*NOTHING, *listed([], online=False), *([] if check else NOTHING)], check, **NODES)
    assert [(change["action"], change["object"]) for change in result["plan"]] == [
        ("delete", f"key {entity}") for entity in OURS
    ]
    assert console.given == ([] if check else [["ceph", "auth", "del", entity] for entity in OURS])
    assert "AQ==" not in json.dumps(result)


def test_a_second_run_finds_nothing(run: Any, console: Console) -> None:
    console.keys = [*OTHERS]
    result = run("ceph_lost_node", NOTHING, **NODES)
    assert (result["changed"], result["plan"], result["calls"]) == (False, [], len(NOTHING))


@pytest.mark.parametrize("online", [True, False])
def test_the_key_of_a_manager_that_is_there_stays(run: Any, console: Console, online: bool) -> None:
    """A list may have one on a node that has just died, or that is stopped."""
    manager = [{"name": "pve3", "host": "pve3", "state": "stopped"}]
    result = run("ceph_lost_node", [*NOTHING, *listed(manager, online=online)], check=True, **NODES)
    kept = {"key mgr.pve3"} if online else set()
    assert {change["object"] for change in result["plan"]} == {f"key {entity}" for entity in OURS} - kept


def test_what_steps_before_would_have_removed_is_taken_for_gone(run: Any, console: Console) -> None:
    osd = {"id": 2, "type": "osd", "name": "osd.2", "host": "pve3", "status": "up", "in": 1}
    tree = {"root": {"children": [{"id": -4, "type": "host", "name": "pve3", "children": [osd]}]}}
    monitors = [{"name": "pve3", "host": "pve3", "rank": 2, "addr": "192.0.2.13:6789/0"}]
    steps = [get(f"{HERE}/osd", tree), get(f"{HERE}/mon", monitors)]
    result = run("ceph_lost_node", steps, check=True, assume_empty=True, **NODES)
    assert [change["object"] for change in result["plan"]] == [
        "CRUSH bucket pve3",
        *(f"key {entity}" for entity in OURS),
    ]
