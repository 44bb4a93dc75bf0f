# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of guests: clones, which depend on a template's disks or have all of their bytes, and the templates.

The texts are those of the real tools as their users see them; where only the meaning was known they are marked
[inferred].
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentstack._shared.units import format_size
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests import create, drives
from agentstack.guests.bridges import check_bridges
from agentstack.guests.config import LXC, QEMU, GuestConfig, Kind
from agentstack.guests.operations import Log

if TYPE_CHECKING:
    from agentstack.access.identity import Identity
    from agentstack.host import Host

TEXTS = {
    "linked_storage": "parameter 'storage' not allowed for linked clones",
    "local": "can't clone {label} to node '{target}' ({label} uses local storage)",
    "linked": "Linked clone feature is not supported for drive '{key}'",
    "running_ct": "Cannot do full clones on a running container without snapshots",
    "no_snapshot": "snapshot '{name}' does not exist",
    "node": "no such cluster node '{node}'",
    "unable": "clone failed: {why}",
    "has_snapshots": "unable to create template, because {label} contains snapshots",
    "is_template": "you can't convert a template to a template",
    "running": "you can't convert a {label} to template if {label} is running",
    "no_template": "Template feature is not available for '{key}'",
}

_WORK_TIME = 1.0
_NOT_COPIED = frozenset(
    {"lock", "template", "parent", "snaptime", "snapstate", "vmstate", "runningmachine", "runningcpu"}
)


@dataclass(frozen=True)
class Request:
    """What is asked for. `full` None: all bytes, unless the guest is a template; `target`: the node of the clone."""

    new: int
    name: str | None = None
    description: str | None = None
    full: bool | None = None
    storage: str | None = None
    form: str | None = None
    snapshot: str | None = None
    target: str | None = None
    pool: str | None = None


def check(host: Host, identity: Identity, kind: Kind, vmid: int, request: Request) -> bool:
    """Everything that is refused before there is a task; returns whether the clone is a full one."""
    host.files.require_quorum()
    config = configs.load(host, kind, vmid)
    configs.check_lock(kind, config)
    if request.pool and request.pool not in host.access.cfg.pools:
        raise AgentError(create.TEXTS["no_pool"].format(pool=request.pool))
    configs.check_free(host, request.new)
    full = request.full if request.full is not None else config.values.get("template") != "1"
    if request.storage and not full:
        raise AgentError(TEXTS["linked_storage"])
    values = config.values
    if request.snapshot:
        if request.snapshot not in config.snapshots:
            raise AgentError(TEXTS["no_snapshot"].format(name=request.snapshot))
        values = config.snapshots[request.snapshot]
    check_bridges(host, identity, values)
    if full and kind is LXC and not request.snapshot and host.guests.is_running(vmid):
        raise AgentError(TEXTS["running_ct"])
    _check_drives(host, identity, kind, values, request, full=full)
    return full


def _check_drives(
    host: Host, identity: Identity, kind: Kind, values: dict[str, str], request: Request, *, full: bool
) -> None:
    target = request.target or host.name
    if target not in {node.name for node in host.cluster.nodes()}:
        raise AgentError(TEXTS["node"].format(node=target))
    for key, drive in drives.drives(kind, values):
        if not drive.is_volume or drive.is_cdrom:
            continue
        ident = request.storage or drive.storage
        entry = host.storage.check_content(ident, "rootdir" if kind is LXC else "images")
        host.access.check(identity, f"/storage/{ident}", ["Datastore.AllocateSpace"])
        # a container's disk cannot be qcow2, which is what linked clones in directories are [inferred]
        overlay = kind is LXC and entry.type in drives.FILE_STORAGES
        if not full and (overlay or not host.storage.can_clone(drive.volume)):
            raise AgentError(TEXTS["linked"].format(key=key))
        if target != host.name and not host.storage.is_shared(entry):
            raise AgentError(TEXTS["local"].format(label=kind.label, target=target))


async def clone(host: Host, kind: Kind, vmid: int, request: Request, log: Log, *, full: bool) -> None:
    """Make the clone: its disks first, then its configuration, on this node or on that of the request."""
    made: list[str] = []
    new, target = request.new, request.target or host.name
    path = configs.config_path(kind, host.name, new)
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        configs.check_lock(kind, config)
        source = config.snapshots[request.snapshot] if request.snapshot else config.values
        suspended = full and not request.snapshot and kind is QEMU and host.guests.is_running(vmid)
        try:
            configs.check_free(host, new)
            host.guests.forget_acknowledged(new)
            await configs.save(host, kind, new, GuestConfig({"lock": "clone"}))
            if suspended:
                # what a mirror of a running VM's disks comes to: the state of one moment
                await host.guests.suspend(vmid)
            values = _copy_disks(host, kind, source, request, made, log, full=full)
            await host.clock.sleep(_WORK_TIME)
            _make_own(kind, values, vmid, request, host.clock.now())
            await configs.save(host, kind, new, GuestConfig(values))
            if target != host.name:
                await host.files.rename(path, configs.config_path(kind, target, new))
        except (AgentError, OSError) as error:
            for volid in made:
                host.storage.free(volid)
            if host.files.exists(path):
                await host.files.delete(path)
            why = error.message if isinstance(error, AgentError) else str(error)
            raise AgentError(TEXTS["unable"].format(why=why)) from error
        finally:
            if suspended and host.guests.is_running(vmid):
                await host.guests.resume(vmid)
    if request.pool:
        async with host.access.editing("add to pool failed") as cfg:
            cfg.pools[request.pool].vms.add(new)


def _copy_disks(
    host: Host, kind: Kind, source: dict[str, str], request: Request, made: list[str], log: Log, *, full: bool
) -> dict[str, str]:
    values = {key: value for key, value in source.items() if key not in _NOT_COPIED and not key.startswith("unused")}
    for key, drive in list(drives.drives(kind, values)):
        if not drive.is_volume:
            continue
        if drives.is_cloudinit(drive):
            values[key], _ = drives.allocate(host, kind, request.new, key, f"{drive.storage}:cloudinit,media=cdrom")
            made.append(drives.parse_drive(key, values[key]).volume)
            continue
        if drive.is_cdrom:
            continue
        if full:
            log(f"create full clone of drive {key} ({drive.volume})")
            ident = request.storage or drive.storage
            form = request.form or host.storage.format_for(ident, kind is LXC, drive.volume)
            volid = host.storage.duplicate(drive.volume, ident, request.new, form=form, snapshot=request.snapshot)
        else:
            log(f"create linked clone of drive {key} ({drive.volume})")
            volid = host.storage.clone(drive.volume, request.new)
        made.append(volid)
        drive.volume = volid
        drive.options["size"] = format_size(host.storage.size(volid))
        values[key] = drive.format()
    return values


def _make_own(kind: Kind, values: dict[str, str], vmid: int, request: Request, now: float) -> None:
    """What no two guests may share gets new values."""
    for key in values:
        if key.startswith("net") and key[3:].isdigit():
            values[key] = drives.renew_mac(kind, values[key])
    if kind is QEMU:
        values["name"] = request.name or f"Copy-of-VM-{values.get('name', vmid)}"
        values["smbios1"] = f"uuid={uuid.uuid4()}"
        values["meta"] = f"creation-qemu={create.QEMU_VERSION},ctime={int(now)}"
        if "vmgenid" in values:
            values["vmgenid"] = str(uuid.uuid4())
    else:
        values["hostname"] = request.name or f"Copy-of-CT-{values.get('hostname', vmid)}"
    if request.description is not None:
        values["description"] = request.description + "\n"


def check_template(host: Host, kind: Kind, vmid: int, disk: str | None = None) -> None:
    """Refuse to make a template of a guest that cannot be one."""
    host.files.require_quorum()
    config = configs.load(host, kind, vmid)
    configs.check_lock(kind, config)
    if config.snapshots:
        raise AgentError(TEXTS["has_snapshots"].format(label=kind.label))
    if config.values.get("template") == "1" and disk is None:
        raise AgentError(TEXTS["is_template"])
    if host.guests.is_running(vmid):
        raise AgentError(TEXTS["running"].format(label=kind.label))
    for key, drive in drives.drives(kind, config):
        owned = drive.is_volume and not drive.is_cdrom and disk in (None, key)
        if owned and not host.storage.can_be_base(drive.volume):
            raise AgentError(TEXTS["no_template"].format(key=key))


async def make_template(host: Host, kind: Kind, vmid: int, disk: str | None = None) -> None:
    """Turn a guest's disks into bases of clones; from then on it cannot be started."""
    async with host.guests.lock(vmid):
        check_template(host, kind, vmid, disk)
        config = configs.load(host, kind, vmid)
        for key, drive in list(drives.drives(kind, config)):
            if drive.is_volume and not drive.is_cdrom and disk in (None, key):
                if not host.storage.can_clone(drive.volume):
                    drive.volume = host.storage.make_base(drive.volume)
                config.values[key] = drive.format()
        config.values["template"] = "1"
        await configs.save(host, kind, vmid, config)
