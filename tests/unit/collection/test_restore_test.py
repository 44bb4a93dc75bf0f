# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore tests against scripts: who is due, what is destroyed again, and what is written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .scripted import Step, delete, get, post, refused

NOW = 1_795_305_600
DAY = 86_400
UPID = "UPID:pve1:00000F00:00001000:66000000:qmrestore:9001:root@pam:"
GONE = "UPID:pve1:00000F00:00001000:66000000:qmdestroy:9001:root@pam:"
TEST = "/nodes/pve1/qemu/9001"


def volid(vmid: int) -> str:
    return f"backup:backup/vm/{vmid}/x"


def rows(*vmids: int) -> list[dict[str, Any]]:
    return [{"volid": volid(vmid), "vmid": vmid, "ctime": NOW - 60, "size": 7} for vmid in vmids]


LOOK = [
    get("/nodes", [{"node": "pve1", "status": "online"}]),
    get("/nodes/pve1/storage/backup/content", rows(101, 102, 103), content="backup"),
    get("/nodes/pve1/time", {"time": NOW}),
    get("/cluster/resources", [{"vmid": 9000, "node": "pve1", "type": "qemu"}], type="vm"),
]
MAY = get("/access/permissions", {"/vms": {"VM.Allocate": 1, "VM.Audit": 1, "VM.PowerMgmt": 1}})
WANTED: dict[str, Any] = {"source": "backup", "node": "pve1"}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """101 was tested yesterday, 102 failed yesterday, 103 was tested a month ago."""
    tests = [(101, 1, True), (102, 1, False), (103, 30, True)]
    lines = [json.dumps({"vmid": vmid, "time": NOW - days * DAY, "ok": ok}) for vmid, days, ok in tests]
    (file := tmp_path / "results").write_text("\n".join(lines) + "\n")
    return file


def test_whose_last_good_test_is_longest_ago_comes_first(run: Any, results: Path) -> None:
    result = run("restore_test", LOOK, True, **WANTED, results=str(results), count=3, every="7d")
    assert [change["object"].rpartition(" ")[2] for change in result["plan"]] == ["102", "103"]
    assert result["plan"][0]["fields"]["as"]["after"] == 9001
    assert len(results.read_text().splitlines()) == 3


def test_what_was_tested_is_left_alone(run: Any, results: Path) -> None:
    result = run("restore_test", LOOK[:3], **WANTED, results=str(results), guests=[101], every="7d")
    assert not result["changed"]


def restoring(*ends: Step) -> list[Step]:
    """The calls of a restore of 102 as 9001 up to its task."""
    return [
        *LOOK,
        MAY,
        get("/nodes/pve1/time", {"time": NOW}),
        get("/storage", [{"storage": "backup"}]),
        get("/nodes/pve1/storage/backup/content", rows(102), content="backup"),
        get("/nodes/pve1/vzdump/extractconfig", "net0: virtio,bridge=vmbr0", volume=volid(102)),
        get("/nodes/pve1/storage", [{"storage": "tank"}], enabled=1),
        post(
            "/nodes/pve1/qemu",
            UPID,
            vmid=9001,
            archive=volid(102),
            unique=1,
            start=1,
            onboot="0",
            name="restore-test-102",
            net0="virtio,bridge=vmbr0,link_down=1",
        ),
        *ends,
    ]


def test_the_copy_is_destroyed_again(run: Any, results: Path) -> None:
    config = get(f"{TEST}/config", {"name": "restore-test-102", "agent": "1"})
    running = get(f"{TEST}/status/current", {"status": "running"})
    steps = restoring(
        get(f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": "OK"}),
        config,
        get(f"/nodes/pve1/tasks/{UPID}/log", [], limit=0),
        config,
        running,
        refused("POST", f"{TEST}/agent/ping", 500, "QEMU guest agent is not running"),
        running,
        post(f"{TEST}/agent/ping", {}),
        config,
        running,
        post(f"{TEST}/status/stop", None),
        delete(TEST, GONE, **{"purge": 1, "destroy-unreferenced-disks": 1}),
        get(f"/nodes/pve1/tasks/{GONE}/status", {"status": "stopped", "exitstatus": "OK"}),
    )
    result = run("restore_test", steps, **WANTED, results=str(results))
    assert result["changed"], result
    row = json.loads(results.read_text().splitlines()[-1])
    assert (row["vmid"], row["ok"], row["agent"], row["bytes"]) == (102, True, True, 7)


def test_a_failure_is_written_down_and_somebody_elses_guest_spared(run: Any, results: Path) -> None:
    steps = restoring(
        get(f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": "VM 9001 already exists"}),
        get(f"/nodes/pve1/tasks/{UPID}/log", [], limit=0),
        get(f"{TEST}/config", {"name": "somebody's"}),
    )
    result = run("restore_test", steps, **WANTED, results=str(results))
    assert "guest 102: the task qmrestore on pve1 failed: VM 9001 already exists" in result["msg"]
    row = json.loads(results.read_text().splitlines()[-1])
    assert (row["vmid"], row["ok"]) == (102, False)
    assert "already exists" in row["error"]


def test_results_that_cannot_be_written_stop_it_before(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("restore_test", [*LOOK, MAY], **WANTED, results=str(tmp_path / "file" / "results"))
    assert "cannot be written" in result["msg"]
    (tmp_path / "file").write_text("nonsense\n")
    assert "cannot be read" in run("restore_test", [], **WANTED, results=str(tmp_path / "file"))["msg"]


def test_nothing_is_restored_that_could_not_be_destroyed_again(run: Any, results: Path) -> None:
    before = results.read_text()
    held = {"/vms": {"VM.Allocate": 1, "VM.PowerMgmt": 0}}
    exact = get("/access/permissions", {"/vms/9001": {"VM.Allocate": 1}}, path="/vms/9001")
    steps = [*LOOK, get("/access/permissions", held), exact]
    message = run("restore_test", steps, **WANTED, results=str(results))["msg"]
    assert "this login lacks VM.Audit on /vms/9001, VM.PowerMgmt on /vms/9001" in message
    assert results.read_text() == before


def test_a_copy_that_stays_is_told_of_beside_what_went_wrong(run: Any, results: Path) -> None:
    """A right that was taken away in the meantime is not waited for, and leaves the copy there."""
    config = get(f"{TEST}/config", {"name": "restore-test-102", "agent": "1"})
    steps = restoring(
        get(f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": "OK"}),
        config,
        get(f"/nodes/pve1/tasks/{UPID}/log", [], limit=0),
        config,
        get(f"{TEST}/status/current", {"status": "running"}),
        refused("POST", f"{TEST}/agent/ping", 403, "Permission check failed (/vms/9001, VM.GuestAgent.Audit)"),
        refused("GET", f"{TEST}/config", 403, "Permission check failed (/vms/9001, VM.Audit)"),
    )
    message = run("restore_test", steps, **WANTED, results=str(results))["msg"]
    assert "VM.GuestAgent.Audit" in message
    assert "Destroy guest 9001 on pve1 yourself" in message
