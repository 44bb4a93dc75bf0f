# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/config/datastore: making, changing and removing datastores (facts §20.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.config import check_schedule
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.datastores import acl_path, unknown
from agentstack.pbs.jobs import Kind
from agentstack.pbs.sections import DATASTORES, PRUNE_JOBS, SYNC_JOBS, VERIFY_JOBS, SectionFile, Values, check_digest
from agentstack.pbs.upkeep import KEEP
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

GC: Kind = "garbage_collection"
_CONTROL = frozenset({"name", "delete", "digest", "reuse-datastore", "overwrite-in-use"})
_JOBS: tuple[tuple[SectionFile, str, Kind], ...] = (
    (SYNC_JOBS, "sync", "syncjob"),
    (VERIFY_JOBS, "verification", "verificationjob"),
    (PRUNE_JOBS, "prune", "prunejob"),
)


def _settings(call: Call) -> Values:
    values = {name: value for name, value in call.params.items() if name not in _CONTROL}
    check_schedule(values, "gc-schedule", "prune-schedule")
    for name in ("backend", "backing-device"):
        if name in values:
            raise ParameterError({name: "only datastores on the server's own file system are supported."})
    return values


@pbs("GET", "/config/datastore")
async def list_datastores(call: Call) -> Json:
    sections, access = DATASTORES.read(call.host), call.host.pbs.access
    call.extra["digest"] = sections.digest
    return [
        {"name": name, **values}
        for name, values in sections.of("datastore").items()
        if access.may(call.identity, acl_path(name), ["Datastore.Audit"])
    ]


async def add_datastore(host: Host, name: str, settings: Mapping[str, Any], *, reuse: bool = False) -> None:
    """Make a datastore at the path of its settings, or with `reuse` take the one there, and enter it."""
    await asyncio.to_thread(host.pbs.datastores.create, name, settings["path"], reuse=reuse)
    sections = DATASTORES.read(host)
    sections.of("datastore")[name] = dict(settings)
    DATASTORES.write(host, sections)
    host.pbs.jobs.reset(GC, name)


@pbs("POST", "/config/datastore")
async def create_datastore(call: Call) -> Json:
    """Answers with the UPID of the task that makes it, whatever the schema says (facts §20.4)."""
    stores, name, reuse = call.host.pbs.datastores, call["name"], call.get("reuse-datastore", False)
    values = _settings(call)
    stores.check_new(name, values["path"], reuse=reuse)
    # retention belongs to prune jobs: it becomes one together with a schedule, and is dropped alone
    retention = {key: values.pop(key) for key in KEEP if key in values}
    schedule = values.pop("prune-schedule", None)

    async def work(task: Task) -> None:
        task.log("Chunkstore create: 1%" if not reuse else f"reusing datastore at {values['path']}")
        stores.check_new(name, values["path"], reuse=reuse)
        await add_datastore(call.host, name, values, reuse=reuse)
        if not reuse:
            task.log("Chunkstore create: 100%")
        if schedule and retention:
            ident = f"default-{name}-prune"[:32]
            jobs = PRUNE_JOBS.read(call.host)
            jobs.of("prune")[ident] = {"store": name, "schedule": schedule, **retention}
            PRUNE_JOBS.write(call.host, jobs)
            call.host.pbs.jobs.reset("prunejob", ident)

    return call.host.tasks.start(call.identity, "create-datastore", name, work)


@pbs("GET", "/config/datastore/{name}")
async def read_datastore(call: Call) -> Json:
    sections, name = DATASTORES.read(call.host), call["name"]
    if name not in sections.of("datastore"):
        raise unknown(name)
    call.extra["digest"] = sections.digest
    return {"name": name, **sections.of("datastore")[name]}


@pbs("PUT", "/config/datastore/{name}")
async def update_datastore(call: Call) -> Json:
    sections, name = DATASTORES.read(call.host), call["name"]
    check_digest(sections, call.get("digest"))
    stores = sections.of("datastore")
    if name not in stores:
        raise unknown(name)
    kept = {key: value for key, value in stores[name].items() if key not in call.get("delete", [])}
    changed = {**kept, **_settings(call)}
    if changed.get("gc-schedule") != stores[name].get("gc-schedule"):
        call.host.pbs.jobs.reset(GC, name)
    stores[name] = changed
    DATASTORES.write(call.host, sections)
    call.host.pbs.datastores.tune(name)


@pbs("DELETE", "/config/datastore/{name}")
async def delete_datastore(call: Call) -> Json:
    """Its jobs and its access control go with it, unless `keep-job-configs` says otherwise."""
    host, name = call.host, call["name"]
    check_digest(DATASTORES.read(host), call.get("digest"))
    path = host.pbs.datastores.settings(name)["path"]
    keep, destroy = call.get("keep-job-configs", False), call.get("destroy-data", False)
    active = host.pbs.datastores.active(name)
    if any(active.values()):
        raise AgentError(f"datastore '{name}' is in use: {active['read']} reading, {active['write']} writing")

    async def work(task: Task) -> None:
        task.log(f"Removing datastore '{name}' from config...")
        sections = DATASTORES.read(host)
        sections.of("datastore").pop(name, None)
        DATASTORES.write(host, sections)
        if not keep:
            task.log(f"Removing jobs and access control of datastore '{name}'")
            _forget_jobs(call, name)
            acl = host.pbs.access.acl
            acl.forget_below(acl_path(name))
            host.pbs.access.store_acl(acl)
        if destroy:
            task.log(f"Destroying datastore data below {path}")
        await asyncio.to_thread(host.pbs.datastores.forget, name, path, destroy=destroy)
        host.pbs.jobs.forget(GC, name)

    return host.tasks.start(call.identity, "delete-datastore", name, work)


def _forget_jobs(call: Call, store: str) -> None:
    for file, section, kind in _JOBS:
        jobs = file.read(call.host)
        for ident in [ident for ident, values in jobs.of(section).items() if values["store"] == store]:
            del jobs.of(section)[ident]
            call.host.pbs.jobs.forget(kind, ident)
        file.write(call.host, jobs)
