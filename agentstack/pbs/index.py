# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Index files: which chunks make up a disk image (`.fidx`, pieces of one size) or a stream (`.didx`, cut by content).

A header of 4096 bytes (magic, uuid, creation time, SHA-256 over what follows; of an image also its size and that of
its chunks; integers little endian), then each chunk's digest, in a dynamic index with the offset of its end before it.
Layout: Proxmox Backup documentation, "Fixed Index Format", "Dynamic Index Format".
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

MAGIC = bytes([47, 127, 65, 237, 145, 253, 15, 205])
DYNAMIC_MAGIC = bytes([28, 145, 78, 165, 25, 186, 179, 205])
HEADER_SIZE = 4096
CHUNK_SIZE = 4 * 1024 * 1024
"""Bytes of a disk image in one chunk; the last one of an image may be shorter."""

SUFFIXES = (".fidx", ".didx")
_FIELDS = struct.Struct("<8s16sq32sQQ")
_DYNAMIC_FIELDS = struct.Struct("<8s16sq32s")
_ENTRY = struct.Struct("<Q32s")
_DIGEST = 32


class DamagedIndex(Exception):
    """An index file that is not what was written."""


@dataclass(frozen=True)
class FixedIndex:
    """`digests` in the order of the image; `size` and `chunk_size` in bytes; `created` seconds since the epoch."""

    size: int
    digests: Sequence[bytes]
    created: int
    chunk_size: int = CHUNK_SIZE

    def __post_init__(self) -> None:
        if len(self.digests) != -(-self.size // self.chunk_size):
            raise DamagedIndex(f"index of {self.size} bytes holds {len(self.digests)} chunks")

    @property
    def checksum(self) -> bytes:
        """SHA-256 over all digests: what the manifest names."""
        return hashlib.sha256(b"".join(self.digests)).digest()

    def chunks(self) -> Iterator[tuple[bytes, int, int]]:
        """Digest, offset and size of every chunk."""
        for number, digest in enumerate(self.digests):
            start = number * self.chunk_size
            yield digest, start, min(self.chunk_size, self.size - start)

    def encode(self) -> bytes:
        """The file's content."""
        fields = _FIELDS.pack(MAGIC, uuid.uuid4().bytes, self.created, self.checksum, self.size, self.chunk_size)
        return fields.ljust(HEADER_SIZE, b"\0") + b"".join(self.digests)

    @classmethod
    def decode(cls, content: bytes) -> FixedIndex:
        """Read a file's content; raises DamagedIndex."""
        if len(content) < HEADER_SIZE or content[:8] != MAGIC:
            raise DamagedIndex("got unknown magic number")
        _magic, _uuid, created, checksum, size, chunk_size = _FIELDS.unpack_from(content)
        body = content[HEADER_SIZE:]
        if chunk_size == 0 or len(body) % _DIGEST:
            raise DamagedIndex("got unexpected file size")
        digests = [body[at : at + _DIGEST] for at in range(0, len(body), _DIGEST)]
        index = cls(size, digests, created, chunk_size)
        if index.checksum != checksum:
            raise DamagedIndex("wrong index checksum")
        return index


@dataclass(frozen=True)
class DynamicIndex:
    """`ends[n]`: the offset in the stream behind chunk `n`; `created` seconds since the epoch."""

    digests: Sequence[bytes]
    ends: Sequence[int]
    created: int

    def __post_init__(self) -> None:
        starts = (0, *self.ends)
        if len(self.ends) != len(self.digests) or any(a >= b for a, b in zip(starts, self.ends, strict=False)):
            raise DamagedIndex("offsets of the index do not ascend")

    @property
    def size(self) -> int:
        """Bytes of the stream."""
        return self.ends[-1] if self.ends else 0

    @property
    def checksum(self) -> bytes:
        """SHA-256 over all entries: what the manifest names."""
        return hashlib.sha256(self._body()).digest()

    def chunks(self) -> Iterator[tuple[bytes, int, int]]:
        """Digest, offset and size of every chunk."""
        start = 0
        for digest, end in zip(self.digests, self.ends, strict=True):
            yield digest, start, end - start
            start = end

    def _body(self) -> bytes:
        return b"".join(_ENTRY.pack(end, digest) for end, digest in zip(self.ends, self.digests, strict=True))

    def encode(self) -> bytes:
        """The file's content."""
        fields = _DYNAMIC_FIELDS.pack(DYNAMIC_MAGIC, uuid.uuid4().bytes, self.created, self.checksum)
        return fields.ljust(HEADER_SIZE, b"\0") + self._body()

    @classmethod
    def decode(cls, content: bytes) -> DynamicIndex:
        """Read a file's content; raises DamagedIndex."""
        if len(content) < HEADER_SIZE or content[:8] != DYNAMIC_MAGIC:
            raise DamagedIndex("got unknown magic number")
        _magic, _uuid, created, checksum = _DYNAMIC_FIELDS.unpack_from(content)
        body = content[HEADER_SIZE:]
        if len(body) % _ENTRY.size:
            raise DamagedIndex("got unexpected file size")
        entries = list(_ENTRY.iter_unpack(body))
        index = cls([digest for _, digest in entries], [end for end, _ in entries], created)
        if index.checksum != checksum:
            raise DamagedIndex("wrong index checksum")
        return index


Index: TypeAlias = FixedIndex | DynamicIndex


def decode_index(content: bytes) -> Index:
    """Read an index of either kind; raises DamagedIndex."""
    return DynamicIndex.decode(content) if content[:8] == DYNAMIC_MAGIC else FixedIndex.decode(content)


def is_index(filename: str) -> bool:
    """Whether a file of a snapshot is an index."""
    return filename.endswith(SUFFIXES)
