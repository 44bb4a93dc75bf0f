# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted when a whole cluster is shut down, and the order in which its guests go and come."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _power_guests, _run
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError, StateError
from ansible_collections.quorate.pve.plugins.module_utils._power_back import foretell
from ansible_collections.quorate.pve.plugins.module_utils._power_machines import Machines
from ansible_collections.quorate.pve.plugins.module_utils._power_note import GOING, Guest, Note, NoteFile

NOTE = Note(
    cluster="test",
    since="2026-11-22 08:00:00 UTC",
    phase=GOING,
    boots={"pve1": "a"},
    ha={"vm:101": "started"},
    guests=[Guest(101, "qemu", "pve1", managed=True), Guest(102, "lxc", "pve1", order=1, up=5)],
    flags=["noout"],
    osds={"0": "pve1"},
    ha_aside=True,
)


def test_the_note_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    file = NoteFile(str(tmp_path / "records" / "shutdown.json"), "test")
    assert file.read() is None
    file.write(NOTE)
    assert file.read() == NOTE
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.remove()
    assert file.read() is None


@pytest.mark.parametrize(("text", "why"), [("[]", "no note"), ("{", "no note"), ('{"cluster": "test"}', "no note")])
def test_what_is_no_note_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "shutdown.json"
    path.write_text(text)
    with pytest.raises(InputError, match=why):
        NoteFile(str(path), "test").read()


def test_another_clusters_note_is_refused(tmp_path: Path) -> None:
    file = NoteFile(str(tmp_path / "shutdown.json"), "test")
    file.write(NOTE)
    with pytest.raises(InputError, match="of the shutdown of test, not of other"):
        NoteFile(str(file.path), "other").read()


def test_what_will_come_back_is_told_from_the_note() -> None:
    assert [change.describe()["object"] for change in foretell(NOTE)] == [
        *("flag noout", "HA of the cluster", "guest 102 on pve1", "HA resource vm:101"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", {}), ("3", {"order": 3}), ("order=1,up=30,down=60", {"order": 1, "up": 30, "down": 60}), ("up=5", {"up": 5})],
)
def test_the_order_of_starts_is_read(text: str, found: dict[str, int]) -> None:
    assert _power_guests.startup(text) == found


class Server:
    """Notes what is posted; guests of `broken` do not shut down."""

    def __init__(self, broken: set[int]) -> None:
        self.posted: list[tuple[int, dict[str, Any]]] = []
        self.broken, self.client, self.clock, self.slept = broken, self, self, list[float]()

    def post(self, path: str, payload: dict[str, Any]) -> str:
        vmid = int(path.split("/")[4])
        self.posted.append((vmid, payload))
        if vmid in self.broken:
            raise StateError("VM quit/powerdown failed - got timeout")
        return "UPID"

    def get(self, _path: str) -> dict[str, Any]:
        return {"status": "running"}

    def finish_task(self, *_: object) -> None:
        """It ends at once."""

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


GUESTS = [
    Guest(1, "qemu", "pve1", order=1, up=30),
    Guest(2, "qemu", "pve2", order=2, down=10),
    Guest(3, "lxc", "pve2"),
    Guest(4, "lxc", "pve1", order=2),
]


def test_guests_go_in_the_opposite_of_the_order_in_which_they_come() -> None:
    server: Any = Server(set())
    _power_guests.shut_down(server, GUESTS, 180, {3: "stop"}, "leave")
    numbers = [vmid for vmid, _payload in server.posted]
    assert (numbers[0], set(numbers[1:3]), numbers[3]) == (3, {2, 4}, 1)
    assert dict(server.posted)[2] == {"timeout": 10, "forceStop": False}
    assert dict(server.posted)[3] == {"timeout": 180, "forceStop": True}
    server.posted.clear()
    _power_guests.start(server, GUESTS, 60)
    numbers = [vmid for vmid, _payload in server.posted]
    assert (numbers[0], set(numbers[1:3]), numbers[3]) == (1, {2, 4}, 3)
    assert server.slept == [30]


def test_those_that_do_not_obey_are_named_and_the_others_of_their_turn_go() -> None:
    server: Any = Server({2})
    with pytest.raises(StateError, match="guests 2 do not shut down") as told:
        _power_guests.shut_down(server, GUESTS, 180, {}, "leave")
    assert "Say stop" in told.value.hint
    assert {vmid for vmid, _payload in server.posted} == {2, 3, 4}


def test_a_machine_is_off_when_it_is_silent_and_its_button_does_not_say_otherwise() -> None:
    entry = {"address": "127.0.0.1", "host_key": None}
    on = {"status": ["echo", "{node} is on"]}
    machines = Machines([{**entry, "node": "a", "power": on}, {**entry, "node": "b"}], (1,), 5)
    assert machines.answering() == []
    assert machines.off(["a", "b"]) == ["b"]
    assert not machines.can_be_switched_on("a")


def test_the_worker_of_a_killed_run_leaves_the_note_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives on for a while, and the next run may be at work already."""
    file = NoteFile(str(tmp_path / "shutdown.json"), "test")
    file.write(NOTE)
    playbook = subprocess.Popen(["true"])
    playbook.wait()
    monkeypatch.setattr(_run, "current", _run.Task(process=playbook.pid))
    for change in (file.remove, lambda: file.write(NOTE)):
        with pytest.raises(StateError, match="the run was killed"):
            change()
    assert file.read() == NOTE
