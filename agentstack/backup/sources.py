# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a restore reads from: a snapshot on a backup server, or a backup file in a directory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from agentstack.backup import archive, files
from agentstack.backup.targets import CONFIGS
from agentstack.errors import AgentError
from agentstack.guests.config import LXC, Kind
from agentstack.pbs.blob import DamagedBlob, decode
from agentstack.pbs.client import PbsClient
from agentstack.pbs.index import DamagedIndex, Index, decode_index
from agentstack.pbs.keys import Key
from agentstack.pbs.snapshots import Manifest, Snapshot
from agentstack.sections import Entry
from agentstack.storage.pbs import parse_name

if TYPE_CHECKING:
    from agentstack.host import Host

TIMEOUT = 300.0
"""Real seconds that a server has for one request of a restore."""


class Source(Protocol):
    """An opened backup. All methods raise AgentError."""

    async def config(self) -> str:
        """The guest's configuration."""

    async def sizes(self) -> dict[str, int]:
        """The size of each disk by its key."""

    def command(self, key: str) -> str:
        """What the log says before a disk is read."""

    def data(self, key: str) -> AsyncIterator[tuple[int, bytes]]:
        """A disk's data as (offset, bytes); what is left out is zero."""

    def stream(self, path: Path) -> AsyncIterator[IO[bytes]]:
        """A container's files, once; `path` is for what has to be kept meanwhile."""


@dataclass
class PbsSource:
    """A snapshot on a backup server."""

    client: PbsClient
    entry: Entry
    snapshot: Snapshot
    manifest: Manifest
    key: Key | None

    @property
    def _store(self) -> str:
        store: str = self.entry.values["datastore"]
        return store

    async def config(self) -> str:
        kind = "lxc" if self.snapshot.group.type == "ct" else "qemu"
        try:
            return (await self.client.blob(self._store, self.snapshot, CONFIGS[kind], self.key)).decode()
        except DamagedBlob as error:
            raise AgentError(str(error)) from error

    async def sizes(self) -> dict[str, int]:
        prefix, suffix = "drive-", ".img.fidx"
        return {
            entry.filename.removeprefix(prefix).removesuffix(suffix): entry.size
            for entry in self.manifest.files
            if entry.filename.startswith(prefix) and entry.filename.endswith(suffix)
        }

    def command(self, key: str) -> str:
        values = self.entry.values
        repository = f"{values.get('username', 'root@pam')}@{values['server']}:{self._store}"
        return (
            f"restore proxmox backup image: /usr/bin/pbs-restore --repository {repository} {self.snapshot} "
            f"drive-{key}.img.fidx"
        )

    async def index(self, filename: str) -> Index:
        """The index of a file, as the manifest describes it."""
        entry = self.manifest.file(filename)
        if entry is None:
            raise AgentError(f"backup contains no file '{filename}'")
        try:
            index = decode_index(await self.client.file(self._store, self.snapshot, filename))
        except DamagedIndex as error:
            raise AgentError(f"'{filename}': {error}") from error
        if index.checksum.hex() != entry.csum or index.size != entry.size:
            raise AgentError(f"wrong checksum for file '{filename}'")
        return index

    async def chunk(self, digest: bytes) -> bytes:
        """The data of a chunk, checked."""
        blob = await self.client.chunk(self._store, self.snapshot, digest)
        return await asyncio.to_thread(_opened, blob, digest, self.key)

    async def data(self, key: str) -> AsyncIterator[tuple[int, bytes]]:
        index = await self.index(f"drive-{key}.img.fidx")
        zeros: dict[int, bytes] = {}
        for digest, start, size in index.chunks():
            if size not in zeros:
                zeros[size] = await asyncio.to_thread(_digest, bytes(size), self.key)
            if digest != zeros[size]:
                yield start, await self.chunk(digest)

    async def stream(self, path: Path) -> AsyncIterator[IO[bytes]]:
        index = await self.index(files.FILES)
        with path.open("w+b") as kept:
            for digest, start, _ in index.chunks():
                data = await self.chunk(digest)
                await asyncio.to_thread(_put, kept, start, data)
            kept.seek(0)
            yield kept


def _put(file: IO[bytes], start: int, data: bytes) -> None:
    file.seek(start)
    file.write(data)


def _digest(data: bytes, key: Key | None) -> bytes:
    return key.digest(data) if key else hashlib.sha256(data).digest()


def _opened(blob: bytes, digest: bytes, key: Key | None) -> bytes:
    try:
        data = decode(blob, key)
    except DamagedBlob as error:
        raise AgentError(f"chunk {digest.hex()}: {error}") from error
    if _digest(data, key) != digest:
        raise AgentError(f"chunk {digest.hex()} has the wrong digest")
    return data


@dataclass
class FileSource:
    """A backup file."""

    path: Path
    name: str

    async def config(self) -> str:
        text: str = (await asyncio.to_thread(archive.read_header, self.path))["config"]
        return text

    async def sizes(self) -> dict[str, int]:
        header = await asyncio.to_thread(archive.read_header, self.path)
        return {disk["key"]: disk["size"] for disk in header["disks"]}

    def command(self, key: str) -> str:
        return f"restore vma archive: vma extract -v -r /var/tmp/vzdumptmp.fifo {self.name} (drive-{key})"

    async def data(self, key: str) -> AsyncIterator[tuple[int, bytes]]:
        found = archive.read(self.path)
        while (piece := await asyncio.to_thread(next, found, None)) is not None:
            if piece[0] == key:
                yield piece[1], piece[2]

    async def stream(self, path: Path) -> AsyncIterator[IO[bytes]]:
        with path.open("w+b") as kept:
            async for start, data in self.data("root"):
                await asyncio.to_thread(_put, kept, start, data)
            kept.truncate((await self.sizes())["root"])
            kept.seek(0)
            yield kept


@asynccontextmanager
async def opened(host: Host, kind: Kind, volid: str) -> AsyncIterator[Source]:
    """The backup of a volume id; raises AgentError if it is none, or one of another kind of guest."""
    ident, name = host.storage.split(volid)
    entry = host.storage.entry(ident)
    if entry.type != "pbs":
        path = host.storage.path(volid)
        if not path.is_file():
            raise AgentError(f"volume '{volid}' does not exist")
        if (await asyncio.to_thread(archive.read_header, path))["type"] != kind.type:
            raise AgentError(f"unable to restore '{volid}' - it is no backup of a {kind.label}")
        yield cast(Source, FileSource(path, name))
        return
    snapshot = parse_name(name, entry.values.get("namespace", ""))
    if snapshot.group.type != ("ct" if kind is LXC else "vm"):
        raise AgentError(f"unable to restore '{volid}' - it is no backup of a {kind.label}")
    key = host.storage.pbs.key(entry)
    async with host.storage.pbs.client(entry, TIMEOUT) as client:
        try:
            manifest = await client.manifest(entry.values["datastore"], snapshot, key)
        except (DamagedBlob, ValueError) as error:
            raise AgentError(f"unable to load manifest of '{snapshot}' - {error}") from error
        if manifest.fingerprint is not None and key is None:
            raise AgentError(f"missing key - manifest was created with key {manifest.fingerprint}")
        # what was backed up before the storage had a key is read without it
        used = key if manifest.fingerprint is not None else None
        yield cast(Source, PbsSource(client, entry, snapshot, manifest, used))
