# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Garbage collection: mark the chunks that indexes name, sweep those unused for a day (facts §20.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentstack.pbs.chunks import GRACE, ChunkStore
from agentstack.pbs.index import FixedIndex

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
    """Mark and sweep. `writers`: when each running backup began, in wall-clock seconds."""
    found = Garbage()
    for path in indexes:
        try:
            index = FixedIndex.decode(path.read_bytes())
        except FileNotFoundError:  # its snapshot has just been removed
            continue
        found.index_file_count += 1
        found.index_data_bytes += index.size
        for digest in set(index.digests):
            if chunks.has(digest):
                chunks.touch(digest, now)
            else:
                found.missing_chunks += 1
    oldest = min([now - GRACE, *writers])
    for path in chunks.files():
        _sweep(path, found, now, oldest, chunks)
    return found


def _sweep(path: Path, found: Garbage, now: float, oldest: float, chunks: ChunkStore) -> None:
    status = path.stat()
    if path.suffix == ".bad":
        # one that was set aside goes when the chunk has been stored anew
        if chunks.has(bytes.fromhex(path.name.partition(".")[0])):
            path.unlink()
            found.removed_bad += 1
        else:
            found.still_bad += 1
    elif status.st_atime < oldest:
        path.unlink()
        found.removed_chunks += 1
        found.removed_bytes += status.st_size
    # access times are kept in full precision, but not by every file system
    elif status.st_atime < now - 1:
        found.pending_chunks += 1
        found.pending_bytes += status.st_size
    else:
        found.disk_chunks += 1
        found.disk_bytes += status.st_size
