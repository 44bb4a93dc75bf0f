# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one OSD keeps: objects in blocks of 4 KiB, each change with the object's new version in one durable transaction.

An object is `(pool, name)`; `hash` is the number from which its placement group follows, `version` tells two states of
an object apart and has no order.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agentstack.ceph.crush import stable_mod

T = TypeVar("T")

BLOCK = 4096

_SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
    pool INTEGER NOT NULL, name TEXT NOT NULL, hash INTEGER NOT NULL, version TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (pool, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (
    pool INTEGER NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL,
    UNIQUE (pool, name, number)
);
"""

_PUT_OBJECT = "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?)"
_PUT_BLOCK = "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?)"


@dataclass(frozen=True)
class Whole:
    """A whole object: `blocks` are (number, 4096 bytes), holes left out."""

    hash: int
    version: str
    size: int
    blocks: tuple[tuple[int, bytes], ...]


class ObjectStore:
    """The objects of one OSD in the file `path`. Not for two threads at once: `run` uses one of its own."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"osd-{path.stem[:8]}")
        self._closed = False
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file, when everything that was begun has ended."""
        self._closed = True
        self._executor.shutdown()
        self._database.close()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a method of this class in the store's thread. OSError once it is closed."""
        if self._closed:
            raise OSError(f"{self.path.name} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, self, *args)

    def inventory(self, pool: int, pg_num: int, seeds: Collection[int]) -> dict[int, dict[str, str]]:
        """Placement group -> object -> version, of the groups that are asked for."""
        mask = (1 << (pg_num - 1).bit_length()) - 1
        found: dict[int, dict[str, str]] = {seed: {} for seed in seeds}
        for name, number, version in self._database.execute(
            "SELECT name, hash, version FROM object WHERE pool = ?", (pool,)
        ):
            group = found.get(stable_mod(number, pg_num, mask))
            if group is not None:
                group[name] = version
        return found

    def sizes(self) -> Iterable[tuple[int, str, int, int]]:
        """(pool, name, hash, bytes that are really taken) of every object."""
        return self._database.execute(
            "SELECT o.pool, o.name, o.hash, (SELECT COUNT(*) FROM block b WHERE b.pool = o.pool AND b.name = o.name)"
            f" * {BLOCK} FROM object o"
        ).fetchall()

    def exists(self, pool: int, name: str) -> bool:
        """Tell whether there is such an object."""
        row = self._database.execute("SELECT 1 FROM object WHERE pool = ? AND name = ?", (pool, name)).fetchone()
        return row is not None

    def read(self, pool: int, name: str, offset: int, length: int) -> bytes:
        """Bytes of an object; what was never written is zero, also in an object that does not exist."""
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        data = bytearray((last - first + 1) * BLOCK)
        rows = self._database.execute(
            "SELECT number, data FROM block WHERE pool = ? AND name = ? AND number BETWEEN ? AND ?",
            (pool, name, first, last),
        )
        for number, content in rows:
            data[(number - first) * BLOCK : (number - first + 1) * BLOCK] = content
        return bytes(data[offset - first * BLOCK :][:length])

    def whole(self, pool: int, name: str) -> Whole | None:
        """The object, None if there is none."""
        row = self._database.execute(
            "SELECT hash, version, size FROM object WHERE pool = ? AND name = ?", (pool, name)
        ).fetchone()
        if row is None:
            return None
        blocks = self._database.execute(
            "SELECT number, data FROM block WHERE pool = ? AND name = ? ORDER BY number", (pool, name)
        )
        return Whole(row[0], row[1], row[2], tuple(blocks))

    def write(self, pool: int, name: str, number: int, version: str, offset: int, data: bytes) -> None:
        """Write a part of an object; `number` is its hash."""
        first, last = offset // BLOCK, (offset + len(data) - 1) // BLOCK
        content = bytearray(self.read(pool, name, first * BLOCK, (last - first + 1) * BLOCK))
        start = offset - first * BLOCK
        content[start : start + len(data)] = data
        row = self._database.execute("SELECT size FROM object WHERE pool = ? AND name = ?", (pool, name)).fetchone()
        size = max(row[0] if row else 0, offset + len(data))
        blocks = ((first + at // BLOCK, bytes(content[at : at + BLOCK])) for at in range(0, len(content), BLOCK))
        self._put(pool, name, (number, version, size), blocks)

    def put(self, pool: int, name: str, whole: Whole) -> None:
        """Have exactly this object."""
        self._put(pool, name, (whole.hash, whole.version, whole.size), whole.blocks, anew=True)

    def _put(
        self,
        pool: int,
        name: str,
        state: tuple[int, str, int],
        blocks: Iterable[tuple[int, bytes]],
        *,
        anew: bool = False,
    ) -> None:
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if anew:
                self._database.execute("DELETE FROM block WHERE pool = ? AND name = ?", (pool, name))
            self._database.execute(_PUT_OBJECT, (pool, name, *state))
            self._database.executemany(_PUT_BLOCK, ((pool, name, *block) for block in blocks))

    def remove(self, pool: int, name: str) -> None:
        """Have no such object."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM object WHERE pool = ? AND name = ?", (pool, name))
            self._database.execute("DELETE FROM block WHERE pool = ? AND name = ?", (pool, name))

    def keep_pools(self, pools: Collection[int]) -> None:
        """Forget the objects of all other pools."""
        present = {row[0] for row in self._database.execute("SELECT DISTINCT pool FROM object")}
        for gone in present - set(pools):
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("DELETE FROM object WHERE pool = ?", (gone,))
                self._database.execute("DELETE FROM block WHERE pool = ?", (gone,))
