# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report says of backups: against what their jobs promise, on every server, and whether they were restored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError
from ansible_collections.quorate.pve.plugins.module_utils._report_model import build
from ansible_collections.quorate.pve.plugins.module_utils._report_raw import BackupClass, BackupServer, Raw, Wishes
from ansible_collections.quorate.pve.plugins.module_utils._report_read import read_records

from ...report_models import NOW, raw

HOUR = 3600
HOURLY = {"id": "hourly", "schedule": "hourly", "storage": "backup", "vmid": "103"}
NIGHTLY = {"id": "nightly", "schedule": "daily", "storage": "backup", "all": 1, "exclude": "103"}


def snapshots(**hours: float) -> list[dict[str, Any]]:
    """One of each guest, so many hours old."""
    verified = {"store": "main", "ns": "", "verification": {"state": "ok"}}
    return [
        {"backup-type": "vm", "backup-id": vmid[1:], "backup-time": NOW - int(age * HOUR), **verified}
        for vmid, age in hours.items()
    ]


def cluster(first: dict[str, float], second: dict[str, float], **more: Any) -> Raw:
    """Backups go to pbs1; pbs2 pulls every hour."""
    servers = [
        BackupServer("pbs1", ("10.0.0.50",), snapshots(**first)),
        BackupServer("pbs2", ("10.0.0.51",), snapshots(**second), syncs=[{"id": "s", "schedule": "hourly"}]),
    ]
    return replace(raw(guests=4), servers=servers, backup_jobs=[HOURLY, NIGHTLY], **more)


ALL = {"v100": 20.0, "v101": 20.0, "v102": 20.0, "v103": 1.0}
CLASSES = Wishes(backup_classes=[BackupClass("hourly", 2 * HOUR)])


def rows(found: Raw, wishes: Wishes = CLASSES) -> dict[int, dict[str, Any]]:
    return {row["vmid"]: row for row in build(found, wishes)["backups"]["guests"]}


def test_each_guest_is_held_to_what_its_job_promises() -> None:
    model = build(cluster(ALL, ALL), CLASSES)
    found = {row["vmid"]: row for row in model["backups"]["guests"]}
    assert (found[103]["class"], found[103]["allowed"]) == ("hourly", 2 * HOUR)
    assert (found[100]["class"], found[100]["job"], found[100]["allowed"]) == ("", "nightly", 36 * HOUR)
    assert {row["severity"] for row in found.values()} == {"good"}
    assert model["backups"]["classes"] == [{"name": "hourly", "guests": 1, "gaps": 0, "allowed": 2 * HOUR}]
    assert model["backups"]["everywhere"] == model["protected"]["backed_up_everywhere"] == 4
    assert next(guest for guest in model["guests"] if guest["vmid"] == 103)["subject"] == "vm 103 (guest103, hourly)"


def test_without_a_word_the_schedule_promises() -> None:
    assert rows(cluster(ALL, ALL), Wishes())[103]["allowed"] == 1.5 * HOUR


def test_a_class_that_is_behind_names_its_job() -> None:
    late = {**ALL, "v103": 3.0}
    found = rows(cluster(late, late))[103]
    assert (found["severity"], found["text"]) == (
        "warning",
        "the newest backup is 3 h old, 2 h (hourly) are allowed",
    )


@pytest.mark.parametrize(("age", "severity"), [(3.0, "good"), (5.0, "warning")])
def test_a_copy_may_be_older_by_what_its_sync_takes(age: float, severity: str) -> None:
    found = rows(cluster(ALL, {**ALL, "v103": age}))[103]
    assert found["severity"] == severity, found["text"]
    assert severity == "good" or found["text"] == "the copy on pbs2 is 5 h old"


def test_a_guest_that_is_on_one_server_only_comes_first() -> None:
    model = build(cluster(ALL, {name: age for name, age in ALL.items() if name != "v102"}), CLASSES)
    first = model["backups"]["guests"][0]
    assert (first["vmid"], first["text"], first["everywhere"]) == (102, "no copy on pbs2", False)
    assert model["protected"]["backed_up_everywhere"] == 3


def test_restores_that_were_tried(tmp_path: Path) -> None:
    good = {"vmid": 103, "backup": "b", "node": "pve2", "time": NOW - 86_400, "ok": True, "seconds": 12.4}
    good |= {"bytes": 2**30, "boot_seconds": 31.0, "agent": True}
    bad = {"vmid": 101, "backup": "b", "node": "pve2", "time": NOW - 60, "ok": False, "error": "no room"}
    old = {**bad, "time": NOW - 9 * 86_400, "ok": True}
    gone = {**good, "vmid": 999}
    file = tmp_path / "restore-tests.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in (old, good, gone, bad)))
    model = build(cluster(ALL, ALL, restores=read_records(str(file))), CLASSES)
    failed, fine = model["restores"]
    assert (failed["guest"], failed["text"], failed["tests"]) == (101, "failed: no room", 2)
    assert fine["text"] == "1 GiB restored in 12 s, started 31 s later, its agent answered"
    texts = {one["text"]: one["severity"] for one in model["findings"] if one["area"] == "backups"}
    assert any(text.startswith("guest 101: the last restore test") for text in texts)
    assert texts["backups of 2 guests were never restored to see that they can be (100, 102)"] == "info"
    sentences = {guest["vmid"]: guest["sentence"] for guest in model["guests"]}
    assert "restore tested 24 h ago" in sentences[103]
    assert "restore tested 9 days ago" in sentences[101]
    assert model["protected"]["restored"] == 2


def test_records_of_nothing_and_of_nonsense(tmp_path: Path) -> None:
    assert read_records(None) == read_records(str(tmp_path / "none.jsonl")) == []
    (tmp_path / "one.jsonl").write_text("{")
    with pytest.raises(InputError, match=r"one\.jsonl is no record"):
        read_records(str(tmp_path))
