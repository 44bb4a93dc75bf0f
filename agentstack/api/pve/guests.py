# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/qemu and /nodes/{node}/lxc: what both kinds of guest share (facts §14)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.backup import restore
from agentstack.errors import AgentError, ParameterError
from agentstack.guests import config as configs
from agentstack.guests import create, migrate, operations, snapshots, update
from agentstack.guests.config import KINDS, LXC, QEMU, Kind
from agentstack.manager import config as ha
from agentstack.manager import motion
from agentstack.replication.network import migration_network
from agentstack.tasks import Task

Action = Callable[[Call, Task], Awaitable[None]]


def base(kind: Kind) -> str:
    return f"/nodes/{{node}}/{kind.type}"


def sid(kind: Kind, call: Call) -> str:
    return f"{kind.service}:{call['vmid']}"


def is_managed(kind: Kind, call: Call) -> bool:
    """The guest's power and place are HA's business, whoever asks here."""
    return call.host.manager.manages(sid(kind, call))


def start_task(kind: Kind, call: Call, name: str, action: Action) -> str:
    """Run an action on the guest as a task `qmNAME`, `vzNAME`."""

    async def work(task: Task) -> None:
        await action(call, task)

    return call.host.tasks.start(call.identity, f"{kind.prefix}{name}", str(call["vmid"]), work)


def ha_task(kind: Kind, call: Call, name: str, request: str, action: Action) -> str:
    """Hand a request to the HA manager as a task that ends at once (facts §7.6)."""

    async def work(task: Task) -> None:
        task.log(f"Requesting HA {request}")
        await action(call, task)

    return call.host.tasks.start(call.identity, name, str(call["vmid"]), work)


def register(kind: Kind) -> None:
    """Everything that differs between the kinds by names alone."""
    path = base(kind)
    one = f"{path}/{{vmid}}"

    @pve("GET", path)
    async def list_guests(call: Call) -> Json:
        host = call.host
        rows = []
        for place in configs.places(host).values():
            if place.node == host.name and place.kind is kind:
                if not host.access.may(call.identity, f"/vms/{place.vmid}", ["VM.Audit"]):
                    continue
                rows.append(host.guests.status(kind, place.vmid, configs.load(host, kind, place.vmid)))
        return shuffled(rows)

    @pve("POST", path)
    async def create_guest(call: Call) -> Json:
        vmid = call["vmid"]
        if restore.archive_of(kind, call.params) is not None:
            return restore.begin(call.host, call.identity, kind, call.params)
        create.check_create(call.host, call.identity, kind, vmid, call.params)
        options = create.options(call.params)
        update.check_options(call.host, call.identity, vmid, options, pool=call.get("pool"))

        async def work(task: Task) -> None:
            await create.create(call.host, kind, vmid, call.params, task.log)
            if call.get("ha-managed"):
                state = "started" if call.get("start") else "stopped"
                await ha.create_resource(call.host, f"{kind.service}:{vmid}", {"state": state})
            elif call.get("start"):
                await operations.start(call.host, kind, vmid, log=task.log)

        return call.host.tasks.start(call.identity, f"{kind.prefix}create", str(vmid), work)

    @pve("DELETE", one)
    async def destroy_guest(call: Call) -> Json:
        purge, force = bool(call.get("purge")), bool(call.get("force"))
        create.check_destroy(call.host, kind, call["vmid"], purge=purge, force=force)
        unreferenced = bool(call.get("destroy-unreferenced-disks"))

        async def action(call: Call, task: Task) -> None:
            await create.destroy(call.host, kind, call["vmid"], purge=purge, unreferenced=unreferenced, log=task.log)

        return start_task(kind, call, "destroy", action)

    @pve("GET", f"{one}/config")
    async def read_config(call: Call) -> Json:
        config, digest = configs.load_with_digest(call.host, kind, call["vmid"])
        values = config.values
        if snapshot := call.get("snapshot"):
            values = snapshots.values_of(config, snapshot)
        elif not call.get("current"):
            values = {key: value for key, value in values.items() if key not in config.pending}
            values |= {key: value for key, value in config.pending.items() if value is not None}
        return update.typed(kind, values) | {"digest": digest}

    @pve("PUT", f"{one}/config")
    async def change_config(call: Call) -> Json:
        await update.update(call.host, call.identity, kind, call["vmid"], call.params)

    @pve("GET", f"{one}/pending")
    async def read_pending(call: Call) -> Json:
        return shuffled(update.pending_list(kind, configs.load(call.host, kind, call["vmid"])))

    @pve("GET", f"{one}/status/current")
    async def current_status(call: Call) -> Json:
        host, vmid = call.host, call["vmid"]
        config = configs.load(host, kind, vmid)
        row = host.guests.status(kind, vmid, config)
        resource = host.manager.resources().get(sid(kind, call))
        row["ha"] = {"managed": int(resource is not None)}
        if resource is not None:
            row["ha"] |= {key: resource.values[key] for key in ("state", "group") if key in resource.values}
            row["ha"].setdefault("state", "started")
        if kind is QEMU:
            guest = host.guests.running.get(vmid)
            row["qmpstatus"] = "stopped" if guest is None else "paused" if guest.suspended else "running"
            if guest is not None:
                row |= {"running-machine": "pc-i440fx-10.1+pve0", "running-qemu": create.QEMU_VERSION}
            row["agent"] = int(config.values.get("agent", "0").partition(",")[0] in ("1", "enabled=1"))
        return row

    @pve("POST", f"{one}/status/start")
    async def start(call: Call) -> Json:
        host, vmid = call.host, call["vmid"]
        host.files.require_quorum()
        if is_managed(kind, call):
            return ha_task(kind, call, "hastart", f"start for {kind.label} {vmid}", _ha_start(kind))
        configs.load(host, kind, vmid)
        if kind is LXC:
            operations.assert_stopped(host, kind, vmid)

        async def action(call: Call, task: Task) -> None:
            await operations.start(host, kind, vmid, skip_lock=bool(call.get("skiplock")), log=task.log)

        return start_task(kind, call, "start", action)

    @pve("POST", f"{one}/status/stop")
    async def stop(call: Call) -> Json:
        host, vmid = call.host, call["vmid"]
        if is_managed(kind, call):
            return ha_task(kind, call, "hastop", f"stop for {kind.label} {vmid}", _ha_stop(kind, 0))
        configs.load(host, kind, vmid)
        if kind is LXC:
            operations.assert_running(host, kind, vmid)

        async def action(call: Call, task: Task) -> None:
            await operations.stop(host, kind, vmid, skip_lock=bool(call.get("skiplock")), log=task.log)

        return start_task(kind, call, "stop", action)

    @pve("POST", f"{one}/status/shutdown")
    async def shutdown(call: Call) -> Json:
        host, vmid = call.host, call["vmid"]
        timeout = call.get("timeout", operations.DEFAULT_SHUTDOWN_TIMEOUT)
        if is_managed(kind, call):
            return ha_task(kind, call, "hastop", f"stop for {kind.label} {vmid}", _ha_stop(kind, timeout))
        configs.load(host, kind, vmid)
        if kind is LXC:
            operations.assert_running(host, kind, vmid)

        async def action(call: Call, task: Task) -> None:
            await operations.shutdown(host, kind, vmid, timeout, force=bool(call.get("forceStop")), log=task.log)

        return start_task(kind, call, "shutdown", action)

    @pve("POST", f"{one}/status/reboot")
    async def reboot(call: Call) -> Json:
        configs.load(call.host, kind, call["vmid"])
        operations.assert_running(call.host, kind, call["vmid"])
        timeout = call.get("timeout", operations.DEFAULT_SHUTDOWN_TIMEOUT)

        async def action(call: Call, task: Task) -> None:
            await operations.reboot(call.host, kind, call["vmid"], timeout, log=task.log)

        return start_task(kind, call, "reboot", action)

    @pve("POST", f"{one}/status/suspend")
    async def suspend(call: Call) -> Json:
        configs.load(call.host, kind, call["vmid"])
        operations.assert_running(call.host, kind, call["vmid"])
        to_disk = bool(call.get("todisk"))

        async def action(call: Call, task: Task) -> None:
            await operations.suspend(call.host, kind, call["vmid"], to_disk=to_disk, log=task.log)

        return start_task(kind, call, "pause" if kind is QEMU and not to_disk else "suspend", action)

    @pve("POST", f"{one}/status/resume")
    async def resume(call: Call) -> Json:
        configs.load(call.host, kind, call["vmid"])

        async def action(call: Call, task: Task) -> None:
            await operations.resume(call.host, kind, call["vmid"], log=task.log)

        return start_task(kind, call, "resume", action)

    @pve("PUT", f"{one}/resize")
    async def resize(call: Call) -> Json:
        configs.load(call.host, kind, call["vmid"])

        async def action(call: Call, task: Task) -> None:
            await update.resize(call.host, kind, call["vmid"], call["disk"], call["size"], call.get("digest"))

        return call.host.tasks.start(call.identity, "resize", str(call["vmid"]), lambda task: action(call, task))


def _ha_start(kind: Kind) -> Action:
    async def action(call: Call, task: Task) -> None:
        await ha.update_resource(call.host, sid(kind, call), {"state": "started"})

    return action


def _ha_stop(kind: Kind, timeout: int) -> Action:
    async def action(call: Call, task: Task) -> None:
        await call.host.manager.queue(f"stop {sid(kind, call)} {timeout}")

    return action


for _kind in KINDS.values():
    register(_kind)


# ---- virtual machines alone -----------------------------------------------------------------------------------------


@pve("POST", "/nodes/{node}/qemu/{vmid}/config")
async def change_vm_config(call: Call) -> Json:
    """As PUT, but in a task (facts: notes of the task list)."""
    configs.load(call.host, QEMU, call["vmid"])

    async def work(task: Task) -> None:
        await update.update(call.host, call.identity, QEMU, call["vmid"], call.params)

    return call.host.tasks.start(call.identity, "qmconfig", str(call["vmid"]), work)


@pve("POST", "/nodes/{node}/qemu/{vmid}/status/reset")
async def reset(call: Call) -> Json:
    configs.load(call.host, QEMU, call["vmid"])
    operations.assert_running(call.host, QEMU, call["vmid"])

    async def action(call: Call, task: Task) -> None:
        await operations.reset(call.host, QEMU, call["vmid"], log=task.log)

    return start_task(QEMU, call, "reset", action)


@pve("PUT", "/nodes/{node}/qemu/{vmid}/unlink")
async def unlink(call: Call) -> Json:
    params: dict[str, Any] = {"delete": call["idlist"]}
    await update.update(call.host, call.identity, QEMU, call["vmid"], params)


# ---- migration ------------------------------------------------------------------------------------------------------


@pve("GET", "/nodes/{node}/qemu/{vmid}/migrate")
async def vm_migration_preconditions(call: Call) -> Json:
    return _preconditions(QEMU, call)


@pve("GET", "/nodes/{node}/lxc/{vmid}/migrate")
async def container_migration_preconditions(call: Call) -> Json:
    return _preconditions(LXC, call)


def _preconditions(kind: Kind, call: Call) -> Json:
    host = call.host
    if (target := call.get("target")) == host.name:
        raise ParameterError({"target": migrate.TEXTS["local"]})
    answer = migrate.preconditions(host, kind, call["vmid"], target)
    if not ha.has_rules(host) or sid(kind, call) not in host.manager.resources():
        return answer
    refused = answer["not_allowed_nodes" if kind is QEMU else "not-allowed-nodes"] if target is None else {}
    allowed = answer.get("allowed_nodes" if kind is QEMU else "allowed-nodes", [])
    dependent: set[str] = set()
    for node in [target] if target else list(allowed):
        comigrated, blocking = motion.moves(host, sid(kind, call), node)
        dependent |= set(comigrated)
        if blocking:
            refused.setdefault(node, {})["blocking-ha-resources"] = blocking
            if node in allowed:
                allowed.remove(node)
    if dependent:
        answer["dependent-ha-resources"] = sorted(dependent)
    return answer


@pve("POST", "/nodes/{node}/qemu/{vmid}/migrate")
async def migrate_vm(call: Call) -> Json:
    request = migrate.Request(
        call["target"],
        online=bool(call.get("online")),
        with_local_disks=bool(call.get("with-local-disks")),
        storages=call.get("targetstorage"),
        network=call.get("migration_network") or migration_network(call.host),
        force=bool(call.get("force")),
    )
    return _migrate(QEMU, call, request, "qmigrate")


@pve("POST", "/nodes/{node}/lxc/{vmid}/migrate")
async def migrate_container(call: Call) -> Json:
    request = migrate.Request(
        call["target"],
        restart=bool(call.get("restart")),
        timeout=call.get("timeout", 180),
        storages=call.get("target-storage"),
        network=migration_network(call.host),
    )
    return _migrate(LXC, call, request, "vzmigrate")


def _migrate(kind: Kind, call: Call, request: migrate.Request, task_type: str) -> Json:
    host, vmid = call.host, call["vmid"]
    migrate.check(host, kind, vmid, request)
    if is_managed(kind, call):
        return ha_task(
            kind, call, "hamigrate", f"migration for {kind.label} {vmid} to node {request.target}", _ha_migrate(kind)
        )

    async def work(task: Task) -> None:
        await migrate.migrate(host, kind, vmid, request, task.log)

    return host.tasks.start(call.identity, task_type, str(vmid), work)


def _ha_migrate(kind: Kind) -> Action:
    async def action(call: Call, task: Task) -> None:
        host, target = call.host, call["target"]
        command = "migrate" if kind is QEMU else "relocate"
        if ha.has_rules(host):
            _, blocking = motion.moves(host, sid(kind, call), target)
            for other in blocking:
                task.log(f"resource '{other['sid']}' on target node '{target}' is in negative affinity")
            if blocking:
                raise AgentError(f"cannot migrate resource '{sid(kind, call)}' to node '{target}'")
        await host.manager.queue(f"{command} {sid(kind, call)} {target}")

    return action
