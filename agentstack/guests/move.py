# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving one disk of a guest: to another storage, or to another guest of the same node.

A running VM goes on with its new disk; a container has to be off. Texts that are not in the facts are [inferred].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentstack._shared.units import format_size
from agentstack.errors import AgentError, ParameterError
from agentstack.guests import config as configs
from agentstack.guests import drives, operations, update
from agentstack.guests.config import LXC, GuestConfig, Kind
from agentstack.guests.operations import Log
from agentstack.sections import check_digest

if TYPE_CHECKING:
    from agentstack.access.identity import Identity
    from agentstack.host import Host

TEXTS = {
    "nothing": "Provide either a 'storage' to move the disk to or a 'target-vmid' and 'target-disk' to move the disk "
    "to another VM",
    "no_disk": "disk '{key}' does not exist",
    "no_volume": "volume '{key}' does not exist",
    "cdrom": "you can't move a cdrom",
    "same": "you can't move to the same storage with same format",
    "snapshots": "you can't move a disk with snapshots and delete the source",
    "running_ct": "cannot move volumes of a running container",
    "running": "Cannot move disk of a running VM to another VM",
    "other_snapshots": "Can't move disk used by a snapshot to another VM",
    "taken": "Target disk key '{key}' is already in use for VM '{vmid}'",
    "elsewhere": "Both VMs need to be on the same node",
    "same_guest": "must be different than source VMID to reassign disk",
}

_SECONDS_PER_GIB = 1.0


@dataclass(frozen=True)
class Request:
    """Where a disk goes: to a `storage` (in a `form`, the source then freed with `delete`), or to the disk
    `target_key` of the guest `target`."""

    key: str
    storage: str | None = None
    form: str | None = None
    delete: bool = False
    digest: str | None = None
    target: int | None = None
    target_key: str | None = None
    target_digest: str | None = None


def _drive(kind: Kind, config: GuestConfig, key: str) -> drives.Drive:
    if key not in config.values:
        raise AgentError(TEXTS["no_disk" if kind is not LXC else "no_volume"].format(key=key))
    drive = drives.parse_drive(key, config.values[key])
    if drive.is_cdrom:
        raise AgentError(TEXTS["cdrom"])
    return drive


def _in_snapshot(kind: Kind, config: GuestConfig, volume: str) -> bool:
    return any(
        drive.volume == volume for values in config.snapshots.values() for _, drive in drives.drives(kind, values)
    )


def check(host: Host, identity: Identity, kind: Kind, vmid: int, request: Request) -> None:
    """Everything that is refused before there is a task."""
    host.files.require_quorum()
    config, digest = configs.load_with_digest(host, kind, vmid)
    check_digest(digest, request.digest)
    configs.check_lock(kind, config)
    drive = _drive(kind, config, request.key)
    if request.target is not None:
        _check_reassign(host, identity, kind, vmid, request, config, drive)
        return
    if request.storage is None:
        raise AgentError(TEXTS["nothing"])
    host.access.check(identity, f"/storage/{request.storage}", ["Datastore.AllocateSpace"])
    host.storage.check_content(request.storage, "rootdir" if kind is LXC else "images")
    form = host.storage.format_of(drive.volume)
    if request.storage == drive.storage and request.form in (None, form):
        raise AgentError(TEXTS["same"])
    if kind is LXC and host.guests.is_running(vmid):
        raise AgentError(TEXTS["running_ct"])
    if request.delete and _in_snapshot(kind, config, drive.volume):
        raise AgentError(TEXTS["snapshots"])


def _check_reassign(
    host: Host, identity: Identity, kind: Kind, vmid: int, request: Request, config: GuestConfig, drive: drives.Drive
) -> None:
    target, key = request.target, request.target_key or request.key
    if target == vmid:
        raise ParameterError({"target-vmid": TEXTS["same_guest"]})
    host.access.check(identity, f"/vms/{target}", ["VM.Config.Disk"])
    place = configs.place(host, target or 0)
    if place is None or place.node != host.name or place.kind is not kind:
        raise AgentError(TEXTS["elsewhere"])
    if host.guests.is_running(vmid):
        raise AgentError(TEXTS["running"])
    if _in_snapshot(kind, config, drive.volume):
        raise AgentError(TEXTS["other_snapshots"])
    other, digest = configs.load_with_digest(host, kind, place.vmid)
    check_digest(digest, request.target_digest)
    if key in other.values:
        raise AgentError(TEXTS["taken"].format(key=key, vmid=target))


async def move(host: Host, kind: Kind, vmid: int, request: Request, log: Log) -> None:
    """Do what `check` has let pass."""
    if request.target is not None:
        await _reassign(host, kind, vmid, request, log)
        return
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        configs.check_lock(kind, config)
        drive = _drive(kind, config, request.key)
        old, ident = drive.volume, request.storage or drive.storage
        log(f"create full clone of drive {request.key} ({old})")
        form = request.form or host.storage.format_for(ident, kind is LXC, old)
        running = host.guests.running.get(vmid)
        if running is not None:
            await host.guests.suspend(vmid)
        try:
            new = host.storage.duplicate(old, ident, vmid, form=form)
            await host.clock.sleep(host.storage.size(new) / (1 << 30) * _SECONDS_PER_GIB)
            drive.volume = new
            drive.options["size"] = format_size(host.storage.size(new))
            config.values[request.key] = drive.format()
            if not request.delete:
                update.detach(kind, config, drives.Drive(old))
            await configs.save(host, kind, vmid, config)
        except (AgentError, OSError):
            if running is not None:
                await host.guests.resume(vmid)
            raise
        if running is not None:
            # the process has its disks open: it goes on as the same run on the new ones
            await host.guests.kill(vmid)
            await host.guests.launch(kind, vmid, operations.disk_files(host, kind, config), run=running.run)
        if request.delete:
            host.storage.free(old)


async def _reassign(host: Host, kind: Kind, vmid: int, request: Request, log: Log) -> None:
    target, key = request.target or 0, request.target_key or request.key
    async with host.guests.lock(min(vmid, target)), host.guests.lock(max(vmid, target)):
        config, other = configs.load(host, kind, vmid), configs.load(host, kind, target)
        drive = _drive(kind, config, request.key)
        old = drive.volume
        drive.volume = host.storage.duplicate(old, drive.storage, target, form=host.storage.format_of(old))
        del config.values[request.key]
        other.values[key] = drive.format()
        log(f"moving disk '{request.key}' from {kind.label} '{vmid}' to '{target}'")
        await configs.save(host, kind, target, other)
        await configs.save(host, kind, vmid, config)
        host.storage.free(old)
        log(f"removing disk '{request.key}' from {kind.label} '{vmid}' config")
