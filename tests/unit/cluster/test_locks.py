# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster-wide locks."""

from __future__ import annotations

import asyncio
import time

import pytest

from agentstack.cluster import locks
from agentstack.cluster.locks import NoLock
from agentstack.errors import AgentError, NoQuorum

from .conftest import SCALE, World, until


async def test_one_at_a_time(three: World) -> None:
    inside = 0
    most = 0

    async def work(name: str) -> None:
        nonlocal inside, most
        async with three.boxes[name].files.lock("file-storage_cfg"):
            inside += 1
            most = max(most, inside)
            await three.boxes[name].files.write("storage.cfg", name)
            inside -= 1

    await asyncio.gather(*(work(f"pve{number % 3 + 1}") for number in range(12)))
    assert most == 1
    assert three.boxes["pve1"].files.listdir("priv/lock") == []


async def test_timeout(three: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BUSY_MACHINE", 0.1)
    async with three.boxes["pve1"].files.lock("domain-ha"):
        with pytest.raises(NoLock, match=r"cfs-lock 'domain-ha' error: got lock request timeout"):
            async with three.boxes["pve2"].files.lock("domain-ha", timeout=5):
                pass
    async with three.boxes["pve2"].files.lock("domain-ha"):
        pass


async def test_errors_inside_release_the_lock(three: World) -> None:
    files = three.boxes["pve1"].files
    with pytest.raises(AgentError, match="inside"):
        async with files.lock("x"):
            raise AgentError("inside")
    assert files.locks.holder("x") is None


async def test_long_work_is_aborted(three: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WORK", 1.0)
    monkeypatch.setattr(locks, "BUSY_MACHINE", 0.0)
    with pytest.raises(NoLock, match="got lock timeout - aborting command"):
        async with three.boxes["pve1"].files.lock("x", timeout=30):
            await asyncio.Event().wait()


async def test_no_quorum(three: World) -> None:
    three.control("cut", host="pve3")
    await until(lambda: not three.boxes["pve3"].files.quorate)
    begin = time.monotonic()
    with pytest.raises(NoQuorum, match=r"cfs-lock 'file-user_cfg' error: no quorum!"):
        async with three.boxes["pve3"].files.lock("file-user_cfg"):
            pass
    assert 9 < (time.monotonic() - begin) * SCALE < 60


async def test_lock_of_a_dead_host_expires(three: World) -> None:
    one, two = three.boxes["pve1"], three.boxes["pve2"]
    assert await two.files.locks.hold("ha_manager_lock")
    assert await two.files.locks.hold("ha_manager_lock")
    assert not await one.files.locks.hold("ha_manager_lock")
    await two.crash()
    seen = one.clock.elapsed()
    async with asyncio.timeout(10):
        while not await one.files.locks.hold("ha_manager_lock"):
            await one.clock.sleep(2)
    assert 110 < one.clock.elapsed() - seen < 160
    await one.files.locks.release("ha_manager_lock")
    assert one.files.locks.holder("ha_manager_lock") is None
