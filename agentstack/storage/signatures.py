# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a disk: the partition table and the signatures that tools find disks "in use" by.

A disk is a sparse file; GPT, ext4, XFS, LVM and BlueStore are recognised by their real magic numbers at their real
places, so that any tool would say the same of the file. A ZFS label is kept as JSON where the real one holds its packed
list, under the real uberblock magic.
"""

from __future__ import annotations

import json
import os
import struct
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

SECTOR = 512
ALIGN = 1 << 20
"""Partitions start and end on whole MiB, as every partitioning tool makes them."""

PARTITION_TYPES = {
    "BIOS boot": uuid.UUID("21686148-6449-6e6f-744e-656564454649"),
    "EFI": uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
    "LVM": uuid.UUID("e6d6d379-f507-44c2-a23c-238f2a3df928"),
    "ZFS": uuid.UUID("6a898cc3-1dd2-11b2-99a6-080020736631"),
    "ZFS reserved": uuid.UUID("6a945a3b-1dd2-11b2-99a6-080020736631"),
    "Linux": uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4"),
}
_TYPE_NAMES = {guid: name for name, guid in PARTITION_TYPES.items()}

_ENTRIES, _ENTRY_SIZE = 128, 128
_GPT_SIGNATURE = b"EFI PART"
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")

_ZFS_LABEL_OFFSET, _ZFS_LABEL_SIZE = 16 << 10, 112 << 10
_ZFS_UBERBLOCK = (128 << 10, struct.pack("<Q", 0x00BAB10C))
_EXT4_UUID_OFFSET = 1024 + 0x68

_MAGICS: tuple[tuple[str, int, bytes], ...] = (
    ("bluestore", 0, b"bluestore block device\n"),
    ("xfs", 0, b"XFSB"),
    ("LVM", 512, b"LABELONE"),
    ("ext4", 1080, b"\x53\xef"),
    ("ZFS", *_ZFS_UBERBLOCK),
)


@dataclass(frozen=True)
class Partition:
    """One entry of a partition table; `start` and `size` in bytes, `kind` a name of PARTITION_TYPES or the GUID."""

    number: int
    start: int
    size: int
    kind: str


def has_gpt(image: Path) -> bool:
    """Tell whether the disk carries a GUID partition table."""
    with image.open("rb") as file:
        return _at(file, SECTOR, len(_GPT_SIGNATURE)) == _GPT_SIGNATURE


def read_partitions(image: Path) -> list[Partition]:
    """The entries of the disk's partition table; `[]` without one."""
    with image.open("rb") as file:
        if _at(file, SECTOR, len(_GPT_SIGNATURE)) != _GPT_SIGNATURE:
            return []
        table = _at(file, 2 * SECTOR, _ENTRIES * _ENTRY_SIZE)
    partitions = []
    for index in range(_ENTRIES):
        entry = table[index * _ENTRY_SIZE : (index + 1) * _ENTRY_SIZE]
        guid = uuid.UUID(bytes_le=entry[:16])
        if guid.int:
            first, last = struct.unpack_from("<QQ", entry, 32)
            kind = _TYPE_NAMES.get(guid, str(guid))
            partitions.append(Partition(index + 1, first * SECTOR, (last - first + 1) * SECTOR, kind))
    return partitions


def write_partitions(image: Path, partitions: list[Partition], guid: uuid.UUID | None = None) -> None:
    """Give the disk a GUID partition table (primary and backup, with check sums) of these entries."""
    sectors = image.stat().st_size // SECTOR
    table = bytearray(_ENTRIES * _ENTRY_SIZE)
    for part in partitions:
        entry = PARTITION_TYPES[part.kind].bytes_le + uuid.uuid4().bytes_le
        entry += struct.pack("<QQQ", part.start // SECTOR, (part.start + part.size) // SECTOR - 1, 0)
        table[(part.number - 1) * _ENTRY_SIZE : (part.number - 1) * _ENTRY_SIZE + len(entry)] = entry
    table_sectors = len(table) // SECTOR
    disk = (guid or uuid.uuid4()).bytes_le
    last = sectors - 1
    with image.open("r+b") as file:
        for own, other, table_at in ((1, last, 2), (last, 1, last - table_sectors)):
            header = _gpt_header(own, other, sectors, disk, table_at, bytes(table))
            _put(file, own * SECTOR, header)
            _put(file, table_at * SECTOR, bytes(table))
        _put(file, 510, b"\x55\xaa")


def _gpt_header(own: int, other: int, sectors: int, disk: bytes, table_at: int, table: bytes) -> bytes:
    usable = 2 + len(table) // SECTOR

    def pack(check_sum: int) -> bytes:
        return _HEADER.pack(
            *(_GPT_SIGNATURE, 0x00010000, _HEADER.size, check_sum, 0, own, other, usable, sectors - usable),
            *(disk, table_at, _ENTRIES, _ENTRY_SIZE, zlib.crc32(table)),
        )

    return pack(zlib.crc32(pack(0)))


def probe(image: Path, offset: int = 0) -> str | None:
    """The signature found at `offset` of the disk (a key of the magics above), or None."""
    with image.open("rb") as file:
        for name, place, magic in _MAGICS:
            if _at(file, offset + place, len(magic)) == magic:
                return name
    return None


def write_zfs_label(image: Path, offset: int, label: dict[str, Any]) -> None:
    """Put a ZFS label on the partition that starts at `offset`."""
    data = json.dumps(label).encode()
    with image.open("r+b") as file:
        _put(file, offset + _ZFS_LABEL_OFFSET, data.ljust(_ZFS_LABEL_SIZE, b"\0"))
        _put(file, offset + _ZFS_UBERBLOCK[0], _ZFS_UBERBLOCK[1])


def read_zfs_label(image: Path, offset: int) -> dict[str, Any] | None:
    """The ZFS label of the partition that starts at `offset`; None without a valid one."""
    with image.open("rb") as file:
        if _at(file, offset + _ZFS_UBERBLOCK[0], len(_ZFS_UBERBLOCK[1])) != _ZFS_UBERBLOCK[1]:
            return None
        data = _at(file, offset + _ZFS_LABEL_OFFSET, _ZFS_LABEL_SIZE).rstrip(b"\0")
    try:
        label = json.loads(data)
    except ValueError:
        return None
    return label if isinstance(label, dict) else None


def make_filesystem(image: Path, offset: int, kind: str) -> uuid.UUID:
    """Put the mark of a fresh `ext4`, `xfs` or `LVM` at `offset`; returns the UUID it got."""
    own = uuid.uuid4()
    place, magic = next((place, magic) for name, place, magic in _MAGICS if name == kind)
    with image.open("r+b") as file:
        _put(file, offset + place, magic)
        if kind == "ext4":
            _put(file, offset + _EXT4_UUID_OFFSET, own.bytes)
    return own


def wipe(image: Path, offset: int = 0, size: int | None = None) -> None:
    """Make every signature in the given part of the disk (default: all of it) vanish."""
    end = image.stat().st_size if size is None else offset + size
    with image.open("r+b") as file:
        for start in (offset, max(offset, end - ALIGN)):
            _put(file, start, bytes(min(ALIGN, end - start)))


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _put(file: BinaryIO, offset: int, data: bytes) -> None:
    file.seek(offset)
    file.write(data)
    file.flush()
    os.fdatasync(file.fileno())
