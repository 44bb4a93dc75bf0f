# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a whole run holds its modules to: limits, plans, the lock, the restore point, the audit trail."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _restore_point, _run, _run_lock
from ansible_collections.quorate.pve.plugins.module_utils._client import Client, Connection
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError, StateError
from ansible_collections.quorate.pve.plugins.module_utils._limits import allowance
from ansible_collections.quorate.pve.plugins.module_utils._plan_file import Entry, PlanFile, differences
from ansible_collections.quorate.pve.plugins.module_utils._run_marker import Holder, place
from ansible_collections.quorate.pve.plugins.module_utils._run_plan import run as run_plan
from ansible_collections.quorate.pve.plugins.module_utils._run_records import record

from .scripted import Step, delete, get, post, put, refused

STORAGES = [{"storage": f"s{number}", "type": "dir", "path": f"/s{number}"} for number in range(10)]
S1 = {"storage": "s1", "content": ["iso"]}
CHANGED = [{**STORAGES[1], "content": "iso"}]
UNUSED: dict[str, Any] = {"purge": True, "allow_removal_in_use": True}


@pytest.mark.parametrize(
    ("limit", "existing", "allowed"),
    [("20%", 100, 20), ("20%", 9, 1), ("20%", 0, 1), ("0%", 100, 0), ("7", 3, 7), ("0", 3, 0), ("33.4 %", 3, 1)],
)
def test_a_limit_is_a_share_or_a_number(limit: str, existing: int, allowed: int) -> None:
    assert allowance(limit, existing, "purge_limit") == allowed


@pytest.mark.parametrize("limit", ["", "many", "-1", "1.5", "120%"])
def test_what_is_no_limit(limit: str) -> None:
    with pytest.raises(InputError, match="neither a share"):
        allowance(limit, 10, "purge_limit")


def test_a_purge_of_more_than_the_limit_is_refused_before_the_first_write(run: Any) -> None:
    wanted = [{"storage": "s0", "content": ["iso"]}, {"storage": "s9", "state": "ignore"}]
    result = run("storages", [get("/storage", STORAGES)], storages=wanted, **UNUSED)
    assert result["msg"] == (
        "purge: purge would remove 8 of 10 objects of the kind 'storage', and purge_limit: 20% allows 2: "
        "s1, s2, s3, s4, s5, s6, s7, s8. If that is meant, set purge_limit: 8; what shall stay needs an element in the "
        "list (state: ignore). Nothing was changed."
    )
    assert run("storages", [get("/storage", STORAGES)], check=True, storages=wanted, purge_limit="8", **UNUSED)[
        "changed"
    ]


def test_what_is_said_to_be_absent_is_meant(run: Any) -> None:
    wanted = [{"storage": f"s{number}", "state": "absent"} for number in range(10)]
    steps = [get("/storage", STORAGES), *(delete(f"/storage/s{number}") for number in range(10)), get("/storage", [])]
    assert run("storages", steps, storages=wanted, **UNUSED)["changed"]


def test_in_check_mode_nothing_can_be_written(client: Any) -> None:
    made = client()
    made.read_only = True
    with pytest.raises(StateError, match="in check mode nothing is written: POST /storage"):
        made.post("/storage", {})


# --- a task of a run


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _run.Task:
    """A task that has to keep to what its run allows; the lock is that of nobody else."""
    directory = tmp_path / "run"
    directory.mkdir()
    safety = _run.Safety("ha-lab", tmp_path / "records", lock=False, restore_point=False)
    made = _run.Task("storages", directory, os.getpid(), safety, host="pve1")
    monkeypatch.setattr(_run, "current", made)
    return made


def limited(task: _run.Task, **changed: Any) -> None:
    assert task.safety is not None
    task.safety = _run.Safety(**{**task.safety.__dict__, **changed})


LOCK_FIRST = [get("/storage", STORAGES)]
"""The reads of a module that starts again once the run has the lock."""


def test_a_module_starts_again_when_the_lock_is_taken(run: Any, task: _run.Task) -> None:
    changed = [STORAGES[0], *CHANGED, *STORAGES[2:]]
    steps = [*LOCK_FIRST, get("/storage", STORAGES), put("/storage/s1", None, content="iso"), get("/storage", changed)]
    assert run("storages", steps, storages=[S1])["changed"]
    # the second task of the run has it already
    assert run("storages", [get("/storage", changed)], storages=[S1])["changed"] is False


def test_nothing_to_change_is_one_call_and_takes_no_lock(run: Any, task: _run.Task) -> None:
    limited(task, lock=True, restore_point=True)
    assert not run("storages", [get("/storage", CHANGED)], storages=[S1])["changed"]
    assert task.directory is not None
    assert list(task.directory.iterdir()) == []


def test_a_restore_point_is_taken_before_the_first_write(
    run: Any, task: _run.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        _restore_point, "BACKUP_SERVER", {"prune-jobs.json": "/config/prune", "acl.json": "/access/acl"}
    )
    limited(task, restore_point=True, kind="pbs", keep=1)
    assert task.safety is not None
    restore = task.safety.directory / "restore"
    old = restore / "20200101T000000Z"
    old.mkdir(parents=True)
    other, job = ({"id": name, "store": "main", "schedule": "daily"} for name in ("other", "main"))
    look = [get("/config/prune", [other]), get("/config/datastore", [{"name": "main"}])]
    kept = [get("/config/prune", [other]), refused("GET", "/access/acl", 403, "permission check failed")]
    monkeypatch.setattr(_restore_point, "side_by_side", lambda work, things: [work(thing) for thing in things])
    steps = [*look, *kept, *look, post("/config/prune", None, **job), get("/config/prune", [other, job])]
    assert run("pbs_prune_jobs", steps, jobs=[job])["changed"]
    # the newest only, of what could be fetched
    (point,) = restore.iterdir()
    assert json.loads((point / "prune-jobs.json").read_text()) == [other]
    assert sorted(path.name for path in point.iterdir()) == ["manifest.json", "prune-jobs.json"]


def test_a_share_of_the_objects_may_change(run: Any, task: _run.Task) -> None:
    limited(task, max_changes="20%")
    wanted = [{"storage": f"s{number}", "content": ["iso"]} for number in range(3)]
    result = run("storages", [get("/storage", STORAGES)], storages=wanted)
    assert result["msg"].startswith(
        "3 of 10 objects of the kind 'storage' would be changed or removed, and pve_safety.max_changes: 20% allows 2: "
        "s0, s1, s2."
    )
    new = [{"storage": f"n{number}", "type": "dir", "path": f"/n{number}"} for number in range(3)]
    assert run("storages", [get("/storage", STORAGES)], check=True, storages=[*wanted[:2], *new])["changed"]


def test_a_module_does_what_the_plan_says_or_nothing(run: Any, task: _run.Task, tmp_path: Path) -> None:
    fields = {"content": {"before": None, "after": ["iso"]}}
    entry = {"module": "storages", "action": "update", "object": "storage s1", "fields": fields}
    file = tmp_path / "plan.json"
    PlanFile.make({"ha-lab": {"entries": [entry]}}).write(str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    limited(task, plan=str(file))
    other = run("storages", [get("/storage", STORAGES)], storages=[{"storage": "s1", "content": ["images"]}])
    assert "update storage s1: content None → ['images'] instead of None → ['iso']" in other["msg"]
    assert (
        "update storage s2 is not in the plan"
        in run("storages", [get("/storage", STORAGES)], storages=[S1, {"storage": "s2", "content": ["iso"]}])["msg"]
    )
    changed = [STORAGES[0], *CHANGED, *STORAGES[2:]]
    steps = [*LOCK_FIRST, get("/storage", STORAGES), put("/storage/s1", None, content="iso"), get("/storage", changed)]
    assert run("storages", steps, storages=[S1])["changed"]


def test_a_module_that_was_not_compared_cannot_write(client: Any, task: _run.Task) -> None:
    with pytest.raises(StateError, match="writes without having been compared"):
        client().post("/storage", {})


# --- plans


def entry(action: str, name: str, **fields: Any) -> Entry:
    return Entry("m", action, name, {key: {"before": None, "after": value} for key, value in fields.items()})


def test_how_plans_differ() -> None:
    planned = [entry("create", "a", x=1), entry("create", "b", x=1), entry("delete", "c")]
    assert differences(planned, list(reversed(planned))) == []
    assert differences(planned, [entry("create", "a", x=2), entry("create", "b", x=1), entry("update", "d")]) == [
        "create a: x None → 2 instead of None → 1",
        "update d is not in the plan",
        "delete c is in the plan, and there is nothing to be done",
    ]
    assert differences(planned, [], missing=False) == []


def test_a_plan_that_was_changed_is_none(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    PlanFile.make({"x": {"entries": [entry("create", "a", x=1).as_dict()]}}).write(str(file))
    content = json.loads(file.read_text())
    content["targets"]["x"]["entries"][0]["object"] = "b"
    file.write_text(json.dumps(content))
    for text, words in ((None, "was changed after it was made"), ("[]", "no plan of this"), ("{", "is no plan")):
        if text is not None:
            file.write_text(text)
        with pytest.raises(InputError, match=words):
            PlanFile.read(str(file))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        PlanFile.read(str(tmp_path / "none"))


def test_the_plan_of_a_run(task: _run.Task, tmp_path: Path) -> None:
    changes = [
        {"action": "create", "object": "ha resource vm:107", "fields": {"state": {"before": None, "after": "started"}}},
        {"action": "update", "object": "ceph pool vm", "fields": {"min_size": {"before": 1, "after": 2}}},
        {"action": "delete", "object": "storage s", "fields": {}},
    ]
    task.counts = _run.Counts(6, 0, 214)
    record(task, {"changed": True, "plan": changes, "unknown": ["x: not there yet"]}, name="t", check_mode=True)
    task.counts = _run.Counts(1, 1)
    record(task, {"changed": True, "plan": changes[:1]}, name="t", check_mode=False)
    result = run_plan({"save": f"{tmp_path}/plans/", "compare": None, "done": False}, True)
    assert result["text"].splitlines()[:5] == [
        "ha-lab: 1 to create, 1 to change, 1 to delete (of 214 objects), 6 API calls made, 0 written",
        "  + ha resource vm:107  state started",
        "  ~ ceph pool vm        min_size 1 → 2",
        "  - storage s",
        "  ? x: not there yet",
    ]
    assert (result["changes"], result["unknown"]) == (3, 1)
    assert Path(result["file"]).name.startswith("ha-lab-")
    assert run_plan({"save": None, "compare": result["file"], "done": False}, True)["hash"] == result["hash"]
    with pytest.raises(StateError, match="nothing to be done"):
        run_plan({"save": None, "compare": result["file"], "done": True}, True)


# --- the trail


def test_what_was_done_is_written_down(task: _run.Task) -> None:
    assert task.safety is not None
    change = {"action": "create", "object": "storage s", "fields": {"password": {"before": None, "after": "********"}}}
    task.counts = _run.Counts(3, 1, 1, ["UPID:pve1:…"])
    record(task, {"changed": True, "plan": [change]}, name="Register the storages", check_mode=False)
    record(task, {"changed": True, "plan": [change]}, name="only looked", check_mode=True)
    record(task, {"failed": True, "msg": "no", "done": [], "not_done": [change]}, name="half", check_mode=False)
    task.counts = _run.Counts(1)
    record(task, {"changed": False, "plan": []}, name="nothing", check_mode=False)
    trail = task.safety.directory / "audit.jsonl"
    first, second = map(json.loads, trail.read_text().splitlines())
    assert (first["target"], first["module"], first["changes"], first["upids"]) == (
        "ha-lab",
        "storages",
        [change],
        ["UPID:pve1:…"],
    )
    assert (second["failed"], second["changes"]) == ("no", [])
    assert stat.S_IMODE(trail.stat().st_mode) == 0o600
    assert stat.S_IMODE(trail.parent.stat().st_mode) == 0o700


def test_the_commit_is_that_of_the_first_change(task: _run.Task, tmp_path: Path) -> None:
    assert task.safety is not None
    assert task.directory is not None
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    git = ["git", "-C", str(inventory), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    task.safety = replace(task.safety, inventory=str(inventory))
    task.counts = _run.Counts(2, 1)
    for name in ("one", "another"):
        record(task, {"changed": True, "plan": []}, name=name, check_mode=False)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "meanwhile"], check=True)
    lines = (task.safety.directory / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["commit"] for line in lines] == [commit, commit]


def test_an_inventory_outside_of_git_has_no_commit(task: _run.Task, tmp_path: Path) -> None:
    assert task.safety is not None
    task.safety = replace(task.safety, inventory=str(tmp_path / "nowhere"))
    task.counts = _run.Counts(2, 1)
    record(task, {"changed": True, "plan": []}, name="one", check_mode=False)
    assert json.loads((task.safety.directory / "audit.jsonl").read_text())["commit"] is None


# --- the lock


@pytest.fixture
def locked(task: _run.Task) -> Callable[[int], list[str]]:
    """`locked(process)`: take the lock of a backup server, which needs no marker, for a run of that process."""

    def take(process: int) -> list[str]:
        limited(task, lock=True, kind="pbs")
        task.process = process
        assert task.safety is not None
        return _run_lock.acquire(Client(Connection(("127.0.0.1",), password="x")), task, task.safety)

    return take


def sleeper() -> subprocess.Popen[str]:
    """A process that lives until it is ended."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)


def test_one_run_holds_the_lock_and_its_end_frees_it(task: _run.Task, locked: Callable[[int], list[str]]) -> None:
    assert task.safety is not None
    assert task.directory is not None
    first, second = sleeper(), sleeper()
    try:
        assert locked(first.pid) == []
        mark = _run_lock.begun(task, task.safety)
        assert _run_lock.holds(task, task.safety)
        # another task of the same run
        assert locked(first.pid) == []
        with pytest.raises(StateError, match=f"another run has the lock: .*process {first.pid}"):
            locked(second.pid)
        # a run that is killed lets go of it
        first.kill()
        first.wait()
        assert locked(second.pid) == []
        assert mark.exists()
        _run_lock.release(task.directory)
        assert not mark.exists()
        assert (task.safety.directory / "lock").read_bytes() == b""
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def marker_steps(comment: str, *more: Step) -> list[Step]:
    exists = Step("POST", "/pools", status=500, reason="create pool failed", body={"message": "pool already exists"})
    return [exists, get("/pools", [{"poolid": "quorate-run", "comment": comment}]), *more]


OWN = Holder("me@here", "now", 7, 1000)


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        (str(Holder("eve@there", "then", 8, 2000)), "eve@there is changing this cluster since then"),
        ("a pool of somebody's", "a pool of somebody's"),
        ("", "a pool without a comment"),
    ],
)
def test_the_marker_of_another_run_is_respected(script: Any, client: Any, comment: str, words: str) -> None:
    script(*marker_steps(comment))
    with pytest.raises(StateError, match=words):
        place(client(), OWN, now=1500)


@pytest.mark.parametrize("over", [None, Holder("eve@there", "then", 8, 2000)])
def test_the_marker_of_a_dead_run_is_taken_over(script: Any, client: Any, over: Holder | None) -> None:
    comment = str(Holder("eve@there", "then", 8, 2000 if over else 1400))
    taken = get("/pools", [{"poolid": "quorate-run", "comment": str(OWN)}])
    script(*marker_steps(comment, put("/pools", None, poolid="quorate-run", comment=str(OWN)), taken))
    place(client(), OWN, now=1500, over=over)


def test_what_templates_make_of_numbers_and_of_nothing() -> None:
    """ansible-core before 2.19 gives texts, and an empty one for None."""
    shell = {"port": "2222", "private_key_file": ""}
    fact = {"target": "a", "directory": "/r", "lease": "", "keep": "3", "max_changes": "", "ssh": shell}
    safety = _run.Safety.from_fact(fact)
    assert (safety.lease, safety.keep, safety.max_changes) == (300, 3, "")
    assert safety.ssh == {"port": "2222", "private_key_file": None}
