# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup reads: a guest's configuration and its disks, all as of one instant."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.backup import files
from agentstack.backup.exclude import Excludes
from agentstack.guests.config import LXC, Place
from agentstack.pbs.index import CHUNK_SIZE
from agentstack.storage import sparse

if TYPE_CHECKING:
    from agentstack.host import Host

TEMPORARY = "var/tmp"
STREAM = "root"
"""What the files of a container are called in place of a disk's key."""


@dataclass(frozen=True)
class Image:
    """A disk to be backed up. `key` is its name in the configuration, `size` in bytes; `path` holds the bytes."""

    key: str
    volume: str
    size: int
    path: Path
    point: str = "/"
    """Where a container mounts it."""
    dirty: frozenset[int] | None = None
    """The chunks that were written since the last backup, where a bitmap tells."""


@dataclass(frozen=True)
class Guest:
    """A guest to be backed up. `config` is the text that goes into the backup."""

    place: Place
    name: str
    config: str
    images: tuple[Image, ...]


def pieces(image: Image, size: int) -> Iterator[bytes | None]:
    """A disk in pieces of `size` bytes (the last may be shorter); None for one of nothing but zeros."""
    zeros = memoryview(bytes(size))
    with image.path.open("rb", buffering=0) as file:
        data = _next_data(file.fileno(), 0)
        for start in range(0, image.size, size):
            end = min(start + size, image.size)
            if data is not None and data < start:
                data = _next_data(file.fileno(), start)
            if data is None or data >= end:
                yield None
                continue
            piece = os.pread(file.fileno(), end - start, start).ljust(end - start, b"\0")
            yield None if piece == zeros[: len(piece)] else piece


def _next_data(descriptor: int, position: int) -> int | None:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError:  # nothing but holes from here on
        return None


@asynccontextmanager
async def copied(host: Host, guest: Guest, excludes: Excludes) -> AsyncIterator[Guest]:
    """The guest with copies of its disks, which are gone afterwards; a container's are one stream of files.

    `excludes` says which of these files are left out. Of a disk with `dirty` chunks only those are copied.
    """
    folder = host.root / TEMPORARY / f"vzdumptmp{guest.place.vmid}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # where a storage keeps no files, a path is a copy of the volume as it is when the path is asked for
    now = [replace(image, path=host.storage.path(image.volume)) for image in guest.images]
    try:
        if guest.place.kind is LXC:
            stream = folder / STREAM
            await asyncio.to_thread(files.pack, stream, [(image.point, image.path) for image in now], excludes)
            images = [Image(STREAM, "", stream.stat().st_size, stream)]
        else:
            for image in guest.images:
                # what lies on other hosts is fetched as it is at this moment
                host.storage.path(image.volume)
            images = [await asyncio.to_thread(_copy, image, folder / image.key) for image in now]
        yield replace(guest, images=tuple(images))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(image: Image, target: Path) -> Image:
    if image.dirty is None:
        sparse.copy(image.path, target)
    else:
        with image.path.open("rb", buffering=0) as source, target.open("wb") as file:
            file.truncate(image.size)
            for number in sorted(image.dirty):
                start = number * CHUNK_SIZE
                os.pwrite(file.fileno(), os.pread(source.fileno(), CHUNK_SIZE, start), start)
    return replace(image, path=target)
