# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Garbage collection: mark the chunks that indexes name, sweep those unused for a day (facts §20.6)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentstack.pbs.chunks import BAD, DRAFT, GRACE, ChunkStore, MissingChunk
from agentstack.pbs.index import decode_index

STATUS = ".gc-status"


@dataclass
class Garbage:
    """What a collection found and did. `pending`: unused, but not for long enough; `disk`: left on disk, in use."""

    index_file_count: int = 0
    index_data_bytes: int = 0
    disk_bytes: int = 0
    disk_chunks: int = 0
    removed_bytes: int = 0
    removed_chunks: int = 0
    pending_bytes: int = 0
    pending_chunks: int = 0
    removed_bad: int = 0
    still_bad: int = 0
    missing_chunks: int = 0

    def to_json(self) -> dict[str, int]:
        """As the API names the figures."""
        found = {name.replace("_", "-"): value for name, value in asdict(self).items()}
        del found["missing-chunks"]
        return found

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Garbage:
        """Undo `to_json`."""
        return cls(**{name.replace("-", "_"): value for name, value in document.items()})


def collect(chunks: ChunkStore, indexes: Iterable[Path], now: float, writers: list[float]) -> Garbage:
    """Mark and sweep. `writers`: when each running backup began, in wall-clock seconds.

    Takes time in proportion to the entries of indexes and the chunks on disk, and memory to the chunks that are used.
    """
    found = Garbage()
    marked: set[bytes] = set()
    missing: set[bytes] = set()
    for path in indexes:
        try:
            index = decode_index(path.read_bytes())
        except FileNotFoundError:  # its snapshot has just been removed
            continue
        found.index_file_count += 1
        found.index_data_bytes += index.size
        for digest in set(index.digests) - marked - missing:
            try:
                chunks.touch(digest, now)
            except MissingChunk:
                missing.add(digest)
            else:
                marked.add(digest)
    found.missing_chunks = len(missing)
    oldest = min([now - GRACE, *writers])
    for entry in chunks.entries():
        _sweep(entry, found, now, oldest, chunks)
    return found


def _sweep(entry: os.DirEntry[str], found: Garbage, now: float, oldest: float, chunks: ChunkStore) -> None:
    if entry.name.endswith(BAD):
        # one that was set aside goes when the chunk has been stored anew
        if chunks.has(bytes.fromhex(entry.name.partition(".")[0])):
            os.unlink(entry.path)
            found.removed_bad += 1
        else:
            found.still_bad += 1
        return
    with chunks.lock:
        try:
            status = os.stat(entry.path)
        except FileNotFoundError:  # a draft that has got its name meanwhile
            return
        is_old = status.st_atime < oldest
        if is_old:
            os.unlink(entry.path)
    if entry.name.endswith(DRAFT):
        return
    if is_old:
        found.removed_chunks += 1
        found.removed_bytes += status.st_size
    # access times are kept in full precision, but not by every file system
    elif status.st_atime < now - 1:
        found.pending_chunks += 1
        found.pending_bytes += status.st_size
    else:
        found.disk_chunks += 1
        found.disk_bytes += status.st_size
