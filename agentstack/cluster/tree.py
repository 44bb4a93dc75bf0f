# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of /etc/pve in memory, and the operations on it. Deterministic: the same operations in the same order
give the same tree on every host, whatever its clock says."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import posixpath
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Operation = dict[str, Any]
"""`op` and its arguments; `writer` (node id) and `mtime` (epoch seconds) come from the host that proposes it."""

MAX_FILE = 1024 * 1024
"""Bytes a single file may have."""
MAX_TOTAL = 128 * 1024 * 1024

LOCKS = "priv/lock"

_GUEST = re.compile(r"nodes/([^/]+)/(qemu-server|lxc)/([1-9][0-9]{2,8})\.conf")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or (with `data` None) a directory. `version`: the tree's version when it was last changed."""

    data: bytes | None
    version: int
    writer: int
    mtime: int
    owner: str = ""
    """Of a lock's directory: who holds it."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest by its configuration file. `type`: qemu or lxc."""

    node: str
    type: str
    version: int


def guest_of(path: str) -> tuple[int, str, str] | None:
    """(vmid, node, type) if the path is a guest's configuration file."""
    match = _GUEST.fullmatch(path)
    if match is None:
        return None
    return int(match[3]), match[1], "qemu" if match[2] == "qemu-server" else "lxc"


class Tree:
    """Paths are relative to /etc/pve, without links, with `""` as the root."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.children: dict[str, set[str]] = {"": set()}
        self.guests: dict[int, Guest] = {}
        self.version = 0
        self.epoch = 0
        """Ring sequence of the membership in which the last change was made: newer memberships win over older ones,
        however many changes the older ones made."""
        self.size = 0
        self._digest = 0

    @property
    def digest(self) -> str:
        """Equal for equal contents."""
        return f"{self._digest:064x}"

    def is_directory(self, path: str) -> bool:
        return path in self.children

    def walk(self, path: str = "") -> Iterator[tuple[str, Entry]]:
        """All entries below a path, parents before children."""
        for name in sorted(self.children.get(path, ())):
            child = posixpath.join(path, name)
            yield child, self.entries[child]
            yield from self.walk(child)

    def apply(self, operation: Operation, data: bytes) -> dict[str, Entry | None]:
        """Carry out one operation; gives the changed entries (None: gone). Raises OSError as a file system does."""
        before = self.version
        self.version += 1
        changes: dict[str, Entry | None] = {}
        try:
            match operation["op"]:
                case "write":
                    self._write(operation, data, changes)
                case "mkdir":
                    self._mkdir(operation, changes)
                case "delete":
                    self._delete(operation["path"], changes)
                case "rename":
                    self._rename(operation["path"], operation["to"], changes)
                case "lock":
                    self._lock(operation, changes)
                case "unlock":
                    self._unlock(operation, changes)
                case unknown:
                    raise ValueError(f"unknown operation {unknown!r}")
        except OSError:
            self.version = before
            raise
        if not changes:
            self.version = before
        return changes

    def _entry(self, operation: Operation, data: bytes | None, owner: str = "") -> Entry:
        return Entry(data, self.version, int(operation["writer"]), int(operation["mtime"]), owner)

    def _write(self, operation: Operation, data: bytes, changes: dict[str, Entry | None]) -> None:
        path: str = operation["path"]
        if path in self.children:
            raise _error(errno.EISDIR, path)
        if operation.get("exclusive") and path in self.entries:
            raise _error(errno.EEXIST, path)
        old = self.entries.get(path)
        if len(data) > MAX_FILE:
            raise _error(errno.EFBIG, path)
        if self.size + len(data) - (len(old.data or b"") if old else 0) > MAX_TOTAL:
            raise _error(errno.ENOSPC, path)
        self._check_parent(path)
        self._check_guest(path)
        self._put(path, self._entry(operation, data), changes)

    def _mkdir(self, operation: Operation, changes: dict[str, Entry | None]) -> None:
        path: str = operation["path"]
        if path in self.entries or not path:
            raise _error(errno.EEXIST, path)
        self._check_parent(path)
        self._put(path, self._entry(operation, None), changes)

    def _delete(self, path: str, changes: dict[str, Entry | None]) -> None:
        if path not in self.entries:
            raise _error(errno.ENOENT, path)
        if self.children.get(path):
            raise _error(errno.ENOTEMPTY, path)
        self._drop(path, changes)

    def _rename(self, path: str, to: str, changes: dict[str, Entry | None]) -> None:
        entry = self.entries.get(path)
        if entry is None:
            raise _error(errno.ENOENT, path)
        if path == to:
            return
        if to.startswith(f"{path}/"):
            raise _error(errno.EINVAL, to)
        self._check_parent(to)
        if (to in self.children) != (path in self.children) and to in self.entries:
            raise _error(errno.EISDIR if to in self.children else errno.ENOTDIR, to)
        if self.children.get(to):
            raise _error(errno.ENOTEMPTY, to)
        self._check_guest(to, moved_from=path)
        moved = [(path, entry), *self.walk(path)]
        for old, _ in reversed(moved):
            self._drop(old, changes)
        for old, item in moved:
            renewed = Entry(item.data, self.version, item.writer, item.mtime, item.owner)
            self._put(to + old[len(path) :], renewed, changes)

    def _lock(self, operation: Operation, changes: dict[str, Entry | None]) -> None:
        """Take or renew a lock: its directory is made, or is the owner's already, or is the very one that the
        proposer has seen unchanged for too long (`stale`: its version)."""
        path = f"{LOCKS}/{operation['name']}"
        held = self.entries.get(path)
        if held is not None and held.owner != operation["owner"] and held.version != operation.get("stale"):
            raise _error(errno.EEXIST, path)
        for parent in ("priv", LOCKS):
            if parent not in self.entries:
                self._put(parent, self._entry(operation, None), changes)
        self._put(path, self._entry(operation, None, operation["owner"]), changes)

    def _unlock(self, operation: Operation, changes: dict[str, Entry | None]) -> None:
        path = f"{LOCKS}/{operation['name']}"
        held = self.entries.get(path)
        if held is not None and held.owner == operation["owner"]:
            self._drop(path, changes)

    def _check_parent(self, path: str) -> None:
        parent = posixpath.dirname(path)
        if parent in self.children:
            return
        raise _error(errno.ENOTDIR if parent in self.entries else errno.ENOENT, path)

    def _check_guest(self, path: str, moved_from: str | None = None) -> None:
        """A guest id exists once in a cluster, whatever node and type."""
        guest = guest_of(path)
        if guest is None or guest[0] not in self.guests:
            return
        existing = self.guests[guest[0]]
        if (existing.node, existing.type) == (guest[1], guest[2]):
            return
        if moved_from is not None and guest_of(moved_from) == (guest[0], existing.node, existing.type):
            return
        raise _error(errno.EEXIST, path)

    def _put(self, path: str, entry: Entry, changes: dict[str, Entry | None] | None = None) -> None:
        old = self.entries.get(path)
        if old is not None:
            self._weigh(path, old, -1)
        self.entries[path] = entry
        self._weigh(path, entry, 1)
        parent, name = posixpath.split(path)
        self.children[parent].add(name)
        if entry.data is None:
            self.children.setdefault(path, set())
        guest = guest_of(path)
        if guest is not None:
            self.guests[guest[0]] = Guest(guest[1], guest[2], entry.version)
        if changes is not None:
            changes[path] = entry

    def _drop(self, path: str, changes: dict[str, Entry | None]) -> None:
        self._weigh(path, self.entries.pop(path), -1)
        parent, name = posixpath.split(path)
        self.children[parent].discard(name)
        self.children.pop(path, None)
        guest = guest_of(path)
        if guest is not None:
            self.guests.pop(guest[0], None)
        changes[path] = None

    def _weigh(self, path: str, entry: Entry, sign: int) -> None:
        self.size += sign * len(entry.data or b"")
        head = f"{path}\0{entry.version}\0{entry.owner}\0{entry.data is None}\0".encode()
        digest = hashlib.sha256(head + (entry.data or b"")).digest()
        self._digest = (self._digest + sign * int.from_bytes(digest, "big")) % (1 << 256)

    # --- whole trees ---------------------------------------------------------------------------------------------

    def restore(self, rows: list[tuple[str, Entry]], version: int, epoch: int) -> None:
        """Become the tree with these entries."""
        self.entries.clear()
        self.children.clear()
        self.children[""] = set()
        self.guests.clear()
        self.size = self._digest = 0
        for path, entry in sorted(rows):
            self._put(path, entry)
        self.version = version
        self.epoch = epoch

    def image(self) -> bytes:
        """The whole tree for a host that has an older one."""
        rows = [
            [
                path,
                None if entry.data is None else base64.b64encode(entry.data).decode(),
                entry.version,
                entry.writer,
                entry.mtime,
                entry.owner,
            ]
            for path, entry in self.walk()
        ]
        return zlib.compress(json.dumps({"version": self.version, "epoch": self.epoch, "rows": rows}).encode(), 1)

    def load_image(self, image: bytes) -> None:
        """Become the tree of an image."""
        content = json.loads(zlib.decompress(image))
        rows = [
            (path, Entry(None if data is None else base64.b64decode(data), version, writer, mtime, owner))
            for path, data, version, writer, mtime, owner in content["rows"]
        ]
        self.restore(rows, content["version"], content["epoch"])


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), f"/etc/pve/{path}")
