# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls about all guests of a node at once (facts §4, task types)."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError, ParameterError
from agentstack.guests import autostart, migrate, operations
from agentstack.guests.config import QEMU
from agentstack.tasks import Task

TEXTS = {"local": "target is local node.", "no_node": "no such cluster node '{node}'"}


def _check(call: Call, privilege: str) -> None:
    call.host.access.check(call.identity, "/vms", [privilege])


@pve("POST", "/nodes/{node}/startall")
async def start_all(call: Call) -> Json:
    _check(call, "VM.PowerMgmt")
    call.host.files.require_quorum()
    return autostart.start_all(call.host, call.identity, force=bool(call.get("force")), vmids=call.get("vms"))


@pve("POST", "/nodes/{node}/stopall")
async def stop_all(call: Call) -> Json:
    _check(call, "VM.PowerMgmt")
    return autostart.stop_all(call.host, call.identity, vmids=call.get("vms"))


@pve("POST", "/nodes/{node}/suspendall")
async def suspend_all(call: Call) -> Json:
    """Write the state of the running virtual machines to disk and switch them off."""
    _check(call, "VM.PowerMgmt")
    host, vmids = call.host, call.get("vms")

    async def work(task: Task) -> None:
        for place, _ in autostart.unmanaged(host, vmids):
            if place.kind is not QEMU or not host.guests.is_running(place.vmid):
                continue
            task.log(f"Suspending VM {place.vmid}")
            try:
                await operations.suspend(host, QEMU, place.vmid, to_disk=True, log=task.log)
            except AgentError as error:
                task.warn(f"Suspending VM {place.vmid} failed: {error.message}")

    return host.tasks.start(call.identity, "suspendall", "", work)


@pve("POST", "/nodes/{node}/migrateall")
async def migrate_all(call: Call) -> Json:
    """Move guests to another node, those that run while they run; those under HA through the manager."""
    _check(call, "VM.Migrate")
    host, target = call.host, call["target"]
    host.files.require_quorum()
    if target == host.name:
        raise ParameterError({"target": TEXTS["local"]})
    if target not in {node.name for node in host.cluster.nodes()}:
        raise AgentError(TEXTS["no_node"].format(node=target))
    vmids, local = call.get("vms"), bool(call.get("with-local-disks"))

    async def work(task: Task) -> None:
        failed = 0
        for place, _ in autostart.here(host, vmids):
            service = f"{place.kind.service}:{place.vmid}"
            task.log(f"Migrating {place.kind.label} {place.vmid}")
            if host.manager.manages(service):
                await host.manager.queue(f"migrate {service} {target}")
                continue
            running = host.guests.is_running(place.vmid)
            request = migrate.Request(
                target,
                online=running and place.kind is QEMU,
                restart=running and place.kind is not QEMU,
                with_local_disks=local,
            )
            try:
                await migrate.migrate(host, place.kind, place.vmid, request, task.log)
            except AgentError as error:
                failed += 1
                task.log(f"ERROR: migrating {place.kind.label} {place.vmid}: {error.message}")
        if failed:
            raise AgentError("some guests failed to migrate")

    return host.tasks.start(call.identity, "migrateall", "", work)
