# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse files: what they really occupy, and copies that keep the holes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from agentstack.clock import Clock

CHUNK = 1 << 20
"""Bytes read at once: small enough that a copy never holds much memory."""
_SETTLED = 1.0
"""Seconds after which no more writes can bear the same time as the last one: what was counted before may not hold."""
SHARED = 16 << 10
"""Bytes that two files have in common or not as a whole: a volume's block."""


def create(path: Path, size: int) -> None:
    """Make a file of `size` bytes that occupies nothing. FileExistsError if it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.truncate(size)


def allocated(path: Path) -> int:
    """Bytes that a file, or all files below a directory, really occupy."""
    if path.is_dir():
        return sum(os.lstat(entry).st_blocks * 512 for entry in path.rglob("*") if entry.is_file())
    return os.lstat(path).st_blocks * 512 if path.exists() else 0


def extents(path: Path, piece: int = CHUNK) -> Iterator[tuple[int, bytes]]:
    """The data of a file as (offset, bytes) pieces that end at multiples of `piece` bytes; holes are left out."""
    with path.open("rb", buffering=0) as file:
        end = os.fstat(file.fileno()).st_size
        position = 0
        while position < end:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:  # no data behind this position
                return
            stop = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            while start < stop:
                end_of_piece = min(start - start % piece + piece, stop)
                yield start, os.pread(file.fileno(), end_of_piece - start, start)
                start = end_of_piece
            position = stop


def copy(source: Path, target: Path) -> None:
    """Copy a file with its holes, replacing `target`, and put it on stable storage."""
    with target.open("wb") as file:
        file.truncate(source.stat().st_size)
        for offset, data in extents(source):
            os.pwrite(file.fileno(), data, offset)
        os.fsync(file.fileno())


def written(path: Path, origin: Path) -> int:
    """Bytes that a clone takes besides what it has in common with its origin: files, or directories of files.

    What both hold is counted by content, in blocks; of the files in directories, by size and time.
    """
    if path.is_dir():
        return sum(
            os.lstat(entry).st_blocks * 512
            for entry in path.rglob("*")
            if entry.is_file() and not _is_unchanged(entry, origin / entry.relative_to(path))
        )
    own, old = path.stat(), origin.stat()
    if Clock().now() - own.st_mtime < _SETTLED:
        return _unlike.__wrapped__(path, origin, ())
    return _unlike(path, origin, (own.st_mtime_ns, own.st_size, own.st_blocks, old.st_mtime_ns))


def _is_unchanged(path: Path, origin: Path) -> bool:
    if not origin.is_file():
        return False
    own, old = path.lstat(), origin.lstat()
    return (own.st_size, own.st_mtime_ns) == (old.st_size, old.st_mtime_ns)


@lru_cache(maxsize=1024)
def _unlike(path: Path, origin: Path, state: tuple[int, ...]) -> int:
    """Bytes of the blocks of a file that differ from another's; `state` changes when either does."""
    total = 0
    with origin.open("rb", buffering=0) as other:
        for offset, data in extents(path):
            there = os.pread(other.fileno(), len(data), offset).ljust(len(data), b"\0")
            if data != there:
                blocks = range(0, len(data), SHARED)
                total += sum(SHARED for at in blocks if data[at : at + SHARED] != there[at : at + SHARED])
    return total
