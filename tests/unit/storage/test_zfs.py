# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools, volumes and snapshots with real bytes (facts §10)."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack.errors import AgentError

from .conftest import boot

DISKS = [f"/dev/sd{letter}" for letter in "bcdefg"]
GIB = 1 << 30


@pytest.mark.parametrize(
    ("level", "count", "raw", "net"),
    [("single", 1, 1, 1), ("mirror", 2, 1, 1), ("mirror", 3, 1, 1), ("raid10", 4, 2, 2), ("raidz", 3, 3, 2),
     ("raidz2", 4, 4, 2), ("raidz3", 6, 6, 3), ("draid", 3, 3, 2)],
)  # fmt: skip
def test_levels_and_their_sizes(host: Any, level: str, count: int, raw: int, net: int) -> None:
    pool = host.zfs.create_pool("tank", level, DISKS[:count], 12, "on")
    assert pool.size == pytest.approx(raw * GIB, rel=0.01)
    assert host.zfs.available(pool) == pytest.approx(net * GIB - (128 << 20), rel=0.07)
    assert all(host.disks.usage(host.disks.disk(device)) == "ZFS" for device in DISKS[:count])


@pytest.mark.parametrize(
    ("level", "count", "text"),
    [("single", 2, "please give only one disk for single disk mode"), ("mirror", 1, "mirror needs at least 2 disks"),
     ("raid10", 2, "raid10 needs at least 4 disks"), ("raid10", 3, "raid10 needs an even number of disks"),
     ("raidz", 2, "raidz needs at least 3 disks"), ("raidz2", 3, "raidz2 needs at least 4 disks"),
     ("raidz3", 4, "raidz3 needs at least 5 disks"), ("draid2", 3, "draid2 needs at least 4 disks")],
)  # fmt: skip
def test_layouts_that_are_refused(host: Any, level: str, count: int, text: str) -> None:
    with pytest.raises(AgentError) as caught:
        host.zfs.create_pool("tank", level, DISKS[:count], 12, "on")
    assert caught.value.message == text
    assert all(host.disks.usage(host.disks.disk(device)) is None for device in DISKS)


def test_disks_and_names_are_taken_once(host: Any) -> None:
    host.zfs.create_pool("tank", "mirror", DISKS[:2], 12, "on")
    with pytest.raises(AgentError, match="device '/dev/sdc' is already in use"):
        host.zfs.create_pool("other", "mirror", DISKS[1:3], 12, "on")
    with pytest.raises(AgentError, match="pool 'tank' already exists on node 'pve1'"):
        host.zfs.create_pool("tank", "mirror", DISKS[2:4], 12, "on")


async def test_pools_are_found_again_by_their_labels(host: Any) -> None:
    host.zfs.create_pool("tank", "mirror", DISKS[:2], 12, "zstd")
    host.zfs.create_volume("tank/vm-100-disk-0", 1 << 20).write_bytes(b"kept")
    again = await boot(host.state)
    assert again.zfs.path("tank/vm-100-disk-0").read_bytes() == b"kept"
    assert again.zfs.pools["tank"].datasets["tank"].properties == {"compression": "zstd"}


def test_thick_volumes_reserve_their_size(host: Any) -> None:
    pool = host.zfs.create_pool("tank", "single", DISKS[:1], 12, "on")
    before = host.zfs.available(pool)
    host.zfs.create_volume("tank/vm-1-disk-0", 512 << 20)
    assert host.zfs.available(pool) == before - (512 << 20)
    host.zfs.create_volume("tank/vm-1-disk-1", 2 * GIB, thin=True)
    assert host.zfs.available(pool) == pytest.approx(before - (512 << 20), abs=1 << 20)
    with pytest.raises(AgentError, match="out of space"):
        host.zfs.create_volume("tank/vm-1-disk-2", GIB)


def test_snapshots_keep_the_bytes(host: Any) -> None:
    host.zfs.create_pool("tank", "single", DISKS[:1], 12, "on")
    path = host.zfs.create_volume("tank/vm-1-disk-0", 1 << 20)
    with path.open("r+b") as file:
        file.write(b"before")
    host.zfs.snapshot("tank/vm-1-disk-0", "s1")
    with path.open("r+b") as file:
        file.write(b"after!")
    host.zfs.rollback("tank/vm-1-disk-0", "s1")
    assert path.read_bytes()[:6] == b"before"
    assert path.stat().st_size == 1 << 20
    with pytest.raises(AgentError, match="dataset already exists"):
        host.zfs.snapshot("tank/vm-1-disk-0", "s1")
    host.zfs.destroy_snapshot("tank/vm-1-disk-0", "s1")
    with pytest.raises(AgentError, match="could not find any snapshots"):
        host.zfs.destroy_snapshot("tank/vm-1-disk-0", "s1")


def test_lost_disks_degrade_and_then_suspend(host: Any) -> None:
    pool = host.zfs.create_pool("tank", "mirror", DISKS[:2], 12, "on")
    host.zfs.create_volume("tank/vm-1-disk-0", 1 << 20)
    first, second = (host.disks.disk(device).image for device in DISKS[:2])
    first.rename(first.with_suffix(".gone"))
    assert host.zfs.health(pool) == "DEGRADED"
    host.zfs.path("tank/vm-1-disk-0")
    second.rename(second.with_suffix(".gone"))
    assert host.zfs.health(pool) == "SUSPENDED"
    with pytest.raises(AgentError, match="suspended"):
        host.zfs.path("tank/vm-1-disk-0")


async def test_destroyed_pools_leave_used_disks(host: Any) -> None:
    host.zfs.create_pool("tank", "mirror", DISKS[:2], 12, "on")
    with pytest.raises(AgentError, match="has a holder"):
        host.disks.wipe("/dev/sdb")
    assert host.zfs.destroy_pool("tank") == DISKS[:2]
    assert host.disks.usage(host.disks.disk("/dev/sdb")) == "ZFS"
    assert (await boot(host.state)).zfs.pools == {}
    host.disks.wipe("/dev/sdb")
    host.disks.assert_unused("/dev/sdb")


def test_what_a_guest_uses_is_not_destroyed(host: Any) -> None:
    host.zfs.create_pool("tank", "single", DISKS[:1], 12, "on")
    path = host.zfs.create_volume("tank/vm-1-disk-0", 1 << 20)
    host.used.add(path)
    with pytest.raises(AgentError, match="cannot destroy 'tank/vm-1-disk-0': dataset is busy"):
        host.zfs.destroy("tank/vm-1-disk-0")
    with pytest.raises(AgentError, match="pool or dataset is busy"):
        host.zfs.destroy_pool("tank")
    host.used.clear()
    host.zfs.destroy("tank/vm-1-disk-0")
    assert not path.exists()


@pytest.mark.parametrize("name", ["tank/a/b", "nosuch/x"])
def test_datasets_need_a_parent(host: Any, name: str) -> None:
    host.zfs.create_pool("tank", "single", DISKS[:1], 12, "on")
    with pytest.raises(AgentError, match="parent does not exist"):
        host.zfs.create_filesystem(name, {})
