# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data blob: how chunks and small files lie on a backup server's disk.

Eight bytes of magic, the CRC-32 of the payload (little endian), the payload, compressed with zstd where that makes it
smaller. Layout: Proxmox Backup documentation, "File Formats", "Data Blob Format".
"""

from __future__ import annotations

import struct
import zlib

import zstandard

PLAIN = bytes([66, 171, 56, 7, 190, 131, 112, 161])
COMPRESSED = bytes([49, 185, 88, 66, 111, 182, 163, 127])
_HEADER = struct.Struct("<8sI")

MAX_SIZE = 16 * 1024 * 1024
"""Bytes of payload in one blob."""


class DamagedBlob(Exception):
    """A blob whose magic, checksum or compressed stream is not what was written."""


def encode(data: bytes) -> bytes:
    """The blob that holds `data`. Raises ValueError above MAX_SIZE."""
    if len(data) > MAX_SIZE:
        raise ValueError(f"data blob too large ({len(data)} bytes).")
    packed = zstandard.ZstdCompressor(level=1).compress(data)
    magic, payload = (COMPRESSED, packed) if len(packed) < len(data) else (PLAIN, data)
    return _HEADER.pack(magic, zlib.crc32(payload)) + payload


def decode(blob: bytes) -> bytes:
    """The data of a blob; raises DamagedBlob."""
    if len(blob) < _HEADER.size:
        raise DamagedBlob(f"blob too small ({len(blob)} bytes).")
    magic, checksum = _HEADER.unpack_from(blob)
    payload = memoryview(blob)[_HEADER.size :]
    if magic not in (PLAIN, COMPRESSED):
        raise DamagedBlob("unable to parse raw blob - wrong magic number")
    if zlib.crc32(payload) != checksum:
        raise DamagedBlob("Data blob has wrong CRC checksum.")
    if magic == PLAIN:
        return bytes(payload)
    try:
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=MAX_SIZE)
    except zstandard.ZstdError as error:
        raise DamagedBlob(f"unable to decompress blob - {error}") from error
