# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/bulk-action/guest: start, shut down, suspend or migrate many guests of all nodes in one task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.inner import request
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests.config import GuestConfig, Place
from agentstack.guests.operations import DEFAULT_SHUTDOWN_TIMEOUT
from agentstack.tasks import Task

POLL = 1.0
"""Stack seconds between two looks at a guest's task; at least SHORTEST real seconds."""
SHORTEST = 0.05

TEXTS = {
    "missing": "guest {vmid} does not exist",
    "failed": "{word} failed for guests: {vmids}",
}


@dataclass(frozen=True)
class Action:
    """One kind of bulk action: the privilege it needs, how many at a time, whether guests that run are meant (None:
    all), and the call for one guest, below its path."""

    word: str
    privilege: str
    workers: int
    running: bool | None
    path: str
    params: Callable[[Call, Place], dict[str, Any]]


def _shutdown(call: Call, _: Place) -> dict[str, Any]:
    return {"timeout": call.get("timeout", DEFAULT_SHUTDOWN_TIMEOUT), "forceStop": call.get("force-stop", 1)}


def _suspend(call: Call, place: Place) -> dict[str, Any]:
    if not call.get("to-disk"):
        return {}
    return {"todisk": 1, **({"statestorage": call["statestorage"]} if call.get("statestorage") else {})}


def _start(call: Call, place: Place) -> dict[str, Any]:
    return {"timeout": call["timeout"]} if call.get("timeout") and place.kind.type == "qemu" else {}


def _migrate(call: Call, place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {"target": call["target"]}
    if call.get("online"):
        found["online" if place.kind.type == "qemu" else "restart"] = 1
    if call.get("with-local-disks") and place.kind.type == "qemu":
        found["with-local-disks"] = 1
    return found


ACTIONS = (
    Action("start", "VM.PowerMgmt", 4, False, "status/start", _start),
    Action("shutdown", "VM.PowerMgmt", 4, True, "status/shutdown", _shutdown),
    Action("suspend", "VM.PowerMgmt", 4, True, "status/suspend", _suspend),
    Action("migrate", "VM.Migrate", 1, None, "migrate", _migrate),
)


def _chosen(call: Call, action: Action) -> list[Place]:
    """The guests that are meant: those that are named, or all that the caller may have."""
    access, places = call.host.access, configs.places(call.host)
    named = call.get("vms")
    for vmid in named or ():
        access.check(call.identity, f"/vms/{vmid}", [action.privilege])
        if vmid not in places:
            raise AgentError(TEXTS["missing"].format(vmid=vmid))
    if named:
        return [places[vmid] for vmid in sorted(set(named))]
    return [place for vmid, place in places.items() if access.may(call.identity, f"/vms/{vmid}", [action.privilege])]


def _can_be_meant(call: Call, action: Action, place: Place, config: GuestConfig) -> bool:
    if config.values.get("template") == "1":
        return False
    if action.word == "migrate":
        return bool(place.node != call["target"])
    return action.word != "suspend" or place.kind.type == "qemu"


async def _end_of(call: Call, node: str, upid: str) -> str:
    """Wait for a task on another node, or on this one; its exit status."""
    while True:
        status = await request(call.host, "GET", f"/nodes/{node}/tasks/{upid}/status")
        if status["status"] == "stopped":
            return str(status.get("exitstatus", "unexpected status"))
        await asyncio.sleep(max(call.host.clock.real(POLL), SHORTEST))


def register(action: Action) -> None:
    """The method of one bulk action."""

    @pve("POST", f"/cluster/bulk-action/guest/{action.word}")
    async def run(call: Call) -> Json:
        host, places = call.host, _chosen(call, action)
        workers = asyncio.Semaphore(call.get("max-workers") or call.get("maxworkers") or action.workers)

        async def one(task: Task, place: Place) -> bool:
            label = f"{place.kind.label} {place.vmid}"
            async with workers:
                path = f"/nodes/{place.node}/{place.kind.type}/{place.vmid}"
                try:
                    state = (await request(host, "GET", f"{path}/status/current"))["status"]
                    if action.running not in (None, state == "running"):
                        task.log(f"skipping {label}: {state}")
                        return True
                    task.log(f"{action.word} {label} on node '{place.node}'")
                    upid = await request(host, "POST", f"{path}/{action.path}", action.params(call, place))
                    status = await _end_of(call, place.node, upid)
                except AgentError as error:
                    status = error.text
                fine = status == "OK" or status.startswith("WARNINGS: ")
                task.log(f"{action.word} {label}: {status}")
                return fine

        async def work(task: Task) -> None:
            meant = [
                place
                for place in places
                if _can_be_meant(call, action, place, configs.load(host, place.kind, place.vmid, place.node))
            ]
            fine = await asyncio.gather(*(one(task, place) for place in meant))
            failed = [str(place.vmid) for place, good in zip(meant, fine, strict=True) if not good]
            if failed:
                raise AgentError(TEXTS["failed"].format(word=action.word, vmids=", ".join(failed)))

        return host.tasks.start(call.identity, f"bulk-{action.word}", "", work)


for each in ACTIONS:
    register(each)
