# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chunk store: data addressed by its SHA-256, each chunk once (`.chunks/<first 4 hex digits>/<digest>`)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from agentstack.durable import write_durably
from agentstack.pbs.blob import DamagedBlob, decode, encode

GRACE = 24 * 3600 + 300
"""Seconds for which an unreferenced chunk is kept: access times may be a day old, plus the margin (facts §20.6)."""


class MissingChunk(Exception):
    """A chunk that an index names and the store does not hold."""


class ChunkStore:
    """Chunks below a datastore's directory. `now` stamps in wall-clock seconds are handed in."""

    def __init__(self, base: Path) -> None:
        self.base = base / ".chunks"

    def create(self) -> None:
        """Make the empty store."""
        self.base.mkdir(mode=0o750)

    def path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.base / name[:4] / name

    def has(self, digest: bytes) -> bool:
        return self.path(digest).exists()

    def insert(self, data: bytes, now: float) -> tuple[bytes, int]:
        """Store `data` unless it is there; returns its digest and the bytes newly written (0: known already).

        The chunk is on disk when this returns. A chunk that lost its content in a crash is written again.
        """
        digest = hashlib.sha256(data).digest()
        return digest, self.insert_blob(digest, encode(data), now)

    def insert_blob(self, digest: bytes, blob: bytes, now: float) -> int:
        """Store an encoded chunk under its digest, as a synchronisation receives it; returns the bytes written."""
        path = self.path(digest)
        if path.exists() and path.stat().st_size:
            self.touch(digest, now)
            return 0
        path.parent.mkdir(mode=0o750, exist_ok=True)
        write_durably(path, blob)
        self.touch(digest, now)
        return len(blob)

    def touch(self, digest: bytes, now: float) -> None:
        """Mark a chunk as in use at `now`; raises MissingChunk."""
        path = self.path(digest)
        try:
            os.utime(path, (now, path.stat().st_mtime))
        except FileNotFoundError:
            raise MissingChunk(digest.hex()) from None

    def blob(self, digest: bytes) -> bytes:
        """A chunk as it lies on disk; raises MissingChunk."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError:
            raise MissingChunk(digest.hex()) from None

    def read(self, digest: bytes) -> bytes:
        """The data of a chunk, checked against its digest; raises MissingChunk, DamagedBlob."""
        data = decode(self.blob(digest))
        if hashlib.sha256(data).digest() != digest:
            raise DamagedBlob("wrong digest")
        return data

    def set_aside(self, digest: bytes) -> Path:
        """Rename a damaged chunk so that the next backup stores it anew; returns the new path."""
        path = self.path(digest)
        for number in range(10):
            aside = path.with_name(f"{path.name}.{number}.bad")
            if not aside.exists():
                path.rename(aside)
                return aside
        path.unlink()
        return path

    def files(self) -> Iterator[Path]:
        """Every chunk file, by directory."""
        for directory in sorted(self.base.iterdir()):
            if directory.is_dir():
                yield from sorted(directory.iterdir())
