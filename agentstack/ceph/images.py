# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of block devices (rbd): striped into objects of 4 MiB, which CRUSH spreads over the OSDs.

Names of the objects are rbd's: `rbd_directory` (name -> id), `rbd_header.ID`, `rbd_data.ID.NUMBER`; a snapshot is a
copy of the data under an id of its own. A clone says whose it is, and has the objects that were written to: what it has
not is read from the snapshot that it was made of, and copied before it is written to (docs.ceph.com, "Layering"). What
depends on what is as in rbd: a snapshot that has clones is protected, and an image with snapshots is not removed.
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
    "protected": "rbd: snapshot '{snapshot}' is protected from removal.",
    "unprotected": "rbd: clone error: (22) Invalid argument",
    "children": "rbd: unprotecting snap failed: (16) Device or resource busy",
    "has_snapshots": "rbd: image has snapshots - these must be deleted with 'rbd snap purge' before the image can be"
    " removed.",
    "no_parent": "rbd: flatten error: (22) Invalid argument",
}


@dataclass(frozen=True)
class Image:
    """An image: `size` in bytes, `created` in seconds since the epoch, `snapshots`: name -> id and size of its data.

    A snapshot may be `protected`. `parent`: what the image is a clone of: image, its id, snapshot, overlap in bytes.
    `layers`: ids of the data that objects are read from which the image has not, nearest first; snapshots have theirs.
    """

    name: str
    id: str
    size: int
    created: int
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict, hash=False)
    parent: dict[str, Any] | None = field(default=None, hash=False)
    layers: list[str] = field(default_factory=list, hash=False)


def header_of(ident: str) -> str:
    return f"rbd_header.{ident}"


def data_of(ident: str, number: int) -> str:
    return f"rbd_data.{ident}.{number:016x}"


class Images:
    """The images of one pool (by its id), through a client."""

    def __init__(self, client: Client, pool: int) -> None:
        self.client = client
        self.pool = pool
        self._present: set[str] = set()
        """Objects of clones that were found to be there. They stay, as long as somebody works on the image."""

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
        images = await self._every()
        taken = await self.client.list(self.pool, "rbd_data.") if images else {}
        found = []
        for image in images:
            ids = (image.id, *(each["id"] for each in image.snapshots.values()))
            found.append((image, sum(size for each, size in taken.items() if each.split(".")[1] in ids)))
        return found

    async def _every(self) -> list[Image]:
        headers = {name: await self._mapping(header_of(ident)) for name, ident in sorted((await self.names()).items())}
        return [Image(**{**document, "name": name}) for name, document in headers.items() if document]

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
        """Remove an image that has no snapshots."""
        image = await self.open(name)
        if image.snapshots:
            raise AgentError(TEXTS["has_snapshots"])
        await self.client.set(self.pool, DIRECTORY, {name: None})
        await self._drop(image.id)
        await self.client.remove(self.pool, header_of(image.id))

    async def rename(self, name: str, new: str) -> None:
        """Give an image another name."""
        image = await self.open(name)
        try:
            await self.client.set(self.pool, DIRECTORY, {new: image.id, name: None}, new=(new,))
        except AgentError as error:
            raise AgentError(TEXTS["exists"]) from error
        await self.client.set(self.pool, header_of(image.id), {"name": new})

    async def _drop(self, ident: str, *, behind: int = 0) -> None:
        for name in await self.client.list(self.pool, f"rbd_data.{ident}."):
            if int(name.rpartition(".")[2], 16) * OBJECT >= behind:
                await self.client.remove(self.pool, name)

    async def resize(self, name: str, size: int) -> None:
        """Set an image's size."""
        image = await self.open(name)
        if size < image.size and image.layers:
            # what is cut off must not come back from below
            await self._fill(image.id, image.layers)
            await self.client.set(self.pool, header_of(image.id), {"layers": []})
        await self.client.set(self.pool, header_of(image.id), {"size": size})
        if size < image.size:
            await self._drop(image.id, behind=size)

    # --- data -----------------------------------------------------------------------------------------------------

    async def read(self, image: Image, offset: int, length: int) -> bytes:
        """Bytes of an image; as many as there are before its end."""
        parts = [
            await self.client.read(self.pool, await self._source(image, number), start, count)
            for number, start, count in pieces(offset, min(length, max(0, image.size - offset)))
        ]
        return b"".join(parts)

    async def write(self, image: Image, offset: int, data: bytes) -> None:
        """Write into an image; returns when every copy has it."""
        at = 0
        for number, start, count in pieces(offset, len(data)):
            if image.layers:
                await self._copy_up(image.id, image.layers, number)
            await self.client.write(self.pool, data_of(image.id, number), start, data[at : at + count])
            at += count

    async def export(self, image: Image, target: Path) -> None:
        """Write an image's content into a sparse file, in place of what the file holds."""
        with target.open("wb") as file:
            file.truncate(image.size)
            held: dict[int, str] = {}
            for ident in (*reversed(image.layers), image.id):
                held |= await self._numbers(ident)
            for number, name in sorted(held.items()):
                found = await self.client.fetch(self.pool, name)
                base = number * OBJECT
                for at, block in enumerate(found[1] if found else ()):
                    file.seek(base + block * BLOCK)
                    file.write(found[2][at * BLOCK : (at + 1) * BLOCK] if found else b"")
            file.truncate(image.size)

    async def take(self, image: Image, source: Path) -> None:
        """Give an image the content of a sparse file."""
        present = await self._numbers(image.id)
        below = {number for ident in image.layers for number in await self._numbers(ident)}
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
        for number in (present.keys() | below) - objects.keys():
            if number in below:
                # an object of nothing, or what lies below would be seen
                await self.client.replace(self.pool, data_of(image.id, number), OBJECT, [], b"")
            else:
                await self.client.remove(self.pool, present[number])

    # --- layers ---------------------------------------------------------------------------------------------------

    async def _numbers(self, ident: str) -> dict[int, str]:
        """The objects that an image or a snapshot has itself, by number."""
        return {
            int(name.rpartition(".")[2], 16): name for name in await self.client.list(self.pool, f"rbd_data.{ident}.")
        }

    async def _source(self, image: Image, number: int) -> str:
        """The object that holds a part of an image."""
        idents = (image.id, *image.layers)
        for ident in idents[:-1]:
            name = data_of(ident, number)
            if name in self._present or await self.client.fetch(self.pool, name) is not None:
                self._present.add(name)
                return name
        return data_of(idents[-1], number)

    async def _copy_up(self, ident: str, layers: list[str], number: int) -> None:
        """Give an image an object of its own, with the content that it is read with."""
        name = data_of(ident, number)
        if name in self._present:
            return
        if await self.client.fetch(self.pool, name) is None:
            for layer in layers:
                if (found := await self.client.fetch(self.pool, data_of(layer, number))) is not None:
                    # a request that comes late must not undo what was written after another had done it
                    await self.client.replace(self.pool, name, *found, new=True)
                    break
            else:
                return
        self._present.add(name)

    async def _fill(self, ident: str, layers: list[str]) -> None:
        """Copy all that lies below."""
        for number in sorted({number for layer in layers for number in await self._numbers(layer)}):
            await self._copy_up(ident, layers, number)

    # --- snapshots ------------------------------------------------------------------------------------------------

    async def snapshot(self, name: str, snapshot: str) -> None:
        """Keep the present content of an image."""
        image = await self.open(name)
        if snapshot in image.snapshots:
            raise AgentError(TEXTS["snapshot_exists"])
        ident = f"{image.id}-{secrets.token_hex(3)}"
        await self._copy(image.id, ident)
        found = {"id": ident, "size": image.size, **({"layers": image.layers} if image.layers else {})}
        kept = {**image.snapshots, snapshot: found}
        await self.client.set(self.pool, header_of(image.id), {"snapshots": kept})

    async def rollback(self, name: str, snapshot: str) -> None:
        """Bring an image back to a snapshot."""
        image = await self.open(name)
        kept = self._snapshot(image, snapshot)
        await self._drop(image.id)
        await self._copy(kept["id"], image.id)
        values = {"size": kept["size"], "layers": kept.get("layers", [])}
        await self.client.set(self.pool, header_of(image.id), values)

    async def delete_snapshot(self, name: str, snapshot: str) -> None:
        """Forget a snapshot; one that does not exist is no error. Raises AgentError for a protected one."""
        image = await self.open(name)
        kept = image.snapshots.get(snapshot)
        if kept is not None:
            if kept.get("protected"):
                raise AgentError(TEXTS["protected"].format(snapshot=snapshot))
            rest = {each: value for each, value in image.snapshots.items() if each != snapshot}
            await self.client.set(self.pool, header_of(image.id), {"snapshots": rest})
            await self._drop(kept["id"])

    async def protect(self, name: str, snapshot: str, *, protected: bool) -> None:
        """Allow clones of a snapshot, or no more. Raises AgentError when there are some."""
        image = await self.open(name)
        kept = self._snapshot(image, snapshot)
        if not protected and await self.children(name, snapshot):
            raise AgentError(TEXTS["children"])
        await self.client.set(
            self.pool,
            header_of(image.id),
            {"snapshots": {**image.snapshots, snapshot: {**kept, "protected": protected}}},
        )

    async def clone(self, name: str, snapshot: str, new: str, created: int) -> None:
        """Make an image that begins as a protected snapshot of another."""
        image = await self.open(name)
        kept = self._snapshot(image, snapshot)
        if not kept.get("protected"):
            raise AgentError(TEXTS["unprotected"])
        await self.create(new, kept["size"], created)
        clone = await self.open(new)
        parent = {"image": name, "id": image.id, "snapshot": snapshot, "overlap": kept["size"]}
        layers = [kept["id"], *kept.get("layers", [])]
        await self.client.set(self.pool, header_of(clone.id), {"parent": parent, "layers": layers})

    async def children(self, name: str, snapshot: str | None = None) -> list[str]:
        """Names of the clones of an image, or of one of its snapshots."""
        ident = (await self.open(name)).id
        return [
            image.name
            for image in await self._every()
            if image.parent and image.parent["id"] == ident and snapshot in (None, image.parent["snapshot"])
        ]

    async def flatten(self, name: str) -> None:
        """Make a clone an image of its own."""
        image = await self.open(name)
        if image.parent is None:
            raise AgentError(TEXTS["no_parent"])
        kept = image.snapshots
        for ident, layers in (
            (image.id, image.layers),
            *((each["id"], each.get("layers", [])) for each in kept.values()),
        ):
            await self._fill(ident, layers)
        whole = {snapshot: {**each, "layers": []} for snapshot, each in kept.items()}
        await self.client.set(self.pool, header_of(image.id), {"parent": None, "layers": [], "snapshots": whole})

    async def purge(self, name: str) -> None:
        """Forget all snapshots of an image. Raises AgentError if one of them is protected."""
        for snapshot in (await self.open(name)).snapshots:
            await self.delete_snapshot(name, snapshot)

    def at(self, image: Image, snapshot: str) -> Image:
        """The image as it was, to be read only."""
        kept = self._snapshot(image, snapshot)
        return Image(image.name, kept["id"], kept["size"], image.created, layers=kept.get("layers", []))

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
