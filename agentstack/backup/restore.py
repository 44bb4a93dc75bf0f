# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring a whole guest: `qmrestore`, `pct restore`, as the API's create call with an archive (facts §14)."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack._shared.units import format_size
from agentstack.backup import files
from agentstack.backup.images import TEMPORARY
from agentstack.backup.rights import check_read
from agentstack.backup.sources import Source, opened
from agentstack.errors import AgentError, ParameterError
from agentstack.guests import config as configs
from agentstack.guests import create, drives, operations, update
from agentstack.guests.bridges import check_bridges
from agentstack.guests.config import LXC, QEMU, GuestConfig, Kind
from agentstack.manager import config as ha
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.access.identity import Identity
    from agentstack.host import Host

TEXTS = {
    "unable": "unable to restore {label} {vmid} - {why}",
    "exists": "{label} {vmid} already exists on node '{node}'",
    "running": "{label} is running",
    "running_ct": "CT is running",
    "protected": "protection mode enabled",
    "live": "live-restore is only compatible with backup images from a Proxmox Backup Server",
    "kind": "{label} {vmid} is a {other}",
    "pool": "pool '{pool}' does not exist",
}

_MIB = 1 << 20
_STATES = frozenset({"lock", "parent", "snaptime", "vmstate", "running-nets-host-mtu", "runningcpu", "runningmachine"})
"""What a backup's configuration may hold that says nothing about a restored guest."""


def archive_of(kind: Kind, params: Mapping[str, Any]) -> str | None:
    """The backup that a create call names; None when it makes a new guest."""
    if kind is QEMU:
        found: str | None = params.get("archive")
        return found
    return str(params["ostemplate"]) if params.get("restore") else None


def begin(host: Host, identity: Identity, kind: Kind, params: Mapping[str, Any]) -> str:
    """Check what can be checked at once, and start the task; returns its UPID.

    The rights are those of the call's documentation (`VM.Allocate` on guest or pool, `VM.Backup` being enough to
    overwrite a guest, `Datastore.AllocateSpace` where disks are made), those of the backup's own volume, and those of
    the options that are to differ from the backup's.
    """
    vmid, volid = params["vmid"], archive_of(kind, params) or ""
    host.files.require_quorum()
    _check_rights(host, identity, vmid, params)
    ident, _ = host.storage.split(volid)
    entry = host.storage.check_content(ident, "backup")
    check_read(host, identity, volid)
    if params.get("storage"):
        host.storage.check_content(params["storage"], "rootdir" if kind is LXC else "images")
        _check_space(host, identity, params["storage"])
    update.check_options(host, identity, vmid, create.options(params), pool=params.get("pool"))
    if params.get("live-restore") and entry.type != "pbs":
        raise ParameterError({"live-restore": TEXTS["live"]})
    _check_target(host, kind, vmid, force=bool(params.get("force")))

    async def work(task: Task) -> None:
        await Restore(host, identity, kind, vmid, volid, params, task).run()

    return host.tasks.start(identity, f"{kind.prefix}restore", str(vmid), work)


def _check_rights(host: Host, identity: Identity, vmid: int, params: Mapping[str, Any]) -> None:
    pool = params.get("pool")
    if pool and pool not in host.access.cfg.pools:
        raise AgentError(TEXTS["pool"].format(pool=pool))
    if host.access.may(identity, f"/vms/{vmid}", ["VM.Allocate"]):
        return
    overwrites = params.get("force") and configs.place(host, vmid) is not None
    if not overwrites or not host.access.may(identity, f"/vms/{vmid}", ["VM.Backup"]):
        host.access.check(identity, f"/pool/{pool}" if pool else f"/vms/{vmid}", ["VM.Allocate"])


def _check_space(host: Host, identity: Identity, storage: str) -> None:
    host.access.check(identity, f"/storage/{storage}", ["Datastore.AllocateSpace"])


def _check_target(host: Host, kind: Kind, vmid: int, *, force: bool) -> None:
    """A guest of that number is overwritten only with `force`, here, switched off and unprotected."""

    def refuse(name: str, **words: str) -> AgentError:
        why = TEXTS[name].format(label=kind.label, vmid=vmid, **words)
        return AgentError(TEXTS["unable"].format(label=kind.label, vmid=vmid, why=why))

    place = configs.place(host, vmid)
    if place is None:
        return
    if not force or place.node != host.name:
        raise refuse("exists", node=place.node)
    if place.kind is not kind:
        raise refuse("kind", other=place.kind.label)
    config = configs.load(host, kind, vmid)
    if config.values.get("protection") == "1":
        raise refuse("protected")
    if host.guests.is_running(vmid):
        raise refuse("running_ct" if kind is LXC else "running")
    configs.check_lock(kind, config)


@dataclass
class Restore:
    """One restore."""

    host: Host
    identity: Identity
    kind: Kind
    vmid: int
    volid: str
    params: Mapping[str, Any]
    task: Task

    async def run(self) -> None:
        """Make the guest as it was backed up; a failure leaves neither disks nor configuration of it."""
        host, kind, vmid = self.host, self.kind, self.vmid
        made: list[str] = []
        live = bool(self.params.get("live-restore"))
        async with host.guests.lock(vmid):
            _check_target(host, kind, vmid, force=bool(self.params.get("force")))
            old = configs.load(host, kind, vmid) if configs.place(host, vmid) else None
            await configs.save(host, kind, vmid, GuestConfig({"lock": "create"}))
            host.guests.forget_acknowledged(vmid)
            try:
                async with opened(host, kind, self.volid) as source:
                    config = self._changed(configs.parse(await source.config()))
                    check_bridges(host, self.identity, config.values)
                    rest = await self._disks(source, config, made, live=live)
                    config.values |= {} if not live else {"lock": "create"}
                    await configs.save(host, kind, vmid, config)
                    if live:
                        await self._go_live(source, config, rest)
            except (AgentError, OSError) as error:
                await self._undo(made, old)
                why = error.text if isinstance(error, AgentError) else str(error)
                raise AgentError(TEXTS["unable"].format(label=kind.label, vmid=vmid, why=why.strip())) from error
            for volid in self._volumes(old) if old else ():
                if host.storage.exists(volid):
                    host.storage.free(volid)
            self.task.log("rescan volumes...")
        await self._settle(live=live)

    async def _settle(self, *, live: bool) -> None:
        host, kind, params, sid = self.host, self.kind, self.params, f"{self.kind.service}:{self.vmid}"
        if pool := params.get("pool"):
            async with host.access.editing("add to pool failed") as cfg:
                cfg.pools[pool].vms.add(self.vmid)
        if params.get("ha-managed"):
            await ha.create_resource(host, sid, {"state": "started" if params.get("start") else "stopped"})
        elif params.get("start") and not live:
            await operations.start(host, kind, self.vmid, log=self.task.log)

    def _volumes(self, config: GuestConfig) -> list[str]:
        return [drive.volume for _, drive in drives.volumes(self.kind, config)]

    async def _undo(self, made: list[str], old: GuestConfig | None) -> None:
        host = self.host
        await host.guests.kill(self.vmid)
        for volid in made:
            host.storage.free(volid)
        if old is not None:
            await configs.save(host, self.kind, self.vmid, old)
        else:
            await host.files.delete(configs.config_path(self.kind, host.name, self.vmid))

    def _changed(self, config: GuestConfig) -> GuestConfig:
        """The configuration for the new guest: the call's options over those of the backup; no snapshots."""
        values = {key: value for key, value in config.values.items() if key not in _STATES}
        values = {key: value for key, value in values.items() if not key.startswith("unused")}
        values |= create.options(self.params)
        if self.params.get("unique"):
            for key in list(values):
                if key.startswith("net") and key[3:].isdigit():
                    values[key] = _new_address(self.kind, values[key])
        if self.kind is QEMU:
            if self.params.get("unique") and "smbios1" in values:
                values["smbios1"] = f"uuid={uuid.uuid4()}"
            if "vmgenid" in values:
                values["vmgenid"] = str(uuid.uuid4())
        return GuestConfig(values)

    # --- disks ----------------------------------------------------------------------------------------------------

    async def _disks(
        self, source: Source, config: GuestConfig, made: list[str], *, live: bool
    ) -> list[tuple[str, Path, int]]:
        """Make the disks and fill them; with `live` gives back those but the first, which are filled later."""
        host, kind = self.host, self.kind
        sizes = await source.sizes()
        targets: list[tuple[str, str, Path, int]] = []
        for key, drive in list(drives.drives(kind, config)):
            if drive.is_cdrom or not drive.is_volume:
                continue
            size = sizes.get(key, drive.size) if kind is QEMU else drive.size
            if kind is QEMU and key not in sizes:
                self.task.log(f"no data backup for disk '{key}' - left out")
                del config.values[key]
                continue
            ident = self.params.get("storage") or drive.storage
            entry = host.storage.check_content(ident, "rootdir" if kind is LXC else "images")
            _check_space(host, self.identity, ident)
            form = ("subvol" if entry.type == "zfspool" else "raw") if kind is LXC else None
            volid = host.storage.allocate(ident, self.vmid, size, form=form)
            made.append(volid)
            self.task.log(f"new volume ID is '{volid}'")
            drive.volume = volid
            drive.options.pop("format", None)
            drive.options["size"] = format_size(size)
            config.values[key] = drive.format()
            point = "/" if key == "rootfs" else drive.options.get("mp", "/")
            targets.append((key, point, host.storage.path(volid), size))
        if kind is LXC:
            await self._files(source, [(point, path) for _, point, path, _ in targets])
            for volid in made:
                host.storage.commit(volid)
            return []
        filled = targets[:1] if live else targets
        for key, _, path, size in filled:
            await self._fill(source, key, path, size)
            host.storage.commit(drives.parse_drive(key, config.values[key]).volume)
        return [(key, path, size) for key, _, path, size in targets[len(filled) :]]

    async def _fill(self, source: Source, key: str, path: Path, size: int) -> None:
        self.task.log(f"{source.command(key)} {self.host.name}:{path.name}")
        began, told, data_bytes = self.host.clock.elapsed(), 0, 0
        descriptor = os.open(path, os.O_WRONLY)
        try:
            async with aclosing(source.data(key)) as pieces:  # type: ignore[type-var]
                async for start, data in pieces:
                    await asyncio.to_thread(os.pwrite, descriptor, data, start)
                    data_bytes += len(data)
                    share = 100 * (start + len(data)) // size
                    if share >= told + 10:
                        told = share
                        self.task.log(self._progress(share, start + len(data), data_bytes, began))
            await asyncio.to_thread(os.fsync, descriptor)
        finally:
            os.close(descriptor)
        if told < 100:
            self.task.log(self._progress(100, size, data_bytes, began))
        seconds = max(0.01, self.host.clock.elapsed() - began)
        self.task.log(
            f"restore image complete (bytes={size}, duration={seconds:.2f}s, speed={size / seconds / _MIB:.2f}MB/s)"
        )

    def _progress(self, share: int, position: int, data: int, began: float) -> str:
        zeroes = max(0, position - data)
        seconds = int(self.host.clock.elapsed() - began)
        return (
            f"progress {share}% (read {position} bytes, zeroes = {100 * zeroes // max(1, position)}% ({zeroes} bytes), "
            f"duration {seconds} sec)"
        )

    async def _files(self, source: Source, places: list[tuple[str, Path]]) -> None:
        folder = self.host.root / TEMPORARY / f"vzrestoretmp{self.vmid}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.task.log(f"restoring '{self.volid}' now..")
        try:
            async with aclosing(source.stream(folder / "stream")) as streams:  # type: ignore[type-var]
                async for stream in streams:
                    await asyncio.to_thread(files.unpack, stream, places)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _go_live(self, source: Source, config: GuestConfig, rest: list[tuple[str, Path, int]]) -> None:
        """Start the guest on its first disk, and fill the others while it runs."""
        host = self.host
        self.task.log("Starting VM for live-restore")
        await host.clock.sleep(operations.START_TIME)
        await host.guests.launch(self.kind, self.vmid, operations.disk_files(host, self.kind, config))
        for key, path, size in rest:
            await self._fill(source, key, path, size)
            host.storage.commit(drives.parse_drive(key, config.values[key]).volume)
        self.task.log("restore-drive jobs finished successfully, removing all tracking block devices")
        del config.values["lock"]
        await configs.save(host, self.kind, self.vmid, config)


def _new_address(kind: Kind, text: str) -> str:
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if kind is LXC:
        parts["hwaddr"] = drives.random_mac()
    else:
        model = next(iter(parts))
        parts[model] = drives.random_mac()
    return ",".join(f"{key}={value}" for key, value in parts.items())
