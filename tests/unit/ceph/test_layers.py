# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones of images: they read what they have not from below, and take what is written to them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, cast

import pytest

from agentstack.ceph.client import Client
from agentstack.ceph.images import OBJECT, Image, Images, data_of
from agentstack.ceph.objects import BLOCK

SIZE = 3 * OBJECT
PLACES = [(number * OBJECT + at, 6000) for number in range(3) for at in (0, 8192, OBJECT - 3000)]


class Pool:
    """What a client does to the objects of one pool, in memory: blocks by number, and the size."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[int, dict[int, bytes]]] = {}

    async def read(self, pool: int, name: str, offset: int, length: int) -> bytes:
        _, blocks = self.objects.get(name, (0, {}))
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        whole = b"".join(blocks.get(number, bytes(BLOCK)) for number in range(first, last + 1))
        return whole[offset - first * BLOCK :][:length]

    async def write(self, pool: int, name: str, offset: int, data: bytes) -> None:
        first, last = offset // BLOCK, (offset + len(data) - 1) // BLOCK
        whole = bytearray(await self.read(pool, name, first * BLOCK, (last - first + 1) * BLOCK))
        whole[offset - first * BLOCK : offset - first * BLOCK + len(data)] = data
        size, blocks = self.objects.get(name, (0, {}))
        parts = {first + at // BLOCK: bytes(whole[at : at + BLOCK]) for at in range(0, len(whole), BLOCK)}
        self.objects[name] = max(size, offset + len(data)), blocks | parts

    async def fetch(self, pool: int, name: str) -> tuple[int, list[int], bytes] | None:
        if name not in self.objects:
            return None
        size, blocks = self.objects[name]
        return size, sorted(blocks), b"".join(blocks[number] for number in sorted(blocks))

    async def replace(
        self, pool: int, name: str, size: int, blocks: list[int], data: bytes, *, new: bool = False
    ) -> None:
        if not new or name not in self.objects:
            parts = {number: data[at * BLOCK : (at + 1) * BLOCK] for at, number in enumerate(blocks)}
            self.objects[name] = size, parts

    async def remove(self, pool: int, name: str) -> None:
        self.objects.pop(name, None)

    async def set(self, pool: int, name: str, values: dict[str, Any], *, new: tuple[str, ...] = ()) -> None:
        found = await self.fetch(pool, name)
        document = (json.loads(found[2][: found[0]]) if found else {}) | values
        text = json.dumps({key: value for key, value in document.items() if value is not None}).encode()
        blocks = list(range(-(-len(text) // BLOCK)))
        await self.replace(pool, name, len(text), blocks, text.ljust(len(blocks) * BLOCK, b"\0"))

    async def list(self, pool: int, prefix: str) -> dict[str, int]:
        return {name: len(blocks) * BLOCK for name, (_, blocks) in self.objects.items() if name.startswith(prefix)}


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def images(pool: Pool) -> Images:
    return Images(cast(Client, pool), 1)


async def make_base(images: Images) -> bytes:
    """An image with data in its first two objects, and a protected snapshot."""
    await images.create("base", SIZE, 0)
    content = bytearray(SIZE)
    for offset, size in PLACES[:5]:
        content[offset : offset + size] = b"b" * size
        await images.write(await images.open("base"), offset, b"b" * size)
    await images.snapshot("base", "s")
    await images.protect("base", "s", protected=True)
    return bytes(content)


async def content_of(images: Images, image: Image) -> bytes:
    # somebody else than who wrote
    return await Images(images.client, images.pool).read(image, 0, SIZE)


async def test_a_clone_takes_what_is_written_to_it(images: Images) -> None:
    base = await make_base(images)
    await images.clone("base", "s", "clone", 0)
    sizes = {image.name: used for image, used in await images.all()}
    assert (sizes["clone"], sizes["base"] > 0) == (0, True)
    clone = await images.open("clone")
    assert await content_of(images, clone) == base
    await images.write(clone, 100, b"c" * 10)
    expected = base[:100] + b"c" * 10 + base[110:]
    assert await content_of(images, clone) == expected
    assert await content_of(images, await images.open("base")) == base
    assert 0 < {image.name: used for image, used in await images.all()}["clone"] < sizes["base"]


async def test_a_copy_that_comes_late_undoes_nothing(images: Images, pool: Pool) -> None:
    await make_base(images)
    await images.clone("base", "s", "clone", 0)
    clone = await images.open("clone")
    below = await pool.fetch(1, data_of(clone.layers[0], 0))
    assert below is not None
    await images.write(clone, 0, b"written")
    await pool.replace(1, data_of(clone.id, 0), *below, new=True)
    assert (await content_of(images, clone)).startswith(b"written")


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_done_to_clones_they_hold_what_was_written(
    images: Images, pool: Pool, tmp_path: Path, seed: int
) -> None:
    """Writes, snapshots, rollbacks, clones of clones, files taken over, flattening: against plain bytes."""
    chance = random.Random(seed)
    base = await make_base(images)
    await images.clone("base", "s", "one", 0)
    held: dict[str, bytes] = {"base": base, "one": base}
    kept: dict[tuple[str, str], bytes] = {}
    for step in range(30):
        name = chance.choice([each for each in held if each != "base"])
        image = await images.open(name)
        match chance.choice(["write", "write", "write", "snapshot", "rollback", "take", "flatten", "clone"]):
            case "write":
                offset, size = chance.choice(PLACES)
                data = bytes([65 + step]) * min(size, SIZE - offset)
                await images.write(image, offset, data)
                held[name] = held[name][:offset] + data + held[name][offset + len(data) :]
            case "snapshot":
                await images.snapshot(name, f"s{step}")
                kept[name, f"s{step}"] = held[name]
            case "rollback" if any(each == name for each, _ in kept):
                snapshot = chance.choice([snapshot for each, snapshot in kept if each == name])
                await images.rollback(name, snapshot)
                held[name] = kept[name, snapshot]
            case "take":
                file = tmp_path / "file"
                offset, size = chance.choice(PLACES)
                with file.open("wb") as stream:
                    stream.truncate(SIZE)
                    stream.seek(offset)
                    stream.write(b"t" * min(size, SIZE - offset))
                await images.take(image, file)
                held[name] = file.read_bytes()
            case "flatten" if image.parent:
                await images.flatten(name)
            case "clone" if len(held) < 4:
                await images.snapshot(name, f"c{step}")
                await images.protect(name, f"c{step}", protected=True)
                kept[name, f"c{step}"] = held[name]
                await images.clone(name, f"c{step}", f"clone{step}", 0)
                held[f"clone{step}"] = held[name]
        # every time as another client: what one has found to be there, the next has to find
        images = Images(images.client, 1)
        for each, expected in held.items():
            assert await content_of(images, await images.open(each)) == expected, (step, each)
    for (name, snapshot), expected in kept.items():
        image = images.at(await images.open(name), snapshot)
        await images.export(image, tmp_path / "export")
        assert (tmp_path / "export").read_bytes() == expected


async def test_what_is_cut_off_does_not_come_back(images: Images) -> None:
    base = await make_base(images)
    await images.clone("base", "s", "clone", 0)
    await images.resize("clone", OBJECT)
    await images.resize("clone", SIZE)
    clone = await images.open("clone")
    assert await content_of(images, clone) == base[:OBJECT].ljust(SIZE, b"\0")
    assert clone.parent is not None
