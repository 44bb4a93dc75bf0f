# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups go: a storage on a backup server, or files in a directory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from agentstack._shared.prune import Backup, PruneOptions, mark_backups
from agentstack.backup import archive, chunker, files
from agentstack.backup.images import Guest, Image, pieces
from agentstack.backup.options import Options
from agentstack.errors import AgentError
from agentstack.guests.config import LXC, Place
from agentstack.pbs.client import PbsClient
from agentstack.pbs.index import CHUNK_SIZE, DynamicIndex, FixedIndex, Index
from agentstack.pbs.keys import Key
from agentstack.pbs.snapshots import Group, Snapshot
from agentstack.pbs.traffic import Bucket
from agentstack.sections import Entry
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

Log = Callable[[str], None]

UPLOAD_TIMEOUT = 300.0
"""Real seconds that a server has for one request of an upload."""

CONFIGS = {"qemu": "qemu-server.conf.blob", "lxc": "pct.conf.blob"}
_MIB, _GIB = 1 << 20, 1 << 30


class Target(Protocol):
    """One guest's backup on its way into a storage."""

    def announce(self) -> str:
        """The line of the log that names what is created."""

    def opened(self, guest: Guest) -> AbstractAsyncContextManager[None]:
        """Begin the backup; it is there after `store`, and nothing is left of one that was not stored."""

    async def store(self, guest: Guest, log: Log) -> None:
        """Write the backup and complete it. Raises AgentError."""

    async def annotate(self, notes: str | None, protected: bool, log: Log) -> None:
        """Add notes and protection to the finished backup."""

    async def prune(self, options: PruneOptions, log: Log) -> int:
        """Remove what the retention does not keep of this guest's backups; returns how many."""


@dataclass
class PbsTarget:
    """A snapshot on a backup server. `time`: seconds since the epoch."""

    host: Host
    entry: Entry
    place: Place
    time: int
    limit: Bucket | None = None

    def __post_init__(self) -> None:
        kind = "ct" if self.place.kind is LXC else "vm"
        group = Group(self.entry.values.get("namespace", ""), kind, str(self.place.vmid))
        self.snapshot = Snapshot(group, self.time)
        self.store_name = self.entry.values["datastore"]
        self.key = self.host.storage.pbs.key(self.entry)
        self.previous: dict[str, Index | None] = {}
        """By file, the index in the last snapshot."""
        self.lost_bitmap = False
        """There was a bitmap, and the last snapshot is not the one that it counts from."""
        self._open: PbsClient

    def announce(self) -> str:
        return f"creating Proxmox Backup Server archive '{self.snapshot}'"

    def _client(self) -> PbsClient:
        return self.host.storage.pbs.client(self.entry, UPLOAD_TIMEOUT)

    @asynccontextmanager
    async def opened(self, guest: Guest) -> AsyncIterator[None]:
        is_container = guest.place.kind is LXC
        names = (files.CATALOG, files.FILES) if is_container else tuple(map(self.file_of, guest.images))
        async with self._client() as client:
            self._open = client
            await client.begin_backup(self.store_name, self.snapshot, self.key)
            for name in names:
                self.previous[name] = await client.previous_index(name)
            yield

    @staticmethod
    def file_of(image: Image) -> str:
        """What a disk is called in a snapshot."""
        return f"drive-{image.key}.img.fidx"

    async def store(self, guest: Guest, log: Log) -> None:
        began = self.host.clock.elapsed()
        total = zeros = reused = 0
        client = self._open
        if self.key is not None:
            log("enabling encryption")
        await client.send_blob(CONFIGS[guest.place.kind.type], guest.config.encode())
        for image in guest.images:
            send = self._stream if guest.place.kind is LXC else self._image
            sent = await send(client, image, log)
            total, zeros, reused = total + image.size, zeros + sent.zeros, reused + sent.reused
        if guest.place.kind is not LXC:
            log("Waiting for server to finish backup validation...")
        await client.finish_backup()
        if zeros and total:
            log(f"backup is sparse: {human(zeros)} ({100 * zeros // total}%) total zero data")
        if reused and total:
            log(f"backup was done incrementally, reused {human(reused)} ({100 * reused // total}%)")
        seconds = max(1, round(self.host.clock.elapsed() - began))
        log(f"transferred {human(total)} in {seconds} seconds ({total / seconds / _MIB:.1f} MiB/s)")

    @property
    def repository(self) -> str:
        """Where the snapshots of the guest's group lie."""
        return f"{self.entry.values['server']}:{self.store_name}:{self.snapshot.group.ns}"

    async def _image(self, client: PbsClient, image: Image, log: Log) -> _Sent:
        name = self.file_of(image)
        previous = self.previous[name]
        old = previous.digests if previous else ()
        known = set(old)
        if image.dirty is not None:
            size = min(len(image.dirty) * CHUNK_SIZE, image.size)
            log(f"{image.key}: dirty-bitmap status: OK ({human(size)} of {human(image.size)} dirty)")
        else:
            state = "existing bitmap was invalid and has been cleared" if self.lost_bitmap else "created new"
            log(f"{image.key}: dirty-bitmap status: {state}")
        source = _digested(image, self.key, old)
        sent = _Sent()
        digests: list[bytes] = []
        while (found := await asyncio.to_thread(next, source, None)) is not None:
            digest, data, is_zero, size = found
            digests.append(digest)
            sent.zeros += size if is_zero else 0
            if data is not None and self.limit is not None:
                await self.limit.take(size)
            if digest in known:
                sent.reused += size
                continue
            await client.send_chunk(digest, data if data is not None else bytes(size))
            known.add(digest)
        await client.send_index(name, FixedIndex(image.size, digests, self.time))
        log(f"{image.key}: 100% ({human(image.size)} of {human(image.size)})")
        return sent

    async def _stream(self, client: PbsClient, image: Image, log: Log) -> _Sent:
        """The files of a container: one stream, and the catalogue that says what is where in it."""
        catalogue = image.path.with_name("catalog")
        await asyncio.to_thread(lambda: catalogue.write_bytes(files.catalogue(image.path)))
        sent = _Sent()
        for name, path in ((files.CATALOG, catalogue), (files.FILES, image.path)):
            previous, key = self.previous[name], self.key
            known = set(previous.digests) if previous else set()
            digests: list[bytes] = []
            ends: list[int] = []
            source, before = chunker.cut(path), sent.reused
            while (data := await asyncio.to_thread(next, source, None)) is not None:
                if self.limit is not None:
                    await self.limit.take(len(data))
                digest = key.digest(data) if key else hashlib.sha256(data).digest()
                digests.append(digest)
                ends.append((ends[-1] if ends else 0) + len(data))
                if digest in known:
                    sent.reused += len(data)
                    continue
                await client.send_chunk(digest, data)
                known.add(digest)
            await client.send_index(name, DynamicIndex(digests, ends, self.time))
            new = (ends[-1] if ends else 0) - (sent.reused - before)
            log(f"{name.removesuffix('.didx')}: had to backup {human(new)} of {human(path.stat().st_size)}")
        return sent

    async def annotate(self, notes: str | None, protected: bool, log: Log) -> None:
        name = f"backup/{self.snapshot}"
        if notes is not None:
            log("adding notes to backup")
            await self.host.storage.pbs.annotate(self.entry, name, notes, None)
        if protected:
            log("marking backup as protected")
            await self.host.storage.pbs.annotate(self.entry, name, None, protected)

    async def prune(self, options: PruneOptions, log: Log) -> int:
        keep = {key.replace("-", "_"): count for key, count in options.to_mapping().items() if count}
        group = self.snapshot.group
        log(f"running 'proxmox-backup-client prune' for '{group}'")
        async with self._client() as client:
            rows = await client.call(
                "POST",
                f"/admin/datastore/{self.store_name}/prune",
                ns=group.ns or None,
                backup_type=group.type,
                backup_id=group.id,
                **keep,
            )
        return sum(not row["keep"] for row in rows)


@dataclass
class _Sent:
    """Bytes of an image that were zeros, and that the server had already."""

    zeros: int = 0
    reused: int = 0


def _digested(
    image: Image, key: Key | None, previous: Sequence[bytes] = ()
) -> Iterator[tuple[bytes, bytes | None, bool, int]]:
    """Chunk by chunk: digest, data (None: zeros, or as in `previous` where it is not dirty), whether zero, bytes."""
    zeros: dict[int, bytes] = {}

    def digest(data: bytes) -> bytes:
        return key.digest(data) if key else hashlib.sha256(data).digest()

    for number, data in enumerate(pieces(image, CHUNK_SIZE)):
        size = min(CHUNK_SIZE, image.size - number * CHUNK_SIZE)
        if image.dirty is not None and number not in image.dirty:
            yield previous[number], None, False, size
        elif data is None:
            if size not in zeros:
                zeros[size] = digest(bytes(size))
            yield zeros[size], None, True, size
        else:
            yield digest(data), data, False, size


@dataclass
class DirectoryTarget:
    """A file `vzdump-qemu-100-2026_11_21-22_30_00.vma.zst` below `dump` of a directory."""

    host: Host
    entry: Entry
    place: Place
    time: int
    compress: str
    limit: Bucket | None = None

    def __post_init__(self) -> None:
        local = datetime.fromtimestamp(self.time, ZoneInfo(zone(self.host)))
        stem = f"vzdump-{self.place.kind.type}-{self.place.vmid}-{local:%Y_%m_%d-%H_%M_%S}"
        form = "tar" if self.place.kind is LXC else "vma"
        self.name = f"{stem}.{form}{archive.SUFFIXES[self.compress]}"
        self.directory = f"{self.entry.values['path'].rstrip('/')}/dump"
        self.folder = self.host.root / self.directory.lstrip("/")
        self.path = self.folder / self.name
        self.log_path = self.folder / f"{stem}.log"

    def announce(self) -> str:
        return f"creating vzdump archive '{self.directory}/{self.name}'"

    @asynccontextmanager
    async def opened(self, guest: Guest) -> AsyncIterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        yield

    async def store(self, guest: Guest, log: Log) -> None:
        draft = self.path.with_suffix(".dat")
        try:
            total, zeros = await asyncio.to_thread(archive.write, draft, guest, self.compress)
            if self.limit is not None:
                await self.limit.take(total - zeros)
            draft.rename(self.path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        if zeros and total:
            log(f"backup is sparse: {human(zeros)} ({100 * zeros // total}%) total zero data")
        size = self.path.stat().st_size
        log(f"archive file size: {f'{size / _GIB:.2f}GB' if size >= _GIB else f'{size // _MIB}MB'}")

    async def annotate(self, notes: str | None, protected: bool, log: Log) -> None:
        if notes is not None:
            log("adding notes to backup")
        if protected:
            log("marking backup as protected")
        annotate_file(self.path, notes, protected or None)

    async def prune(self, options: PruneOptions, log: Log) -> int:
        prefix = f"vzdump-{self.place.kind.type}-{self.place.vmid}-"
        ends = (".notes", ".protected", ".log", ".dat")
        found = [path for path in self.folder.glob(f"{prefix}*") if not path.name.endswith(ends)]
        stamps = {path: _stamp(path.name.removeprefix(prefix), zone(self.host)) for path in found}
        known = [path for path in found if stamps[path] is not None]
        backups = [Backup(stamps[path] or 0, protected=beside(path, ".protected").exists()) for path in known]
        removed = 0
        for path, mark in zip(known, mark_backups(backups, options, zone(self.host)), strict=True):
            if mark == "remove":
                log(f"removing backup '{self.entry.id}:backup/{path.name}'")
                remove_file(path)
                removed += 1
        return removed


def annotate_file(path: Path, notes: str | None, protected: bool | None) -> None:
    """Set the notes or the protection of a backup file; None leaves them."""
    if notes is not None:
        beside(path, ".notes").write_text(notes, encoding="utf-8")
    if protected:
        beside(path, ".protected").touch()
    elif protected is not None:
        beside(path, ".protected").unlink(missing_ok=True)


def remove_file(path: Path) -> None:
    """Remove a backup file and what lies beside it."""
    for found in (beside(path, ".notes"), path.with_name(f"{path.name.partition('.')[0]}.log"), path):
        found.unlink(missing_ok=True)


def beside(path: Path, suffix: str) -> Path:
    """The file with what is noted about a backup file."""
    return path.with_name(path.name + suffix)


def _stamp(text: str, tz: str) -> int | None:
    try:
        local = datetime.strptime(text.partition(".")[0], "%Y_%m_%d-%H_%M_%S")
    except ValueError:
        return None
    return int(local.replace(tzinfo=ZoneInfo(tz)).timestamp())


def target(host: Host, options: Options, place: Place, time: int) -> Target:
    """The way into the storage of a run; raises AgentError for one that takes no backups."""
    entry = host.storage.check_content(options.storage, "backup")
    limit = Bucket(host.clock, options.bwlimit << 10) if options.bwlimit else None
    if entry.type == "pbs":
        return PbsTarget(host, entry, place, time, limit)
    if "path" not in entry.values:
        raise AgentError(f"storage '{entry.id}' does not support backups")
    return DirectoryTarget(host, entry, place, time, options.compress, limit)


def retention(options: Options, entry: Entry) -> PruneOptions | None:
    """What to keep: as the run says, else as the storage says; None: everything."""
    if not options.remove:
        return None
    given: Any = entry.values.get("prune-backups")
    chosen = options.prune or (PruneOptions.from_property_string(given) if given else None)
    return None if chosen is None or chosen.keeps_everything else chosen


def human(size: int) -> str:
    """A number of bytes as logs give it."""
    for unit, factor in (("GiB", _GIB), ("MiB", _MIB), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
