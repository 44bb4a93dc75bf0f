# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of block devices (rbd): striped into objects of 4 MiB, which CRUSH spreads over the OSDs.

Names of the objects are rbd's: `rbd_directory` (name -> id), `rbd_header.ID`, `rbd_data.ID.NUMBER`; a snapshot is a
copy of the data under an id of its own.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentstack.ceph.client import Client
from agentstack.ceph.objects import BLOCK
from agentstack.errors import AgentError
from agentstack.storage import sparse

ORDER = 22
OBJECT = 1 << ORDER
DIRECTORY = "rbd_directory"
_TOGETHER = 8
"""Requests that are under way at once when a whole image is copied."""

TEXTS = {
    "no_image": "rbd: error opening image {name}: (2) No such file or directory",
    "exists": "rbd: create error: (17) File exists",
    "no_snapshot": "rbd: failed to open snapshot {name}@{snapshot}: (2) No such file or directory",
    "snapshot_exists": "rbd: failed to create snapshot: (17) File exists",
    "in_use": "rbd: error: image still has watchers",
}


@dataclass(frozen=True)
class Image:
    """An image: `size` in bytes, `created` in seconds since the epoch, `snapshots`: name -> id and size of its data."""

    name: str
    id: str
    size: int
    created: int
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict, hash=False)


def header_of(ident: str) -> str:
    return f"rbd_header.{ident}"


def data_of(ident: str, number: int) -> str:
    return f"rbd_data.{ident}.{number:016x}"


class Images:
    """The images of one pool (by its id), through a client."""

    def __init__(self, client: Client, pool: int) -> None:
        self.client = client
        self.pool = pool

    async def _mapping(self, name: str) -> dict[str, Any]:
        found = await self.client.fetch(self.pool, name)
        if found is None:
            return {}
        document: dict[str, Any] = json.loads(found[2][: found[0]])
        return document

    async def names(self) -> dict[str, str]:
        """Name -> id of all images."""
        return await self._mapping(DIRECTORY)

    async def open(self, name: str) -> Image:
        """The image. Raises AgentError when there is none."""
        ident = (await self.names()).get(name)
        document = await self._mapping(header_of(ident)) if ident else {}
        if not document:
            raise AgentError(TEXTS["no_image"].format(name=name))
        return Image(**document)

    async def all(self) -> list[tuple[Image, int]]:
        """All images with the bytes that each takes."""
        names = await self.names()
        found = []
        taken = await self.client.list(self.pool, "rbd_data.") if names else {}
        for name, ident in sorted(names.items()):
            document = await self._mapping(header_of(ident))
            if document:
                ids = (ident, *(each["id"] for each in document["snapshots"].values()))
                used = sum(size for each, size in taken.items() if each.split(".")[1] in ids)
                found.append((Image(**{**document, "name": name}), used))
        return found

    async def create(self, name: str, size: int, created: int) -> None:
        """Make an image of zeros."""
        image = Image(name, secrets.token_hex(6), size, created)
        await self.client.set(self.pool, header_of(image.id), vars(image))
        try:
            await self.client.set(self.pool, DIRECTORY, {name: image.id}, new=(name,))
        except AgentError as error:
            await self.client.remove(self.pool, header_of(image.id))
            raise AgentError(TEXTS["exists"]) from error

    async def remove(self, name: str) -> None:
        """Remove an image with its snapshots."""
        image = await self.open(name)
        await self.client.set(self.pool, DIRECTORY, {name: None})
        for ident in (image.id, *(each["id"] for each in image.snapshots.values())):
            await self._drop(ident)
        await self.client.remove(self.pool, header_of(image.id))

    async def _drop(self, ident: str, *, behind: int = 0) -> None:
        for name in await self.client.list(self.pool, f"rbd_data.{ident}."):
            if int(name.rpartition(".")[2], 16) * OBJECT >= behind:
                await self.client.remove(self.pool, name)

    async def resize(self, name: str, size: int) -> None:
        """Set an image's size."""
        image = await self.open(name)
        await self.client.set(self.pool, header_of(image.id), {"size": size})
        if size < image.size:
            await self._drop(image.id, behind=size)

    # --- data -----------------------------------------------------------------------------------------------------

    async def read(self, image: Image, offset: int, length: int) -> bytes:
        """Bytes of an image; as many as there are before its end."""
        parts = [
            await self.client.read(self.pool, data_of(image.id, number), start, count)
            for number, start, count in pieces(offset, min(length, max(0, image.size - offset)))
        ]
        return b"".join(parts)

    async def write(self, image: Image, offset: int, data: bytes) -> None:
        """Write into an image; returns when every copy has it."""
        at = 0
        for number, start, count in pieces(offset, len(data)):
            await self.client.write(self.pool, data_of(image.id, number), start, data[at : at + count])
            at += count

    async def export(self, image: Image, target: Path) -> None:
        """Write an image's content into a sparse file, in place of what the file holds."""
        with target.open("wb") as file:
            file.truncate(image.size)
            for name in sorted(await self.client.list(self.pool, f"rbd_data.{image.id}.")):
                found = await self.client.fetch(self.pool, name)
                base = int(name.rpartition(".")[2], 16) * OBJECT
                for at, number in enumerate(found[1] if found else ()):
                    file.seek(base + number * BLOCK)
                    file.write(found[2][at * BLOCK : (at + 1) * BLOCK] if found else b"")
            file.truncate(image.size)

    async def take(self, image: Image, source: Path) -> None:
        """Give an image the content of a sparse file."""
        present = set(await self.client.list(self.pool, f"rbd_data.{image.id}."))
        objects: dict[int, dict[int, bytes]] = {}
        for offset, data in sparse.extents(source):
            for start in range(offset - offset % BLOCK, offset + len(data), BLOCK):
                number, block = divmod(start // BLOCK, OBJECT // BLOCK)
                objects.setdefault(number, {}).setdefault(block, b"")
        slots = asyncio.Semaphore(_TOGETHER)

        async def put(number: int) -> None:
            async with slots:
                blocks = dict(_blocks(source, number, sorted(objects[number])))
                size = min(OBJECT, image.size - number * OBJECT)
                content = b"".join(blocks.values())
                await self.client.replace(self.pool, data_of(image.id, number), size, list(blocks), content)

        await asyncio.gather(*(put(number) for number in objects))
        for name in present - {data_of(image.id, number) for number in objects}:
            await self.client.remove(self.pool, name)

    # --- snapshots ------------------------------------------------------------------------------------------------

    async def snapshot(self, name: str, snapshot: str) -> None:
        """Keep the present content of an image."""
        image = await self.open(name)
        if snapshot in image.snapshots:
            raise AgentError(TEXTS["snapshot_exists"])
        ident = f"{image.id}-{secrets.token_hex(3)}"
        await self._copy(image.id, ident)
        kept = {**image.snapshots, snapshot: {"id": ident, "size": image.size}}
        await self.client.set(self.pool, header_of(image.id), {"snapshots": kept})

    async def rollback(self, name: str, snapshot: str) -> None:
        """Bring an image back to a snapshot."""
        image = await self.open(name)
        kept = self._snapshot(image, snapshot)
        await self._drop(image.id)
        await self._copy(kept["id"], image.id)
        await self.client.set(self.pool, header_of(image.id), {"size": kept["size"]})

    async def delete_snapshot(self, name: str, snapshot: str) -> None:
        """Forget a snapshot; one that does not exist is no error."""
        image = await self.open(name)
        kept = image.snapshots.get(snapshot)
        if kept is not None:
            rest = {each: value for each, value in image.snapshots.items() if each != snapshot}
            await self.client.set(self.pool, header_of(image.id), {"snapshots": rest})
            await self._drop(kept["id"])

    def at(self, image: Image, snapshot: str) -> Image:
        """The image as it was, to be read only."""
        kept = self._snapshot(image, snapshot)
        return Image(image.name, kept["id"], kept["size"], image.created)

    def _snapshot(self, image: Image, snapshot: str) -> dict[str, Any]:
        if snapshot not in image.snapshots:
            raise AgentError(TEXTS["no_snapshot"].format(name=image.name, snapshot=snapshot))
        return image.snapshots[snapshot]

    async def _copy(self, source: str, target: str) -> None:
        for name in await self.client.list(self.pool, f"rbd_data.{source}."):
            found = await self.client.fetch(self.pool, name)
            if found is not None:
                await self.client.replace(self.pool, data_of(target, int(name.rpartition(".")[2], 16)), *found)


def pieces(offset: int, length: int) -> Iterator[tuple[int, int, int]]:
    """(object, offset in it, length) of a range of an image."""
    while length > 0:
        number, start = divmod(offset, OBJECT)
        count = min(length, OBJECT - start)
        yield number, start, count
        offset, length = offset + count, length - count


def _blocks(source: Path, number: int, wanted: list[int]) -> Iterator[tuple[int, bytes]]:
    with source.open("rb") as file:
        for block in wanted:
            file.seek(number * OBJECT + block * BLOCK)
            data = file.read(BLOCK)
            if any(data):
                yield block, data.ljust(BLOCK, b"\0")
