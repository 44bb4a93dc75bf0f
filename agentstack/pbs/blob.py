# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data blob: how chunks and small files lie on a backup server's disk.

Eight bytes of magic, the CRC-32 of what follows (little endian; of an encrypted blob that of its payload), for an
encrypted one 16 bytes each of initialisation vector and tag, then the payload, compressed with zstd where that makes
it smaller. Layout: Proxmox Backup documentation, "File Formats", "Data Blob Format".
"""

from __future__ import annotations

import struct
import zlib

import zstandard

from agentstack.pbs.keys import BrokenSeal, Key

PLAIN = bytes([66, 171, 56, 7, 190, 131, 112, 161])
COMPRESSED = bytes([49, 185, 88, 66, 111, 182, 163, 127])
ENCRYPTED = bytes([123, 103, 133, 190, 34, 45, 76, 240])
ENCRYPTED_COMPRESSED = bytes([230, 89, 27, 191, 11, 191, 216, 11])
_HEADER = struct.Struct("<8sI")
_SEAL = struct.Struct("<16s16s")
_SEALED = frozenset({ENCRYPTED, ENCRYPTED_COMPRESSED})
_PACKED = frozenset({COMPRESSED, ENCRYPTED_COMPRESSED})
_KNOWN = _SEALED | _PACKED | {PLAIN}

MAX_SIZE = 16 * 1024 * 1024
"""Bytes of payload in one blob."""


class DamagedBlob(Exception):
    """A blob whose magic, checksum or compressed stream is not what was written."""


def encode(data: bytes, key: Key | None = None) -> bytes:
    """The blob that holds `data`, encrypted with `key` if there is one. Raises ValueError above MAX_SIZE."""
    if len(data) > MAX_SIZE:
        raise ValueError(f"data blob too large ({len(data)} bytes).")
    packed = zstandard.ZstdCompressor(level=1).compress(data)
    is_packed = len(packed) < len(data)
    payload = packed if is_packed else data
    if key is None:
        return _HEADER.pack(COMPRESSED if is_packed else PLAIN, zlib.crc32(payload)) + payload
    vector, tag, sealed = key.seal(payload)
    magic = ENCRYPTED_COMPRESSED if is_packed else ENCRYPTED
    return _HEADER.pack(magic, zlib.crc32(sealed)) + _SEAL.pack(vector, tag) + sealed


def is_encrypted(blob: bytes) -> bool:
    """Whether a key is needed to read a blob."""
    return blob[:8] in _SEALED


def check(blob: bytes) -> None:
    """Raise DamagedBlob for a blob that was damaged; takes no key."""
    _open(blob)


def _open(blob: bytes) -> tuple[bytes, memoryview, memoryview]:
    """Magic, seal and payload of a sound blob."""
    if len(blob) < _HEADER.size:
        raise DamagedBlob(f"blob too small ({len(blob)} bytes).")
    magic, checksum = _HEADER.unpack_from(blob)
    rest = memoryview(blob)[_HEADER.size :]
    if magic not in _KNOWN:
        raise DamagedBlob("unable to parse raw blob - wrong magic number")
    seal = _SEAL.size if magic in _SEALED else 0
    payload = rest[seal:]
    if zlib.crc32(payload) != checksum:
        raise DamagedBlob("Data blob has wrong CRC checksum.")
    return magic, rest[:seal], payload


def decode(blob: bytes, key: Key | None = None) -> bytes:
    """The data of a blob; raises DamagedBlob, also for an encrypted one without its key."""
    magic, seal, payload = _open(blob)
    content: bytes | memoryview = payload
    if magic in _SEALED:
        if key is None:
            raise DamagedBlob("unable to decrypt blob - missing CryptConfig")
        try:
            vector, tag = _SEAL.unpack(seal)
            content = key.unseal(vector, tag, bytes(payload))
        except BrokenSeal as error:
            raise DamagedBlob("unable to decrypt blob - wrong key, or damaged") from error
    if magic not in _PACKED:
        return bytes(content)
    try:
        return zstandard.ZstdDecompressor().decompress(content, max_output_size=MAX_SIZE)
    except zstandard.ZstdError as error:
        raise DamagedBlob(f"unable to decompress blob - {error}") from error
