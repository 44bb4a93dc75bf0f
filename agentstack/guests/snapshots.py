# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of guests: a section of the configuration, and a snapshot of each disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests import drives
from agentstack.guests.config import GuestConfig, Kind
from agentstack.guests.guests import memory_of
from agentstack.guests.operations import disk_files
from agentstack.replication.transfer import PREFIX

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "exists": "snapshot name '{name}' already used",
    "missing": "snapshot '{name}' does not exist",
    "feature": "snapshot feature is not available",
    "no_state_storage": "unable to find a storage for the state of the VM",
    "current": "snapshot name 'current' not allowed",
    "not_newest": "can't rollback, '{name}' is not most recent snapshot on '{volid}'",
    "running": "unable to rollback to snapshot '{name}': guest is running",
}

_OF_SNAPSHOTS = frozenset({"parent", "snaptime", "description", "snapstate", "vmstate", "runningmachine", "runningcpu"})
_NOW = {"name": "current", "description": "You are here!"}
_WORK_TIME = 1.0
_STATE_EXTRA = 500 << 20
RUNNING_MACHINE = "pc-i440fx-10.1+pve0"


def listing(config: GuestConfig, digest: str, *, running: bool) -> list[dict[str, Any]]:
    """Rows of `GET …/snapshot`, the present state last."""
    rows = []
    for name, values in config.snapshots.items():
        row: dict[str, Any] = {"name": name, "description": values.get("description", "")}
        row |= {"snaptime": int(values["snaptime"]), "vmstate": int("vmstate" in values)}
        if "parent" in values:
            row["parent"] = values["parent"]
        rows.append(row)
    current = _NOW | {"running": int(running), "digest": digest}
    if "parent" in config.values:
        current["parent"] = config.values["parent"]
    return [*rows, current]


def check_create(host: Host, kind: Kind, vmid: int, name: str) -> None:
    """Refuse a name that is taken, and a guest with a disk that can have no snapshots."""
    if name.lower() == "current":
        raise AgentError(TEXTS["current"])
    config = configs.load(host, kind, vmid)
    if name in config.snapshots:
        raise AgentError(TEXTS["exists"].format(name=name))
    for _, drive in drives.volumes(kind, config):
        if not host.storage.can_snapshot(drive.volume):
            raise AgentError(TEXTS["feature"])


async def create(
    host: Host, kind: Kind, vmid: int, name: str, description: str | None, *, with_memory: bool = False
) -> None:
    """Keep the present state of a guest under a name; `with_memory`, that of a running VM's memory too."""
    async with host.guests.lock(vmid):
        check_create(host, kind, vmid, name)
        config = configs.load(host, kind, vmid)
        configs.check_lock(kind, config)
        state = _save_memory(host, kind, vmid, config, name) if with_memory and host.guests.is_running(vmid) else {}
        for _, drive in drives.volumes(kind, config):
            host.storage.snapshot(drive.volume, name)
        await host.clock.sleep(_WORK_TIME)
        values = state | {key: value for key, value in config.values.items() if key not in ("parent", "description")}
        values["snaptime"] = str(int(host.clock.now()))
        if "parent" in config.values:
            values["parent"] = config.values["parent"]
        if description:
            values["description"] = description + "\n"
        config.snapshots[name] = values
        config.values["parent"] = name
        await configs.save(host, kind, vmid, config)


def values_of(config: GuestConfig, name: str) -> dict[str, str]:
    """What a guest was configured as when the snapshot was made. Raises AgentError when there is none of that name."""
    if name not in config.snapshots:
        raise AgentError(TEXTS["missing"].format(name=name))
    return config.snapshots[name]


def _save_memory(host: Host, kind: Kind, vmid: int, config: GuestConfig, name: str) -> dict[str, str]:
    """Make the volume that a VM's memory goes to; what the snapshot notes of it."""
    disk = next((drive for _, drive in drives.volumes(kind, config) if not drive.is_cdrom), None)
    if disk is None:
        raise AgentError(TEXTS["no_state_storage"])
    storage = config.values.get("vmstatestorage", disk.storage)
    entry = host.storage.entry(storage)
    suffix = ".raw" if entry.type in drives.FILE_STORAGES else ""
    size = 2 * memory_of(kind, config) + _STATE_EXTRA
    volume = host.storage.allocate(storage, vmid, size, form="raw", name=f"vm-{vmid}-state-{name}{suffix}")
    return {"vmstate": volume, "runningmachine": RUNNING_MACHINE, "runningcpu": "kvm64,enforce,+kvm_pv_eoi"}


async def rollback(host: Host, kind: Kind, vmid: int, name: str) -> None:
    """Bring a guest back to a snapshot; it is off afterwards."""
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        configs.check_lock(kind, config)
        values = values_of(config, name)
        volumes = [drive.volume for _, drive in drives.volumes(kind, GuestConfig(values))]
        newer = {volid: host.storage.in_the_way_of(volid, name) for volid in volumes}
        for volid, names in newer.items():
            # a rollback takes replication's own along
            if not all(each.startswith(PREFIX) for each in names):
                raise AgentError(TEXTS["not_newest"].format(name=name, volid=volid))
        await host.guests.kill(vmid)
        for volid in volumes:
            for each in newer[volid]:
                host.storage.delete_snapshot(volid, each)
            host.storage.rollback(volid, name)
        host.guests.forget_acknowledged(vmid)
        await host.clock.sleep(_WORK_TIME)
        restored = "vmstate" in values
        kept = {key: value for key, value in config.values.items() if key == "description"}
        config.values = kept | {key: value for key, value in values.items() if key not in _OF_SNAPSHOTS}
        config.values["parent"] = name
        config.pending.clear()
        await configs.save(host, kind, vmid, config)
        if restored:
            # with its memory the VM goes on where it was
            await host.guests.launch(kind, vmid, disk_files(host, kind, config))


async def describe(host: Host, kind: Kind, vmid: int, name: str, description: str | None) -> None:
    """Set a snapshot's description, or take it away."""
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        configs.check_lock(kind, config)
        values = values_of(config, name)
        if description:
            values["description"] = description + "\n"
        else:
            values.pop("description", None)
        await configs.save(host, kind, vmid, config)


async def delete(host: Host, kind: Kind, vmid: int, name: str) -> None:
    """Forget a snapshot; what it was the parent of goes to its own parent."""
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        configs.check_lock(kind, config)
        values = values_of(config, name)
        for _, drive in drives.volumes(kind, GuestConfig(values)):
            host.storage.delete_snapshot(drive.volume, name)
        if "vmstate" in values and host.storage.exists(values["vmstate"]):
            host.storage.free(values["vmstate"])
        await host.clock.sleep(_WORK_TIME)
        del config.snapshots[name]
        for other in (config.values, *config.snapshots.values()):
            if other.get("parent") == name:
                other.pop("parent")
                if "parent" in values:
                    other["parent"] = values["parent"]
        await configs.save(host, kind, vmid, config)
