# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes from everywhere while hosts crash and links are cut: nothing acknowledged is lost, all end up equal."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from agentstack.errors import NoQuorum

from .conftest import World, until

NAMES = ("pve1", "pve2", "pve3")


class Chaos:
    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.acknowledged: set[str] = set()
        self.numbers = itertools.count()
        self.alive = set(NAMES)
        self.writers: dict[str, list[asyncio.Task[None]]] = {name: [] for name in NAMES}

    async def write(self, name: str) -> None:
        files = self.world.boxes[name].files
        while True:
            path = f"f{next(self.numbers)}"
            try:
                await files.write(path, name)
            except NoQuorum:
                await asyncio.sleep(0.01)
            else:
                self.acknowledged.add(path)

    def begin(self, name: str) -> None:
        self.writers[name] = [asyncio.create_task(self.write(name)) for _ in range(3)]

    async def crash(self, name: str) -> None:
        for task in self.writers[name]:
            task.cancel()
        await self.world.boxes[name].crash()
        self.alive.discard(name)

    async def revive(self, name: str) -> None:
        await self.world.boxes[name].start()
        self.alive.add(name)
        self.begin(name)

    async def fault(self) -> None:
        name = self.random.choice(NAMES)
        match self.random.randrange(4):
            case 0 if name in self.alive:
                await self.crash(name)
            case 1 | 0:
                for dead in set(NAMES) - self.alive:
                    await self.revive(dead)
            case 2:
                self.world.control("cut", host=name)
            case 3:
                self.world.control("restore")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
async def test_chaos(three: World, seed: int) -> None:
    chaos = Chaos(three, seed)
    for name in NAMES:
        chaos.begin(name)
    for _ in range(25):
        await asyncio.sleep(chaos.random.uniform(0, 0.25))
        await chaos.fault()
    three.control("restore")
    for name in set(NAMES) - chaos.alive:
        await chaos.revive(name)
    await until(lambda: all(three.boxes[name].files.quorate for name in NAMES), 20)
    tasks = [task for found in chaos.writers.values() for task in found]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: len({three.boxes[name].files._store.tree.digest for name in NAMES}) == 1)
    assert len(chaos.acknowledged) > 50
    for name in NAMES:
        assert chaos.acknowledged <= set(three.boxes[name].files.listdir())
