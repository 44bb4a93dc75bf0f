# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup run: guest after guest, in the words of the real log (facts §13)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from agentstack.backup.bitmaps import Bitmap, dirty, fits
from agentstack.backup.exclude import Excludes, excluding
from agentstack.backup.fleecing import fleecing
from agentstack.backup.images import Guest, Image, copied
from agentstack.backup.options import Options
from agentstack.backup.targets import DirectoryTarget, PbsTarget, Target, human, retention, target
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests import drives, operations
from agentstack.guests.config import LXC, GuestConfig, Place
from agentstack.pbs.index import CHUNK_SIZE
from agentstack.tasks import Task
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

LOCK = "backup"
ERRORS = "job errors"


class Vzdump:
    """A run on one node."""

    def __init__(self, host: Host, options: Options, task: Task) -> None:
        self.host = host
        self.options = options
        self.task = task
        self._lines: list[str] = []

    def log(self, text: str, level: str = "INFO") -> None:
        """Add a line to the task's log, and to that of the guest's backup."""
        for line in text.split("\n"):
            self.task.log(f"{level}: {line}")
            self._lines.append(f"{self._now():%Y-%m-%d %H:%M:%S} {level}: {line}\n")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.host.clock.now(), ZoneInfo(zone(self.host)))

    async def run(self, places: Sequence[Place], elsewhere: Sequence[int] = ()) -> None:
        """Back up the guests of this node; raises AgentError at the end if any failed."""
        self.log(f"starting new backup job: {self.options.command_line()}")
        if elsewhere:
            self.log(f"skip external VMs: {', '.join(map(str, elsewhere))}")
        await self._activate()
        rows: list[tuple[int, str, str | None]] = []
        for place in places:
            self._lines.clear()
            error = await self._guest(place)
            rows.append((place.vmid, self._name(place), error))
        self.host.notifications.backup_ended(self.options.given, rows)
        if any(error is not None for _, _, error in rows):
            self.log("Backup job finished with errors")
            raise AgentError(ERRORS)
        self.log("Backup job finished successfully")

    async def _activate(self) -> None:
        ident = self.options.storage
        try:
            entry = self.host.storage.check_content(ident, "backup")
            await self.host.storage.activate(entry)
        except AgentError as error:
            raise AgentError(f"could not activate storage '{ident}': {error.text}") from error

    def _name(self, place: Place) -> str:
        now = configs.place(self.host, place.vmid)
        if now is None:
            return ""
        config = configs.load(self.host, now.kind, now.vmid, now.node)
        return config.values.get("hostname" if place.kind is LXC else "name", "")

    async def _guest(self, place: Place) -> str | None:
        """Back up one guest; what went wrong."""
        label = f"{place.kind.label} {place.vmid}"
        began = self.host.clock.elapsed()
        self.log(f"Starting Backup of {label} ({place.kind.type})")
        self.log(f"Backup started at {self._now():%Y-%m-%d %H:%M:%S}")
        way: Target | None = None
        try:
            way = target(self.host, self.options, place, await self.host.backup.moment(place.vmid))
            async with self._locked(place) as config:
                await self._back_up(place, config, way)
            await self._finish(place, config, way)
        except (AgentError, OSError) as error:
            text = error.text if isinstance(error, AgentError) else str(error)
            self.log(f"Backup of {label} failed - {text.strip()}", "ERROR")
            self.log(f"Failed at {self._now():%Y-%m-%d %H:%M:%S}")
            return text.strip()
        finally:
            self._write_log(way)
        seconds = int(self.host.clock.elapsed() - began)
        self.log(f"Finished Backup of {label} ({seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02})")
        self.log(f"Backup finished at {self._now():%Y-%m-%d %H:%M:%S}")
        return None

    def _write_log(self, way: Target | None) -> None:
        if isinstance(way, DirectoryTarget):
            way.folder.mkdir(parents=True, exist_ok=True)
            way.log_path.write_text("".join(self._lines), encoding="utf-8")

    @asynccontextmanager
    async def _locked(self, place: Place) -> AsyncIterator[GuestConfig]:
        """Hold the guest's `backup` lock, which keeps others from changing it meanwhile."""
        host = self.host
        async with host.guests.lock(place.vmid):
            config = configs.load(host, place.kind, place.vmid)
            configs.check_lock(place.kind, config)
            config.values["lock"] = LOCK
            await configs.save(host, place.kind, place.vmid, config)
        try:
            yield config
        finally:
            async with host.guests.lock(place.vmid):
                config = configs.load(host, place.kind, place.vmid)
                if config.lock == LOCK:
                    del config.values["lock"]
                    await configs.save(host, place.kind, place.vmid, config)

    def _describe(self, place: Place, config: GuestConfig) -> Guest:
        values = {key: value for key, value in config.values.items() if key != "lock"}
        name = values.get("hostname" if place.kind is LXC else "name", "")
        if name:
            self.log(f"{'CT' if place.kind is LXC else 'VM'} Name: {name}")
        images = []
        for key, drive in drives.drives(place.kind, config):
            if drive.is_cdrom or not drive.is_volume:
                continue
            default = "1" if place.kind is not LXC or key == "rootfs" else "0"
            if place.kind is LXC:
                point = "/" if key == "rootfs" else drive.options.get("mp", "")
                words = f"mount point {key} ('{point}')"
            else:
                words = f"disk '{key}' '{drive.volume}' {drive.options.get('size', '')}".rstrip()
            if drive.options.get("backup", default) in ("0", "no", "off", "false"):
                self.log(f"exclud{'ing' if place.kind is LXC else 'e'} {words} (backup=no)")
                continue
            self.log(f"includ{'ing' if place.kind is LXC else 'e'} {words}{' in backup' if place.kind is LXC else ''}")
            path = self.host.storage.path(drive.volume)
            point = "/" if key == "rootfs" else drive.options.get("mp", "/")
            images.append(Image(key, drive.volume, 0 if path.is_dir() else path.stat().st_size, path, point))
        if not images and place.kind is not LXC:
            self.log("backup contains no disks")
        return Guest(place, name, configs.format_config(GuestConfig(values)), tuple(images))

    async def _back_up(self, place: Place, config: GuestConfig, way: Target) -> None:
        host, mode = self.host, self.options.mode
        running = host.guests.is_running(place.vmid)
        self.log(f"status = {'running' if running else 'stopped'}")
        if not running:
            mode = "stop"
        if running and mode == "snapshot" and place.kind is LXC and not self._can_snapshot(config):
            self.log("mode failure - some volumes do not support snapshots")
            self.log("trying 'suspend' mode instead")
            mode = "suspend"
        self.log(f"backup mode: {mode}")
        if self.options.bwlimit:
            self.log(f"bandwidth limit: {self.options.bwlimit} KiB/s")
        self.log(f"ionice priority: {self.options.ionice}")
        guest = self._describe(place, config)
        async with fleecing(host, self.options.fleecing, guest), way.opened(guest):
            await self._in_mode(place, guest, way, mode, running=running)

    def _excludes(self, way: Target, mode: str) -> Excludes:
        """A directory's archive is written by tar, but from a copy of the files in suspend mode."""
        tar = isinstance(way, DirectoryTarget) and mode != "suspend"
        return excluding(self.options.exclude_paths, tar=tar)

    def _can_snapshot(self, config: GuestConfig) -> bool:
        """Whether all volumes that a container's backup takes can have a snapshot; VMs are copied by QEMU itself."""
        return all(
            self.host.storage.can_snapshot(drive.volume)
            for key, drive in drives.drives(LXC, config)
            if drive.is_volume and (key == "rootfs" or drive.options.get("backup", "0") in ("1", "yes", "on", "true"))
        )

    async def _in_mode(self, place: Place, guest: Guest, way: Target, mode: str, *, running: bool) -> None:
        host = self.host
        if not running:
            self.log(way.announce())
            if place.kind is LXC:
                async with copied(host, guest, self._excludes(way, mode)) as frozen:
                    await way.store(frozen, self.log)
            else:
                self.log("starting kvm to execute backup task")
                await way.store(guest, self.log)
                self.log("stopping kvm after backup task")
        elif mode == "stop":
            await self._stopped(place, guest, way)
        else:
            await self._live(place, guest, way, mode)

    async def _live(self, place: Place, guest: Guest, way: Target, mode: str) -> None:
        """Hold the guest's writes for the instant of copying; in mode suspend until all is stored."""
        guests, vmid, hold = self.host.guests, place.vmid, mode == "suspend"
        held = not guests.running[vmid].suspended

        async def let_go() -> None:
            nonlocal held
            if held and guests.is_running(vmid):
                await guests.resume(vmid)
            held = False

        if hold:
            self.log("suspending guest")
        self.log(way.announce())
        if held:
            await guests.suspend(vmid)
        now: Bitmap | None = None
        try:
            if isinstance(way, PbsTarget) and place.kind is not LXC:
                now, guest = self._dirty(vmid, guest, way)
            async with copied(self.host, guest, self._excludes(way, mode)) as frozen:
                if not hold:
                    await let_go()
                    self.log("create storage snapshot 'vzdump'" if place.kind is LXC else "resuming VM again")
                await way.store(frozen, self.log)
        finally:
            await let_go()
        if now is not None:
            self.host.backup.bitmaps.keep(vmid, now)
        if hold:
            self.log("guest is online again")

    def _dirty(self, vmid: int, guest: Guest, way: PbsTarget) -> tuple[Bitmap | None, Guest]:
        """The guest's state now, and its disks with what was written since the last backup in the same place."""
        bitmaps = self.host.backup.bitmaps
        old = bitmaps.get(vmid, way.repository)
        now = bitmaps.take(vmid, way.repository, way.time, guest.images)
        if old is None or now is None:
            return now, guest
        if not all(fits(way.previous[way.file_of(image)], old) for image in guest.images):
            way.lost_bitmap = True
            return now, guest
        images = tuple(
            replace(image, dirty=dirty(old, now, image, first=number == 0)) for number, image in enumerate(guest.images)
        )
        if all(image.dirty is not None for image in images):
            size = sum(min(len(image.dirty or ()) * CHUNK_SIZE, image.size) for image in images)
            total = sum(image.size for image in images)
            self.log(f"using fast incremental mode (dirty-bitmap), {human(size)} dirty of {human(total)} total")
        return now, replace(guest, images=images)

    async def _stopped(self, place: Place, guest: Guest, way: Target) -> None:
        """Shut the guest down, copy, and let it run again while the copy is stored."""
        host, kind, vmid = self.host, place.kind, place.vmid
        self.log("stopping virtual guest")
        await host.guests.shutdown(vmid, min(operations.SHUTDOWN_TIME, self.options.stopwait * 60.0))
        async with AsyncExitStack() as stack:
            try:
                frozen = await stack.enter_async_context(copied(host, guest, self._excludes(way, "stop")))
            finally:
                # whatever became of the copy, the guest is not left off
                await host.clock.sleep(operations.START_TIME)
                files = operations.disk_files(host, kind, configs.load(host, kind, vmid))
                await host.guests.launch(kind, vmid, files)
                self.log("restarting vm" if kind is LXC else "resuming VM again")
            self.log(way.announce())
            await way.store(frozen, self.log)

    async def _finish(self, place: Place, config: GuestConfig, way: Target) -> None:
        host, values = self.host, config.values
        words = {
            "guestname": values.get("hostname" if place.kind is LXC else "name", f"{place.kind.label} {place.vmid}"),
            "vmid": str(place.vmid),
            "node": host.name,
            "cluster": host.cluster.cluster_name or "standalone node",
        }
        await way.annotate(self.options.notes(words), self.options.protected, self.log)
        entry = host.storage.entry(self.options.storage)
        keep = retention(self.options, entry)
        if keep is not None:
            self.log(f"prune older backups with retention: {keep.to_property_string().replace(',', ', ')}")
            try:
                removed = await way.prune(keep, self.log)
            except AgentError as error:
                raise AgentError(f"pruning failed: {error.text}") from error
            self.log(f"pruned {removed} backup(s) not covered by keep-retention policy")
