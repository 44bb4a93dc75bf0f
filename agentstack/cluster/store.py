# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of /etc/pve on disk: sqlite with a write-ahead log, synchronised before a commit returns."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from agentstack.cluster.tree import LOCKS, Entry, Tree

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tree (
    path TEXT PRIMARY KEY, data BLOB, version INTEGER NOT NULL, writer INTEGER NOT NULL, mtime INTEGER NOT NULL,
    owner TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

_PUT = "INSERT OR REPLACE INTO tree VALUES (?, ?, ?, ?, ?, ?)"


class Store:
    """A tree and the database that it survives in (`ROOT/var/lib/pve-cluster/config.db`)."""

    def __init__(self, path: Path) -> None:
        """Open the database, make it if there is none, and read the tree."""
        self.path = path
        self.tree = Tree()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._waits = True
        self._database.executescript(_SCHEMA)
        rows = [
            (row[0], Entry(*row[1:]))
            for row in self._database.execute("SELECT path, data, version, writer, mtime, owner FROM tree")
        ]
        state = dict(self._database.execute("SELECT name, value FROM state"))
        self.tree.restore(rows, state.get("version", 0), state.get("epoch", 0))

    def commit(self, changes: Mapping[str, Entry | None]) -> None:
        """Make the tree's changes since the last commit durable, all or nothing.

        Locks alone are not waited for: the next file that is written takes them along to the disk, and a lock that
        comes back after a power failure expires.
        """
        self._wait_for_disk(any(not path.startswith(f"{LOCKS}/") for path in changes))
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "DELETE FROM tree WHERE path = ?", [(path,) for path, entry in changes.items() if entry is None]
            )
            self._database.executemany(
                _PUT, [_row(path, entry) for path, entry in changes.items() if entry is not None]
            )
            self._keep_state()

    def replace(self) -> None:
        """Make the tree durable as a whole, in place of everything before."""
        self._wait_for_disk(True)
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM tree")
            self._database.executemany(_PUT, [_row(path, entry) for path, entry in self.tree.walk()])
            self._keep_state()

    def _wait_for_disk(self, wait: bool) -> None:
        if wait != self._waits:
            self._database.execute(f"PRAGMA synchronous={'FULL' if wait else 'OFF'}")
            self._waits = wait

    def _keep_state(self) -> None:
        state = {"version": self.tree.version, "epoch": self.tree.epoch}
        self._database.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())

    def close(self) -> None:
        self._database.close()

    def back_up(self, target: Path) -> None:
        """Write the database as gzipped SQL, as a joining node does with the one it gives up."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(target, "wt") as stream:
            stream.writelines(f"{line}\n" for line in self._database.iterdump())

    def delete(self) -> None:
        """Close the database and remove its files."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _row(path: str, entry: Entry) -> tuple[str, bytes | None, int, int, int, str]:
    return path, entry.data, entry.version, entry.writer, entry.mtime, entry.owner
