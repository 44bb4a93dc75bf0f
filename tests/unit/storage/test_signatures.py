# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a disk, and what is found of it."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from agentstack.storage import signatures
from agentstack.storage.signatures import ALIGN, Partition


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "sdb.img"
    with path.open("wb") as file:
        file.truncate(64 * ALIGN)
    return path


def test_empty_disk_has_nothing(image: Path) -> None:
    assert not signatures.has_gpt(image)
    assert signatures.read_partitions(image) == []
    assert signatures.probe(image) is None


def test_partitions_come_back(image: Path) -> None:
    parts = [Partition(1, ALIGN, 2 * ALIGN, "EFI"), Partition(3, 4 * ALIGN, 8 * ALIGN, "ZFS")]
    signatures.write_partitions(image, parts)
    assert signatures.read_partitions(image) == parts


def test_partition_table_has_right_check_sums(image: Path) -> None:
    signatures.write_partitions(image, [Partition(1, ALIGN, ALIGN, "LVM")])
    data = image.read_bytes()
    for header_at in (512, len(data) - 512):
        header = bytearray(data[header_at : header_at + 92])
        stored = int.from_bytes(header[16:20], "little")
        header[16:20] = bytes(4)
        assert zlib.crc32(header) == stored
        table_at = int.from_bytes(header[72:80], "little") * 512
        assert zlib.crc32(data[table_at : table_at + 128 * 128]) == int.from_bytes(header[88:92], "little")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "LVM"])
@pytest.mark.parametrize("offset", [0, ALIGN])
def test_signatures_are_found_and_wiped(image: Path, kind: str, offset: int) -> None:
    signatures.make_filesystem(image, offset, kind)
    assert signatures.probe(image, offset) == kind
    signatures.wipe(image, offset)
    assert signatures.probe(image, offset) is None


def test_zfs_label_comes_back(image: Path) -> None:
    label = {"name": "tank", "guid": "17"}
    signatures.write_zfs_label(image, ALIGN, label)
    assert signatures.read_zfs_label(image, ALIGN) == label
    assert signatures.probe(image, ALIGN) == "ZFS"
    assert signatures.read_zfs_label(image, 0) is None


def test_wipe_keeps_other_partitions(image: Path) -> None:
    signatures.make_filesystem(image, ALIGN, "ext4")
    signatures.make_filesystem(image, 10 * ALIGN, "xfs")
    signatures.wipe(image, ALIGN, 4 * ALIGN)
    assert signatures.probe(image, ALIGN) is None
    assert signatures.probe(image, 10 * ALIGN) == "xfs"


def test_disk_stays_sparse(image: Path) -> None:
    signatures.write_partitions(image, [Partition(1, ALIGN, 62 * ALIGN, "ZFS")])
    signatures.write_zfs_label(image, ALIGN, {"name": "tank"})
    assert image.stat().st_blocks * 512 < ALIGN
