# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of guests and their disks: clone, template, moving a disk (facts §14, notes of the task list)."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Json, pve
from agentstack.guests import clone, move
from agentstack.guests.config import LXC, QEMU, Kind
from agentstack.tasks import Task

VM, CONTAINER = "/nodes/{node}/qemu/{vmid}", "/nodes/{node}/lxc/{vmid}"


@pve("POST", f"{VM}/clone")
async def clone_vm(call: Call) -> Json:
    return _clone(call, QEMU, call.get("name"))


@pve("POST", f"{CONTAINER}/clone")
async def clone_container(call: Call) -> Json:
    return _clone(call, LXC, call.get("hostname"))


def _clone(call: Call, kind: Kind, name: str | None) -> str:
    host, vmid = call.host, call["vmid"]
    request = clone.Request(
        call["newid"],
        name=name,
        description=call.get("description"),
        full=bool(call["full"]) if "full" in call.params else None,
        storage=call.get("storage"),
        form=call.get("format"),
        snapshot=call.get("snapname") if call.get("snapname") != "current" else None,
        target=call.get("target"),
        pool=call.get("pool"),
    )
    full = clone.check(host, call.identity, kind, vmid, request)

    async def work(task: Task) -> None:
        await clone.clone(host, kind, vmid, request, task.log, full=full)

    return host.tasks.start(call.identity, f"{kind.prefix}clone", str(vmid), work)


@pve("POST", f"{VM}/template")
async def make_vm_template(call: Call) -> Json:
    host, vmid, disk = call.host, call["vmid"], call.get("disk")
    clone.check_template(host, QEMU, vmid, disk)

    async def work(task: Task) -> None:
        await clone.make_template(host, QEMU, vmid, disk)

    return host.tasks.start(call.identity, "qmtemplate", str(vmid), work)


@pve("POST", f"{CONTAINER}/template")
async def make_container_template(call: Call) -> Json:
    await clone.make_template(call.host, LXC, call["vmid"])


@pve("POST", f"{VM}/move_disk")
async def move_disk(call: Call) -> Json:
    return _move(call, QEMU, "qmmove", call["disk"], call.get("target-disk"))


@pve("POST", f"{CONTAINER}/move_volume")
async def move_volume(call: Call) -> Json:
    return _move(call, LXC, "move_volume", call["volume"], call.get("target-volume"))


def _move(call: Call, kind: Kind, task_type: str, key: str, target_key: str | None) -> str:
    host, vmid, target = call.host, call["vmid"], call.get("target-vmid")
    request = move.Request(
        key,
        storage=call.get("storage"),
        form=call.get("format"),
        delete=bool(call.get("delete")),
        digest=call.get("digest"),
        target=target,
        target_key=target_key,
        target_digest=call.get("target-digest"),
    )
    move.check(host, call.identity, kind, vmid, request)

    async def work(task: Task) -> None:
        await move.move(host, kind, vmid, request, task.log)

    worker_id = str(vmid) if target is None else f"{vmid}-{key}>{target}-{target_key or key}"
    return host.tasks.start(call.identity, task_type, worker_id, work)
