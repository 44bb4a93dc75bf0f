# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/admin/datastore/{store}: mounting, moving groups and namespaces, and figures over time."""

from __future__ import annotations

import asyncio

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.datastore import group_of, namespace, open_store, require
from agentstack.errors import AgentError
from agentstack.pbs.upkeep import MAX_DEPTH
from agentstack.tasks import Task

_STORE = "/admin/datastore/{store}"


@pbs("GET", f"{_STORE}/rrd")
async def usage_over_time(call: Call) -> Json:
    stores, name = call.host.pbs.datastores, call["store"]
    stores.settings(name)
    now, highest = call.host.clock.now(), call["cf"] == "MAX"
    return stores.history.points(f"datastore/{name}", call["timeframe"], now, highest=highest)


@pbs("GET", "/nodes/{node}/rrd")
async def host_over_time(call: Call) -> Json:
    points = call.host.pbs.datastores.history.points(
        "host", call["timeframe"], call.host.clock.now(), highest=call["cf"] == "MAX"
    )
    names = {"time": "time", "total": "roottotal", "used": "rootused"}
    return [{names[key]: value for key, value in point.items() if key in names} for point in points]


def _refuse_mount(call: Call) -> Json:
    name = call["store"]
    call.host.pbs.datastores.settings(name)
    raise AgentError(f"datastore '{name}' is not removable")


@pbs("POST", f"{_STORE}/mount")
async def mount(call: Call) -> Json:
    return _refuse_mount(call)


@pbs("POST", f"{_STORE}/unmount")
async def unmount(call: Call) -> Json:
    return _refuse_mount(call)


@pbs("POST", f"{_STORE}/move-group")
async def move_group(call: Call) -> Json:
    store = open_store(call, "write")
    group = group_of(call, store, "Datastore.Modify", "Datastore.Prune")
    target = namespace(call, store, "target-ns")
    require(call, target, "Datastore.Modify", "Datastore.Backup")
    merge = call.get("merge-group", True)

    async def work(task: Task) -> None:
        task.log(f"moving group '{group}' from '{group.ns}' to '{target}'")
        await asyncio.to_thread(store.move_group, group, target, merge=merge)

    return call.host.tasks.start(call.identity, "move-group", f"{call['store']}:{group}", work)


@pbs("POST", f"{_STORE}/move-namespace")
async def move_namespace(call: Call) -> Json:
    store, target = open_store(call, "write"), call["target-ns"].strip("/")
    ns = namespace(call, store)
    require(call, ns.rpartition("/")[0], "Datastore.Modify")
    require(call, target.rpartition("/")[0], "Datastore.Modify")
    if not ns:
        raise AgentError("cannot move root namespace")
    if target == ns or target.startswith(f"{ns}/"):
        raise AgentError(f"cannot move namespace '{ns}' into itself")
    spaces = sorted(store.namespaces(ns, call.get("max-depth", MAX_DEPTH)))
    merge = call.get("merge-groups", True)

    def move(task: Task) -> None:
        for space in spaces:
            there = target + space.removeprefix(ns)
            if not store.has_namespace(there):
                store.create_namespace(there)
            for group in list(store.groups(space)):
                task.log(f"moving group '{group}' from '{space}' to '{there}'")
                store.move_group(group, there, merge=merge)
        if call.get("delete-source", True):
            for space in reversed(spaces):
                store.remove_namespace(space)

    async def work(task: Task) -> None:
        await asyncio.to_thread(move, task)

    return call.host.tasks.start(call.identity, "move-namespace", f"{call['store']}:{ns}", work)
