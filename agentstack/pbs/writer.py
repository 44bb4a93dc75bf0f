# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing one snapshot: chunks first, then the indexes that name them, the manifest last."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.pbs.blob import DamagedBlob, check, decode, encode, is_encrypted
from agentstack.pbs.index import Index, decode_index, is_index
from agentstack.pbs.snapshots import BackupFile, Manifest, Snapshot

if TYPE_CHECKING:
    from agentstack.pbs.datastore import Datastore


class SnapshotWriter:
    """Takes the files of one snapshot while it is being written.

    `new_bytes` and `known_chunks` tell what was stored; `unprotected` goes into the manifest.
    """

    def __init__(self, store: Datastore, snapshot: Snapshot, now: float) -> None:
        self.store = store
        self.snapshot = snapshot
        self.files: list[BackupFile] = []
        self.unprotected: dict[str, Any] = {}
        self.signature: str | None = None
        self.new_bytes = 0
        self.known_chunks = 0
        self._now = now
        self._room = store.room() if store.room is not None else None

    @property
    def manifest(self) -> Manifest:
        """The manifest of what has been written so far."""
        return Manifest(self.snapshot, tuple(self.files), self.unprotected, self.signature)

    def chunk(self, data: bytes) -> bytes:
        """Store one chunk of an image; returns its digest."""
        self._check_room()
        digest, written = self.store.chunks.insert(data, self._now)
        self._count(written)
        return digest

    def chunk_blob(self, digest: bytes, blob: bytes) -> int:
        """Store a chunk in the form in which it comes from another server; returns the bytes written."""
        self._check_room()
        written = self.store.chunks.insert_blob(digest, blob, self._now)
        self._count(written)
        return written

    def received(self, digest: bytes, blob: bytes) -> int:
        """As `chunk_blob`, for a chunk from elsewhere; raises DamagedBlob if it is not what its digest says."""
        if is_encrypted(blob):
            check(blob)  # only the owner of the key can tell more
        elif hashlib.sha256(decode(blob)).digest() != digest:
            raise DamagedBlob("detected chunk with wrong digest.")
        return self.chunk_blob(digest, blob)

    def image(self, filename: str, index: Index, crypt_mode: str = "none") -> None:
        """Add an image or a stream whose chunks are all stored; raises MissingChunk if one is not."""
        self.keep(index.digests)
        self._write(filename, index.encode())
        self.files.append(BackupFile(filename, index.size, index.checksum.hex(), crypt_mode))

    def blob(self, filename: str, data: bytes) -> None:
        """Add a small file (a guest's configuration, a log)."""
        self.encoded(filename, encode(data))

    def encoded(self, filename: str, content: bytes, crypt_mode: str = "none") -> None:
        """Add a small file in the form in which it comes from its writer; raises DamagedBlob."""
        check(content)
        self._write(filename, content)
        self.files.append(BackupFile(filename, len(content), hashlib.sha256(content).hexdigest(), crypt_mode))

    def copy(self, entry: BackupFile, content: bytes) -> None:
        """Add a file as it lies on another server; the chunks of an index have to be stored already."""
        if is_index(entry.filename):
            self.keep(decode_index(content).digests)
        self._write(entry.filename, content)
        self.files.append(entry)

    def keep(self, digests: Iterable[bytes]) -> None:
        """Mark chunks as in use; raises MissingChunk."""
        for digest in set(digests):
            self.store.chunks.touch(digest, self._now)

    def _write(self, filename: str, content: bytes) -> None:
        write_durably(self.snapshot.path(self.store.base) / filename, content)

    def _check_room(self) -> None:
        if self._room is not None and self.new_bytes >= self._room:
            raise AgentError("unable to write chunk - ENOSPC: No space left on device")

    def _count(self, written: int) -> None:
        self.new_bytes += written
        self.known_chunks += not written
