# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixed index (`.fidx`): which chunks make up a disk image.

A header of 4096 bytes (magic, uuid, creation time, SHA-256 over the digests, image size, chunk size, all integers
little endian), then one SHA-256 digest per chunk. Layout: Proxmox Backup documentation, "Fixed Index Format".
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

MAGIC = bytes([47, 127, 65, 237, 145, 253, 15, 205])
HEADER_SIZE = 4096
CHUNK_SIZE = 4 * 1024 * 1024
"""Bytes of a disk image in one chunk; the last one of an image may be shorter."""
_FIELDS = struct.Struct("<8s16sq32sQQ")
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
