# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup reads: a guest's configuration and its disks, all as of one instant."""

from __future__ import annotations

import asyncio
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.guests.config import LXC, Place
from agentstack.storage import sparse

if TYPE_CHECKING:
    from agentstack.host import Host

TEMPORARY = "var/tmp"


@dataclass(frozen=True)
class Image:
    """A disk to be backed up. `key` is its name in the configuration, `size` in bytes; `path` holds the bytes."""

    key: str
    volume: str
    size: int
    path: Path


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
async def copied(host: Host, guest: Guest) -> AsyncIterator[Guest]:
    """The guest with copies of its disks, which are gone afterwards."""
    folder = host.root / TEMPORARY / f"vzdumptmp{guest.place.vmid}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        images = []
        for image in guest.images:
            copy = folder / image.key
            await asyncio.to_thread(_copy, guest.place, image.path, copy)
            size = copy.stat().st_size if image.path.is_dir() else image.size
            images.append(Image(image.key, image.volume, size, copy))
        yield Guest(guest.place, guest.name, guest.config, tuple(images))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(place: Place, source: Path, target: Path) -> None:
    if place.kind is LXC and source.is_dir():
        with tarfile.open(target, "w") as archive:
            archive.add(source, arcname=".")
    else:
        sparse.copy(source, target)
