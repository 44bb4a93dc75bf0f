# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chunk store: data addressed by its SHA-256, each chunk once (`.chunks/<first 4 hex digits>/<digest>`).

Usable by several threads at once: what looks at a chunk and then acts on what it saw does so under one lock, or a
collection could sweep what a backup has just found there.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from agentstack.pbs.blob import DamagedBlob, check, decode, encode, is_encrypted
from agentstack.pbs.keys import Key

GRACE = 24 * 3600 + 300
"""Seconds for which an unreferenced chunk is kept: access times may be a day old, plus the margin (facts §20.6)."""

SyncLevel = Literal["none", "file", "filesystem"]
"""When chunks are on stable storage: whenever the system likes, one by one, or all of them when a backup is finished
(a datastore's `tuning`; the default is the last)."""

DRAFT = ".tmp"
BAD = ".bad"
_libc = ctypes.CDLL(None, use_errno=True)


class MissingChunk(Exception):
    """A chunk that an index names and the store does not hold."""


class ChunkStore:
    """Chunks below a datastore's directory. `now` stamps in wall-clock seconds are handed in."""

    def __init__(self, base: Path, sync: SyncLevel = "filesystem") -> None:
        self.base = base / ".chunks"
        self.sync = sync
        self.lock = threading.Lock()
        self._root = str(self.base)
        self._drafts = itertools.count()
        self._folders: set[str] = set()

    def create(self) -> None:
        """Make the empty store."""
        self.base.mkdir(mode=0o750)

    def path(self, digest: bytes) -> Path:
        return Path(self._path(digest))

    def _path(self, digest: bytes) -> str:
        name = digest.hex()
        return f"{self._root}/{name[:4]}/{name}"

    def has(self, digest: bytes) -> bool:
        return os.path.exists(self._path(digest))

    def insert(self, data: bytes, now: float, key: Key | None = None) -> tuple[bytes, int]:
        """Store `data` unless it is there; returns its digest and the bytes newly written (0: known already).

        Whatever the level, it is on stable storage after `flush`. A chunk that lost its content is written again.
        """
        digest = key.digest(data) if key else hashlib.sha256(data).digest()
        if self._refresh(digest, now):
            return digest, 0
        return digest, self.insert_blob(digest, encode(data, key), now)

    def insert_blob(self, digest: bytes, blob: bytes, now: float) -> int:
        """Store an encoded chunk under its digest, as a synchronisation receives it; returns the bytes written."""
        if self._refresh(digest, now):
            return 0
        path = self._path(digest)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            os.makedirs(folder, mode=0o750, exist_ok=True)
            self._folders.add(folder)
        # a name of its own: two backups may have a chunk in common
        draft = f"{folder}/.{os.path.basename(path)}.{os.getpid()}.{next(self._drafts)}{DRAFT}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            try:
                _write_all(descriptor, blob)
                if self.sync == "file":
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.utime(draft, (now, now))
            os.rename(draft, path)
        except OSError:
            os.unlink(draft)
            raise
        return len(blob)

    def _refresh(self, digest: bytes, now: float) -> bool:
        """Mark a chunk as in use if it is there and not empty."""
        path = self._path(digest)
        with self.lock:
            try:
                status = os.stat(path)
            except FileNotFoundError:
                return False
            if not status.st_size:
                return False
            os.utime(path, (now, status.st_mtime))
            return True

    def touch(self, digest: bytes, now: float) -> None:
        """Mark a chunk as in use at `now`; raises MissingChunk."""
        if not self._refresh(digest, now):
            raise MissingChunk(digest.hex())

    def flush(self) -> None:
        """Have everything that was written on stable storage, unless the level is `none`."""
        if self.sync == "none":
            return
        folder = os.open(self._root, os.O_RDONLY)
        try:
            if _libc.syncfs(folder):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(folder)

    def blob(self, digest: bytes) -> bytes:
        """A chunk as it lies on disk; raises MissingChunk."""
        try:
            with open(self._path(digest), "rb", buffering=0) as stream:
                return stream.readall()
        except FileNotFoundError:
            raise MissingChunk(digest.hex()) from None

    def read(self, digest: bytes, key: Key | None = None) -> bytes:
        """The data of a chunk, checked against its digest; raises MissingChunk, DamagedBlob."""
        data = decode(self.blob(digest), key)
        if (key.digest(data) if key else hashlib.sha256(data).digest()) != digest:
            raise DamagedBlob("wrong digest")
        return data

    def verify(self, digest: bytes) -> None:
        """Check a chunk as far as that can be done without a key; raises MissingChunk, DamagedBlob."""
        blob = self.blob(digest)
        if is_encrypted(blob):
            check(blob)
        elif hashlib.sha256(decode(blob)).digest() != digest:
            raise DamagedBlob("wrong digest")

    def set_aside(self, digest: bytes) -> Path:
        """Rename a damaged chunk so that the next backup stores it anew; returns the new path."""
        path = self.path(digest)
        with self.lock:
            for number in range(10):
                aside = path.with_name(f"{path.name}.{number}{BAD}")
                if not aside.exists():
                    path.rename(aside)
                    return aside
            path.unlink()
        return path

    def files(self) -> Iterator[Path]:
        """Every chunk file, by directory."""
        for directory in sorted(self.base.iterdir()):
            if directory.is_dir():
                yield from (path for path in sorted(directory.iterdir()) if not path.name.endswith(DRAFT))

    def entries(self) -> Iterator[os.DirEntry[str]]:
        """Everything below the store, drafts that a crash left included, in no order."""
        with os.scandir(self._root) as folders:
            for folder in folders:
                if folder.is_dir():
                    with os.scandir(folder.path) as found:
                        yield from found


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]
