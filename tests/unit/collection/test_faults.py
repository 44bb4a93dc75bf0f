# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules make of a server that does not do as it is told: one table of modules, one of faults.

Each module makes one change: reads, one write (or one task), reads again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests

from .scripted import Step, broken, get, refused

DISK = {"devpath": "/dev/sdb", "size": 1 << 40, "model": "A"}
JOB = {"id": "104-0", "guest": 104, "jobnum": 0, "target": "pve2", "source": "pve1", "type": "local", "rate": 50}
RULE = {"rule": "web", "type": "node-affinity", "nodes": "pve1:2,pve2", "resources": "vm:101", "strict": 0}
BACKUP = {"id": "daily", "type": "vzdump", "enabled": 1, "schedule": "02:00", "storage": "b", "all": 1}
GUEST = {"vmid": 101, "type": "qemu", "node": "pve1", "name": "web", "status": "running"}
NODES = get("/nodes", [{"node": "pve1", "status": "online"}])
ZFS = "/nodes/pve1/disks/zfs"
PRUNE = {"id": "main", "store": "main", "schedule": "daily", "keep-last": 3}
REMOTE = {"name": "pbs1", "host": "192.0.2.1", "auth-id": "a@pbs", "comment": "old"}
PVE_TASK = "UPID:pve1:00001A00:005725B2:6B021A1B:zfscreate:tank:root@pam:"
PBS_TASK = "UPID:pbs1:000008E7:0320AE92:00000001:6B027570:create-datastore:main:root@pam:"


@dataclass(frozen=True)
class Case:
    """One module and one change: the reads before it, the write, and what is read if it came about, or did not."""

    reads: list[Step]
    write: Step
    after: list[Step]
    unchanged: list[Step]
    given: dict[str, Any]
    task: str = ""
    node: str = field(default="pve1")


def listed(path: str, before: dict[str, Any], changed: dict[str, Any], write: Step, **given: Any) -> Case:
    """An object of a list that is changed."""
    return Case([get(path, [before])], write, [get(path, [{**before, **changed}])], [get(path, [before])], given)


CASES: dict[str, Case] = {
    "storages": listed(
        "/storage",
        {"storage": "d1", "type": "dir", "path": "/d1", "content": "images"},
        {"content": "iso"},
        Step("PUT", "/storage/d1"),
        storages=[{"storage": "d1", "content": ["iso"]}],
    ),
    "ha_resources": listed(
        "/cluster/ha/resources",
        {"sid": "vm:101", "type": "vm", "state": "started"},
        {"max_restart": 3},
        Step("PUT", "/cluster/ha/resources/vm:101"),
        resources=[{"sid": "vm:101", "max_restart": 3}],
        wait=False,
    ),
    "ha_rules": listed(
        "/cluster/ha/rules",
        RULE,
        {"comment": "new"},
        Step("PUT", "/cluster/ha/rules/web"),
        rules=[{"name": "web", "comment": "new"}],
        wait=False,
    ),
    # its list says no digest: the job is read once more before it is changed
    "replication_jobs": Case(
        [get("/cluster/replication", [JOB]), get("/cluster/replication/104-0", {**JOB, "digest": "a" * 40})],
        Step("PUT", "/cluster/replication/104-0", {"rate": "60", "digest": "a" * 40}),
        [get("/cluster/replication", [{**JOB, "rate": 60}])],
        [get("/cluster/replication", [JOB])],
        {"jobs": [{"guest": 104, "target": "pve2", "rate": 60}]},
    ),
    "backup_jobs": listed(
        "/cluster/backup",
        BACKUP,
        {"schedule": "03:00"},
        Step("PUT", "/cluster/backup/daily"),
        jobs=[{"id": "daily", "schedule": "03:00"}],
    ),
    "cluster_options": Case(
        [get("/cluster/options", {"max_workers": 4})],
        Step("PUT", "/cluster/options"),
        [get("/cluster/options", {"max_workers": 5})],
        [get("/cluster/options", {"max_workers": 4})],
        {"options": {"max_workers": 5}},
    ),
    "guests": Case(
        [get("/cluster/resources", [GUEST], type="vm"), get("/nodes/pve1/qemu/101/config", {"cores": 1})],
        Step("PUT", "/nodes/pve1/qemu/101/config"),
        [get("/cluster/resources", [GUEST], type="vm"), get("/nodes/pve1/qemu/101/config", {"cores": 2})],
        [get("/cluster/resources", [GUEST], type="vm"), get("/nodes/pve1/qemu/101/config", {"cores": 1})],
        {"guests": [{"vmid": 101, "cores": 2}]},
    ),
    "zfs_pools": Case(
        [NODES, get(ZFS, []), get("/nodes/pve1/disks/list", [DISK], skipsmart=1)],
        Step("POST", ZFS),
        [get(ZFS, [{"name": "tank", "health": "ONLINE"}])],
        [get(ZFS, [])],
        {"pools": [{"node": "pve1", "name": "tank", "raidlevel": "single", "devices": ["/dev/sdb"]}]},
        task=PVE_TASK,
    ),
    "pbs_prune_jobs": listed(
        "/config/prune",
        PRUNE,
        {"keep-last": 5},
        Step("PUT", "/config/prune/main"),
        jobs=[{"id": "main", "keep_last": 5}],
    ),
    "pbs_remotes": listed(
        "/config/remote",
        REMOTE,
        {"comment": "new"},
        Step("PUT", "/config/remote/pbs1"),
        remotes=[{"name": "pbs1", "comment": "new"}],
    ),
    "pbs_datastores": Case(
        [get("/config/datastore", [])],
        Step("POST", "/config/datastore"),
        [get("/config/datastore", [{"name": "main", "path": "/srv/main"}])],
        [get("/config/datastore", [])],
        {"datastores": [{"name": "main", "path": "/srv/main"}]},
        task=PBS_TASK,
        node="localhost",
    ),
}
TASKS = [name for name, case in CASES.items() if case.task]
Run = Callable[..., dict[str, Any]]


def ended(case: Case, status: str, *log: str) -> list[Step]:
    """How the task of a write ends, and the lines of its log if they are asked for."""
    if not case.task:
        return []
    path = f"/nodes/{case.node}/tasks/{case.task}"
    asked = [Step("GET", f"{path}/status", data={"status": "stopped", "exitstatus": status})]
    lines = [{"n": number, "t": line} for number, line in enumerate(log, 1)]
    return [*asked, Step("GET", f"{path}/log", data=lines)] if status != "OK" else asked


def done(case: Case) -> list[Step]:
    """The write as it ought to be, and what is read after it."""
    return [replace(case.write, data=case.task or None), *ended(case, "OK"), *case.after]


@pytest.mark.parametrize("name", CASES)
def test_all_is_well(run: Run, name: str) -> None:
    case = CASES[name]
    result = run(name, [*case.reads, *done(case)], **case.given)
    assert result.get("changed"), result
    assert len(result["plan"]) == 1


@pytest.mark.parametrize("name", CASES)
def test_a_read_that_breaks_is_made_again(run: Run, name: str) -> None:
    case = CASES[name]
    first, *rest = case.reads
    dropped = broken(first.method, first.path, requests.exceptions.ConnectionError("Connection aborted."))
    assert run(name, [dropped, first, *rest, *done(case)], **case.given)["changed"]


@pytest.mark.parametrize("name", CASES)
def test_a_read_that_a_node_does_not_answer_is_made_again(run: Run, name: str) -> None:
    case = CASES[name]
    first, *rest = case.reads
    gone = refused(first.method, first.path, 595, "No route to host")
    assert run(name, [gone, gone, first, *rest, *done(case)], **case.given)["changed"]
    failed = run(name, [gone, gone, gone], **case.given)
    assert failed["failed"]
    assert not failed["changed"]
    assert "is offline" in failed["msg"]


@pytest.mark.parametrize("name", CASES)
def test_a_write_that_breaks_is_not_made_again(run: Run, name: str) -> None:
    case = CASES[name]
    dropped = broken(case.write.method, case.write.path, requests.exceptions.ConnectionError("Connection aborted."))
    result = run(name, [*case.reads, dropped], **case.given)
    assert result["failed"]
    assert f"Whether {case.write.method} {case.write.path} was carried out is not known" in result["msg"]
    assert "Run again" in result["msg"]


@pytest.mark.parametrize("status", [500, 595, 400])
@pytest.mark.parametrize("name", CASES)
def test_a_write_that_is_refused_is_not_made_again(run: Run, name: str, status: int) -> None:
    case = CASES[name]
    no = refused(case.write.method, case.write.path, status, "it cannot be")
    result = run(name, [*case.reads, no], **case.given)
    assert result["failed"]
    assert not result["changed"]
    assert "it cannot be" in result["msg"]
    assert result["api_error"]["status"] == status
    if "not_done" in result:
        assert (len(result["done"]), len(result["not_done"])) == (0, 1)


@pytest.mark.parametrize("name", CASES)
def test_a_ticket_that_ends_in_the_middle(run: Run, name: str) -> None:
    """The write is made again with a new ticket, as a server that says 401 has done nothing."""
    case = CASES[name]
    login = Step("POST", "/access/ticket", data={"ticket": "PVE:root@pam:1::x", "CSRFPreventionToken": "1:x"})
    late = refused(case.write.method, case.write.path, 401, "invalid PVE ticket")
    steps = [login, *case.reads, late, login, *done(case)]
    assert run(name, steps, api_password="x", **case.given)["changed"]
    steps = [login, *case.reads, late, login, late]
    assert "does not accept the login of root@pam" in run(name, steps, api_password="x", **case.given)["msg"]


@pytest.mark.parametrize("name", CASES)
def test_a_lock_that_is_not_got(run: Run, name: str) -> None:
    case = CASES[name]
    late = refused(case.write.method, case.write.path, 500, "cfs-lock 'file-x' error: got lock request timeout")
    assert run(name, [*case.reads, late, *done(case)], **case.given)["changed"]
    result = run(name, [*case.reads, late, late, late], **case.given)
    assert result["failed"]
    assert "Somebody else is changing the same part" in result["msg"]


@pytest.mark.parametrize("name", CASES)
def test_a_value_that_the_server_did_not_take(run: Run, name: str) -> None:
    case = CASES[name]
    steps = [*case.reads, replace(case.write, data=case.task or None), *ended(case, "OK"), *case.unchanged]
    result = run(name, steps, **case.given)
    assert result["failed"]
    assert result["changed"]
    assert "the server said yes" in result["msg"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_fails(run: Run, name: str) -> None:
    case = CASES[name]
    write = replace(case.write, data=case.task)
    steps = [
        *case.reads,
        write,
        *ended(case, "command failed", "doing it", "disk on fire", "TASK ERROR: command failed"),
    ]
    result = run(name, steps, **case.given)
    assert result["failed"]
    assert not result["changed"]
    assert "command failed. Its log ends: doing it / disk on fire" in result["msg"]
    assert result["task"]["upid"] == case.task


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_warns(run: Run, name: str) -> None:
    case = CASES[name]
    write = replace(case.write, data=case.task)
    steps = [*case.reads, write, *ended(case, "WARNINGS: 1", "WARN: mind the gap", "TASK WARNINGS: 1"), *case.after]
    result = run(name, steps, **case.given)
    assert result["changed"]
    assert any("mind the gap" in text for text in result["warnings"])


DIGEST = "a" * 40
MODIFIED = "detected modified configuration - file changed by other user? Try again."


def test_what_somebody_else_changed_in_between_is_not_overwritten(run: Run) -> None:
    """The first change says what the file was like when it was read; its own changes make that out of date."""
    there = [{"storage": name, "type": "dir", "path": f"/{name}", "digest": DIGEST} for name in ("a", "b")]
    wanted = [{"storage": name, "content": ["iso"]} for name in ("a", "b")]
    after = [{**each, "content": "iso", "digest": "b" * 40} for each in there]
    steps = [
        get("/storage", there),
        Step("PUT", "/storage/a", {"content": "iso", "digest": DIGEST}),
        Step("PUT", "/storage/b", {"content": "iso"}),
        get("/storage", after),
    ]
    assert run("storages", steps, storages=wanted)["changed"]
    no = replace(refused("PUT", "/storage/a", 500, MODIFIED), params={"content": "iso", "digest": DIGEST})
    result = run("storages", [get("/storage", there), no], storages=wanted[:1])
    assert "Somebody else changed it in the meantime; run again." in result["msg"]
    config = {"cores": 1, "digest": DIGEST}
    guest = get("/cluster/resources", [GUEST], type="vm")
    no = replace(refused("PUT", "/nodes/pve1/qemu/101/config", 500, MODIFIED), params={"cores": 2, "digest": DIGEST})
    steps = [guest, get("/nodes/pve1/qemu/101/config", config), no]
    assert "run again" in run("guests", steps, guests=[{"vmid": 101, "cores": 2}])["msg"]


def test_a_purge_that_the_server_did_not_make(run: Run) -> None:
    """Nobody named what was to go: it is looked for nevertheless."""
    there = [{"storage": "d1", "type": "dir", "path": "/d1"}]
    steps = [get("/storage", there), Step("DELETE", "/storage/d1"), get("/storage", there)]
    result = run("storages", steps, storages=[], purge=True, purge_limit="100%", allow_removal_in_use=True)
    assert result["failed"]
    assert "the server said yes, and storage d1 is still there" in result["msg"]


def test_the_same_refusal_for_each_of_several_nodes_is_said_once(run: Run) -> None:
    gone = refused("GET", "/nodes", 595, "No route to host")
    servers = [{"node": node, "servers": ["192.0.2.1"]} for node in ("pve1", "pve2")]
    result = run("node_dns", [gone] * 6, dns=servers)
    assert result["failed"]
    assert result["msg"].count("No route to host") == 1
