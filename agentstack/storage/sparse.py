# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse files: what they really occupy, and copies that keep the holes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 20
"""Bytes read at once: small enough that a copy never holds much memory."""


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
