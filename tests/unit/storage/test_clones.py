# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A linked clone takes the room of what is written to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentstack.sections import Entry
from agentstack.shell.registry import CommandIO
from agentstack.shell.zfs import zfs
from agentstack.storage import sparse
from agentstack.storage.volumes import Directory
from agentstack.storage.zfs_volumes import ZfsPool

MIB = 1 << 20


def fill(path: Path, offset: int, size: int, byte: bytes = b"x") -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(byte * size)


async def test_a_clone_of_a_volume_takes_what_is_written_to_it(host: Any) -> None:
    host.zfs.create_pool("tank", "single", ["/dev/sdh"], 12, "on")
    entry, storage = Entry("tank", "zfspool", {"pool": "tank", "sparse": 1}), ZfsPool(host)
    base = storage.allocate(entry, 100, None, "raw", 64 * MIB)
    fill(storage.path(entry, base), 0, 8 * MIB)
    base = storage.make_base(entry, base)
    pool = host.zfs.pool("tank")
    before, alloc = host.zfs.used(pool, "tank"), host.zfs.summary(pool)["alloc"]
    clone = storage.clone(entry, base, 101)

    def used() -> int:
        return next(volume.used for volume in storage.list(entry) if volume.vmid == 101)

    assert used() < MIB
    assert host.zfs.used(pool, "tank") - before < MIB
    assert host.zfs.summary(pool)["alloc"] - alloc < MIB
    fill(storage.path(entry, clone), 4 * MIB, MIB, b"y")
    fill(storage.path(entry, clone), 32 * MIB, MIB, b"z")
    assert 2 * MIB <= used() < 3 * MIB
    assert 2 * MIB <= host.zfs.used(pool, "tank") - before < 3 * MIB
    io = CommandIO()
    await zfs(host, ["get", "-Hpo", "value", "used,referenced", "tank/vm-101-disk-0"], io)
    shown, referenced = map(int, io.stdout.decode().split())
    assert 2 * MIB <= shown < 3 * MIB < 9 * MIB <= referenced


async def test_a_clone_of_a_file_system_takes_the_files_that_changed(host: Any) -> None:
    host.zfs.create_pool("tank", "single", ["/dev/sdh"], 12, "on")
    entry, storage = Entry("tank", "zfspool", {"pool": "tank"}), ZfsPool(host)
    base = storage.allocate(entry, 100, None, "subvol", 64 * MIB)
    for name in ("kept", "changed"):
        (storage.path(entry, base) / name).write_bytes(b"x" * MIB)
    clone = storage.clone(entry, storage.make_base(entry, base), 101)
    pool = host.zfs.pool("tank")
    assert host.zfs.own(pool, "tank/subvol-101-disk-0") < MIB
    (storage.path(entry, clone) / "changed").write_bytes(b"y" * MIB)
    assert MIB <= host.zfs.own(pool, "tank/subvol-101-disk-0") < 2 * MIB


async def test_an_overlay_in_a_directory_takes_what_is_written_to_it(host: Any) -> None:
    entry, storage = Entry("local", "dir", {"path": "/srv"}), Directory(host)
    base = storage.make_base(entry, storage.allocate(entry, 100, None, "raw", 64 * MIB))
    fill(storage.path(entry, base), 0, 8 * MIB)
    clone = storage.clone(entry, base, 101)
    fill(storage.path(entry, clone), 0, MIB, b"y")
    (volume,) = (volume for volume in storage.list(entry) if volume.vmid == 101)
    assert (volume.volid, volume.used) == (f"local:{clone}", MIB)


@pytest.mark.parametrize(("offset", "size", "counted"), [(0, 1, 1), (10, 20_000, 2), (sparse.SHARED - 1, 2, 2)])
def test_room_is_counted_in_blocks(tmp_path: Path, offset: int, size: int, counted: int) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.write_bytes(b"x" * MIB)
    sparse.copy(origin, clone)
    assert sparse.written(clone, origin) == 0
    fill(clone, offset, size, b"y")
    assert sparse.written(clone, origin) == counted * sparse.SHARED
