# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests come and go: new configurations with their disks, and removal with everything that refers to them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError, ParameterError
from agentstack.guests import cloudinit, drives
from agentstack.guests import config as configs
from agentstack.guests.config import LXC, QEMU, GuestConfig, Kind
from agentstack.guests.operations import Log

if TYPE_CHECKING:
    from agentstack.access.identity import Identity
    from agentstack.host import Host

TEXTS = {
    "unable": "unable to create {label} {vmid} - {why}",
    "protection": "can't remove {label} {vmid} - protection mode enabled",
    "destroy_running": "VM {vmid} is running - destroy failed",
    "destroy_running_ct": "container is running - destroy failed",
    "ha": "unable to remove {label} {vmid} - used in HA resources and purge parameter not set.",
    "replication": "There is a replication job '{job}' for guest '{vmid}' - Please remove that first.",
    "no_template": "volume '{volid}' does not exist",
    "line_break": "invalid format - value contains a line break\n",
    "no_pool": "pool '{pool}' does not exist",
}

QEMU_VERSION = "10.1.2"
_CREATE_TIME = 1.0

CONTROL = frozenset(
    {
        *("node", "vmid", "start", "archive", "force", "unique", "pool", "bwlimit", "live-restore", "ha-managed"),
        *("import-working-storage", "restore", "ignore-unpack-errors", "ssh-public-keys", "password", "storage"),
        *("ostemplate", "digest", "delete", "revert", "skiplock", "background_delay"),
    }
)
"""Parameters of create and update calls that are no options of the guest."""

_LXC_DEFAULTS = {"arch": "amd64", "memory": "512", "swap": "512"}


def options(params: Mapping[str, Any]) -> dict[str, str]:
    """The guest's options among a call's parameters, as text."""
    given = {key: value for key, value in params.items() if key not in CONTROL}
    found = {key: str(int(value)) if isinstance(value, bool) else str(value) for key, value in given.items()}
    broken = [key for key, value in found.items() if "\n" in value and key != "description"]
    if broken:
        raise ParameterError(dict.fromkeys(broken, TEXTS["line_break"]))
    return found


def check_create(host: Host, identity: Identity, kind: Kind, vmid: int, params: Mapping[str, Any]) -> None:
    """Everything that is refused before a task is made."""
    host.files.require_quorum()
    pool = params.get("pool")
    if not host.access.may(identity, f"/vms/{vmid}", ["VM.Allocate"]):
        host.access.check(identity, f"/pool/{pool}" if pool else f"/vms/{vmid}", ["VM.Allocate"])
    if pool and pool not in host.access.cfg.pools:
        raise AgentError(TEXTS["no_pool"].format(pool=pool))
    try:
        configs.check_free(host, vmid)
    except AgentError as error:
        raise AgentError(TEXTS["unable"].format(label=kind.label, vmid=vmid, why=error.message)) from error
    for key, text in options(params).items():
        if kind.disk_keys.fullmatch(key):
            check_storage(host, identity, kind, drives.parse_drive(key, text))
    if kind is LXC and not host.storage.exists(params["ostemplate"]):
        raise AgentError(TEXTS["no_template"].format(volid=params["ostemplate"]))


def check_storage(host: Host, identity: Identity, kind: Kind, drive: drives.Drive) -> None:
    """Refuse a disk on a storage that is not there, not for guests' disks, or not the caller's to use."""
    if not drive.is_volume:
        return
    medium = drive.is_cdrom and not drive.volume.endswith(":cloudinit")
    host.storage.check_content(drive.storage, "iso" if medium else "rootdir" if kind is LXC else "images")
    host.access.check(
        identity,
        f"/storage/{drive.storage}",
        ["Datastore.Audit", "Datastore.AllocateSpace"] if medium else ["Datastore.AllocateSpace"],
        any=medium,
    )


async def create(host: Host, kind: Kind, vmid: int, params: Mapping[str, Any], log: Log) -> None:
    """Make the guest: its configuration under a lock first, then its disks, then all of it at once."""
    made: list[str] = []
    async with host.guests.lock(vmid):
        try:
            configs.check_free(host, vmid)
            host.guests.forget_acknowledged(vmid)
            await configs.save(host, kind, vmid, GuestConfig({"lock": "create"}))
            config = GuestConfig(options(params))
            if "cipassword" in config.values:
                config.values["cipassword"] = cloudinit.hashed(config.values["cipassword"])
            if kind is LXC:
                _complete_container(config, vmid, params)
            await _make_disks(host, kind, vmid, config, made, log)
            if kind is QEMU:
                _complete_vm(host, config)
            await host.clock.sleep(_CREATE_TIME)
            await configs.save(host, kind, vmid, config)
        except AgentError as error:
            for volid in made:
                host.storage.free(volid)
            if made or configs.place(host, vmid):
                await host.files.delete(configs.config_path(kind, host.name, vmid))
            raise AgentError(TEXTS["unable"].format(label=kind.label, vmid=vmid, why=error.message)) from error
    if pool := params.get("pool"):
        async with host.access.editing("add to pool failed") as cfg:
            cfg.pools[pool].vms.add(vmid)


async def _make_disks(host: Host, kind: Kind, vmid: int, config: GuestConfig, made: list[str], log: Log) -> None:
    for key, _ in list(drives.drives(kind, config)):
        text, new = drives.allocate(host, kind, vmid, key, config.values[key])
        config.values[key] = text
        if new:
            made.append(drives.parse_drive(key, text).volume)
            if kind is QEMU:
                log(f"{key}: successfully created disk '{text}'")
    for key in list(config.values):
        if key.startswith("net") and key[3:].isdigit():
            config.values[key] = drives.complete_net(kind, config.values[key])


def _complete_vm(host: Host, config: GuestConfig) -> None:
    values = config.values
    if "boot" not in values:
        disk = next((key for key, drive in drives.drives(QEMU, config) if not drive.is_cdrom and _bootable(key)), None)
        cdrom = next((key for key, drive in drives.drives(QEMU, config) if drive.is_cdrom), None)
        net = next((key for key in sorted(values) if key.startswith("net") and key[3:].isdigit()), None)
        order = ";".join(key for key in (disk, cdrom, net) if key)
        # with nothing to boot from the file holds a blank (observed: files)
        values["boot"] = f"order={order}" if order else " "
    values.setdefault("meta", f"creation-qemu={QEMU_VERSION},ctime={int(host.clock.now())}")
    values.setdefault("smbios1", f"uuid={uuid.uuid4()}")
    if values.get("vmgenid", "1") == "1":
        values["vmgenid"] = str(uuid.uuid4())


def _bootable(key: str) -> bool:
    return not key.startswith(("efidisk", "tpmstate"))


def _complete_container(config: GuestConfig, vmid: int, params: Mapping[str, Any]) -> None:
    for key, value in _LXC_DEFAULTS.items():
        config.values.setdefault(key, value)
    config.values.setdefault("hostname", f"CT{vmid}")
    template = str(params["ostemplate"]).rpartition("/")[2]
    config.values.setdefault("ostype", template.partition("-")[0] or "unmanaged")
    storage = params.get("storage", "local")
    config.values.setdefault("rootfs", f"{storage}:4")


def check_destroy(host: Host, kind: Kind, vmid: int, *, purge: bool, force: bool) -> None:
    """Refuse the removal of a guest that runs, is protected, or that something still refers to."""
    host.files.require_quorum()
    config = configs.load(host, kind, vmid)
    if config.values.get("protection") == "1":
        raise AgentError(TEXTS["protection"].format(label=kind.label, vmid=vmid))
    if not purge:
        if f"{kind.service}:{vmid}" in host.manager.resources():
            raise AgentError(TEXTS["ha"].format(label=kind.label, vmid=vmid))
        for job in host.replication.jobs_of(vmid):
            raise AgentError(TEXTS["replication"].format(job=job, vmid=vmid))
    if host.guests.is_running(vmid) and not force:
        raise AgentError(TEXTS["destroy_running" if kind is QEMU else "destroy_running_ct"].format(vmid=vmid))


async def destroy(host: Host, kind: Kind, vmid: int, *, purge: bool, unreferenced: bool, log: Log) -> None:
    """Remove a guest: its place under HA first, then its disks, then its configuration, then what refers to it."""
    if purge:
        await host.manager.forget(f"{kind.service}:{vmid}")
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        configs.check_lock(kind, config)
        await host.guests.kill(vmid)
        volids = {drive.volume for _, drive in drives.volumes(kind, config)}
        if unreferenced:
            volids |= _all_volumes(host, vmid)
        # one that cannot be removed has to be met first, so that nothing is lost
        for volid in sorted(volids, key=lambda volid: (not host.storage.can_clone(volid), volid)):
            if host.storage.exists(volid):
                host.storage.free(volid)
        await host.clock.sleep(_CREATE_TIME)
        await host.files.delete(configs.config_path(kind, host.name, vmid))
        if host.files.exists(firewall := f"firewall/{vmid}.fw"):
            await host.files.delete(firewall)
    if purge:
        log(f"purging {kind.label} {vmid} from related configurations..")
        await host.replication.forget(vmid)
        await host.backup_jobs.forget(vmid)
    path = f"/vms/{vmid}"
    known = host.access.cfg
    if known.pool_of(vmid) is None and path not in known.acl:
        return
    async with host.access.editing("removal failed") as cfg:
        for pool in cfg.pools.values():
            pool.vms.discard(vmid)
        cfg.acl.pop(path, None)


def _all_volumes(host: Host, vmid: int) -> set[str]:
    found = set()
    for ident, status in host.storage.statuses().items():
        if status["active"]:
            owned = host.storage.volumes(ident, vmid)
            found |= {volume.volid for volume in owned if volume.content in ("images", "rootdir")}
    return found
