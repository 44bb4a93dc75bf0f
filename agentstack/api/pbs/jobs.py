# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upkeep on demand and the state of jobs: /admin/{sync,verify,prune,gc}, /pull (facts §20.4, §20.6)."""

from __future__ import annotations

from typing import Any

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.config import BRANCHES, Branch, is_asked_for
from agentstack.api.pbs.config_datastore import GC
from agentstack.api.pbs.datastore import group_of, namespace, open_store, require
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs import push, sync, upkeep
from agentstack.pbs.access import DENIED
from agentstack.pbs.datastores import acl_path
from agentstack.pbs.snapshots import Group, Snapshot
from agentstack.pbs.upid import parse_upid
from agentstack.tasks import Task

_STORE = "/admin/datastore/{store}"


@pbs("GET", f"{_STORE}/gc")
async def garbage(call: Call) -> Json:
    return _garbage(call, call["store"])


@pbs("POST", f"{_STORE}/gc")
async def start_garbage_collection(call: Call) -> Json:
    open_store(call, "write")
    return call.host.pbs.jobs.run(GC, call["store"], call.identity)


@pbs("GET", "/admin/gc")
async def list_garbage(call: Call) -> Json:
    access, names = call.host.pbs.access, call.host.pbs.datastores.configured()
    chosen = [name for name in names if call.get("store", name) == name]
    return [_garbage(call, name) for name in chosen if access.may(call.identity, acl_path(name), ["Datastore.Audit"])]


@pbs("GET", "/admin/gc/{store}")
async def list_garbage_of(call: Call) -> Json:
    return await list_garbage(call)


def _garbage(call: Call, name: str) -> dict[str, Any]:
    stores, jobs = call.host.pbs.datastores, call.host.pbs.jobs
    schedule = stores.settings(name).get("gc-schedule")
    last = jobs.last_run(GC, name)
    row: dict[str, Any] = {"store": name, **stores.get(name).garbage.to_json()}
    values: dict[str, Any] = {
        "schedule": schedule,
        "next-run": jobs.next_run(GC, name, schedule),
        "upid": last.upid,
        "last-run-state": last.state,
        "last-run-endtime": last.endtime,
    }
    if last.endtime is not None and last.upid and (upid := parse_upid(last.upid)):
        values["duration"] = last.endtime - upid.starttime
    return row | {key: value for key, value in values.items() if value is not None}


@pbs("POST", f"{_STORE}/verify")
async def verify(call: Call) -> Json:
    """A snapshot, a group, a namespace or everything, as far as the parameters narrow it down."""
    store, name = open_store(call), call["store"]
    given = [key in call.params for key in ("backup-type", "backup-id", "backup-time")]
    if given[0] != given[1] or (given[2] and not given[0]):
        raise AgentError("parameters 'backup-type' and 'backup-id' have to be given together")
    group: Group | None = None
    snapshot: Snapshot | None = None
    worker_id = name
    if given[0]:
        group = group_of(call, store, "Datastore.Verify", "Datastore.Backup")
        worker_id = ":".join(filter(None, (name, group.ns, str(group))))
        if given[2]:
            snapshot = Snapshot(group, call["backup-time"])
            worker_id += f"/{snapshot.time:X}"
    else:
        ns = namespace(call, store)
        require(call, ns, "Datastore.Verify", "Datastore.Backup")
        worker_id = f"{name}:{ns}" if ns else name
    choice = upkeep.Selection.from_values(call.params, group=group, snapshot=snapshot)

    async def work(task: Task) -> None:
        await upkeep.verify(call.host, name, choice, call.identity, task)

    kind = "verify_snapshot" if snapshot else "verify_group" if group else "verify"
    return call.host.tasks.start(call.identity, kind, worker_id, work)


@pbs("POST", f"{_STORE}/prune-datastore")
async def prune_datastore(call: Call) -> Json:
    store, name = open_store(call, "write"), call["store"]
    ns = namespace(call, store)
    require(call, ns, "Datastore.Modify", "Datastore.Prune")

    async def work(task: Task) -> None:
        dry_run = call.get("dry-run", False)
        await upkeep.prune(call.host, name, ns, call.params, call.identity, task, dry_run=dry_run)

    return call.host.tasks.start(call.identity, "prune", f"{name}:{ns}" if ns else name, work)


@pbs("POST", "/pull")
async def pull(call: Call) -> Json:
    branch = next(branch for branch in BRANCHES if branch.job == "syncjob")
    values = {**call.params, "owner": call.identity.authid}
    if not branch.changes(call, values):
        raise AgentError(DENIED, status=403)
    if "remote" not in values and values["store"] == values["remote-store"]:
        raise ParameterError({"store": "source and target datastore can't be the same"})
    open_store(call, "write")

    async def work(task: Task) -> None:
        await sync.pull(call.host, values, task)

    return call.host.tasks.start(call.identity, "sync", f"{values.get('remote', '-')}:{values['remote-store']}", work)


@pbs("POST", "/push")
async def push_now(call: Call) -> Json:
    branch = next(branch for branch in BRANCHES if branch.job == "syncjob")
    values = {**call.params, "sync-direction": "push"}
    if not branch.changes(call, values):
        raise AgentError(DENIED, status=403)
    open_store(call)

    async def work(task: Task) -> None:
        await push.push(call.host, values, task)

    return call.host.tasks.start(call.identity, "sync", f"{values['remote']}:{values['remote-store']}", work)


@pbs("GET", "/admin/traffic-control")
async def traffic(call: Call) -> Json:
    """The rules with what flows through them in bytes a second."""
    branch = next(branch for branch in BRANCHES if branch.path == "/config/traffic-control")
    rows = []
    for name, values in branch.file.read(call.host).of(branch.section).items():
        buckets = call.host.pbs.traffic.buckets(name)
        rates = {f"cur-rate-{way}": int(buckets[way].current) if way in buckets else 0 for way in ("in", "out")}
        rows.append({"name": name, **values, **rates})
    return rows


def register(branch: Branch) -> None:
    """List the jobs of a branch with their state, and run one."""
    kind = branch.job
    if kind is None:
        return
    path = branch.path.replace("/config/", "/admin/")

    @pbs("GET", path)
    async def list_jobs(call: Call) -> Json:
        sections = branch.file.read(call.host)
        call.extra["digest"] = sections.digest
        return [
            {"id": ident, **values, **call.host.pbs.jobs.status(kind, ident, _schedule(values))}
            for ident, values in sections.of(branch.section).items()
            if call.get("store", values["store"]) == values["store"]
            and is_asked_for(call, branch, values)
            and branch.sees(call, values)
        ]

    @pbs("POST", f"{path}/{{id}}/run")
    async def run_job(call: Call) -> Json:
        values = call.host.pbs.jobs.settings(kind, call["id"])
        if not branch.changes(call, values):
            raise AgentError(DENIED, status=403)
        return call.host.pbs.jobs.run(kind, call["id"], call.identity)


def _schedule(values: dict[str, Any]) -> str | None:
    return None if values.get("disable") else values.get("schedule")


for _branch in BRANCHES:
    register(_branch)
