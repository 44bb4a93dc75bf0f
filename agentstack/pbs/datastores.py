# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datastores of a backup server: which there are, whether they may be used, how full they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentstack._shared.property_string import parse_property_string
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.chunks import SyncLevel
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.history import History
from agentstack.pbs.sections import DATASTORES, Values
from agentstack.storage import sparse

if TYPE_CHECKING:
    from agentstack.host import Host

Operation = Literal["lookup", "read", "write"]

MAINTENANCE = {"type": {"type": "string", "default_key": 1}, "message": {"type": "string", "optional": True}}
TUNING: Mapping[str, Mapping[str, Any]] = {
    "chunk-order": {"type": "string", "enum": ["none", "inode"], "optional": True},
    "sync-level": {"type": "string", "enum": ["none", "file", "filesystem"], "optional": True},
    "gc-atime-cutoff": {"type": "integer", "optional": True},
    "gc-atime-safety-check": {"type": "boolean", "optional": True},
    "gc-cache-capacity": {"type": "integer", "optional": True},
    "default-verification-workers": {"type": "integer", "optional": True},
    "default-verification-readers": {"type": "integer", "optional": True},
}
_ALLOWED: dict[str, tuple[Operation, ...]] = {"read-only": ("lookup", "read"), "offline": ("lookup",)}
"""What may still be done in a maintenance mode; in those not named here nothing may."""

MOUNTS = "/mnt/datastore"
"""Where file systems made for datastores are mounted."""

_SYSTEM_BYTES = 3 << 30
"""What an installed system takes on its root file system."""

_COUNT_PERIOD = 30.0
"""Stack seconds for which a count of the root file system's bytes is good."""


@dataclass(frozen=True)
class Usage:
    """Bytes of the file system under a datastore."""

    total: int
    used: int
    avail: int


class Datastores:
    """All datastores of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._open: dict[str, Datastore] = {}
        self._reading: dict[str, int] = {}
        self._counted = (0.0, 0)
        self.history = History()

    def configured(self) -> dict[str, Values]:
        """The settings of every datastore, by name."""
        return DATASTORES.read(self.host).of("datastore")

    def settings(self, name: str) -> Values:
        """The settings of one datastore; raises 404."""
        found = self.configured().get(name)
        if found is None:
            raise unknown(name)
        return found

    def get(self, name: str, operation: Operation = "read") -> Datastore:
        """A datastore to be used; raises AgentError if there is none or its maintenance mode forbids it."""
        settings = self.settings(name)
        if mode := settings.get("maintenance-mode"):
            parsed = parse_property_string(mode, MAINTENANCE)
            if operation not in _ALLOWED.get(str(parsed["type"]), ()):
                message = f": {parsed['message']}" if parsed.get("message") else ""
                raise AgentError(f"datastore '{name}' is in {parsed['type']} maintenance mode{message}")
        store = self._open.get(name)
        if store is None:
            store = self._opened(name, settings)
        if not store.exists:
            raise AgentError(f"unable to open chunk store '{name}' at \"{settings['path']}/.chunks\" - No such file")
        return store

    def _opened(self, name: str, settings: Values) -> Datastore:
        store = self._open[name] = Datastore(name, self.directory(settings["path"]), _sync_level(settings))
        store.room = lambda: self.usage(settings["path"]).avail
        if store.exists:
            store.discard_unfinished()
        return store

    def tune(self, name: str) -> None:
        """Take over changed settings."""
        if name in self._open:
            self._open[name].chunks.sync = _sync_level(self.settings(name))

    def directory(self, path: str) -> Path:
        """Where a path of the host lies on the real disk."""
        return self.host.root / os.path.normpath("/" + path).lstrip("/")

    def check_new(self, name: str, path: str, *, reuse: bool) -> None:
        """Raise AgentError if no datastore can be made of that name at that path."""
        configured = self.configured()
        if name in configured:
            raise ParameterError({"name": f"datastore '{name}' already exists."})
        if not path.startswith("/"):
            raise ParameterError({"path": "expected an absolute path"})
        wanted = Path(os.path.normpath(path))
        for other, values in configured.items():
            used = Path(values["path"])
            if wanted == used or used in wanted.parents or wanted in used.parents:
                raise ParameterError({"path": f"nested datastores not allowed: '{other}' already in \"{used}\""})
        directory = self.directory(path)
        if directory.exists() and not directory.is_dir():
            raise AgentError(f"unable to create chunk store '{name}' at {path!r} - not a directory")
        if reuse and not (directory / ".chunks").is_dir():
            raise AgentError(f"unable to open chunk store '{name}' at \"{path}/.chunks\" - No such file")
        if not reuse and directory.is_dir() and any(entry.name != "lost+found" for entry in directory.iterdir()):
            raise AgentError("datastore path not empty")

    def create(self, name: str, path: str, *, reuse: bool) -> None:
        """Make the directory of a datastore, or find the one that is there whole."""
        if not reuse:
            Datastore(name, self.directory(path)).create()

    def forget(self, name: str, path: str, *, destroy: bool) -> None:
        """Close a datastore that is no longer configured, and remove its data if asked."""
        self._open.pop(name, None)
        if destroy:
            shutil.rmtree(self.directory(path), ignore_errors=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[Datastore]:
        """A datastore for the time of a longer read, which counts as an active operation."""
        store = self.get(name, "read")
        self._reading[name] = self._reading.get(name, 0) + 1
        try:
            yield store
        finally:
            self._reading[name] -= 1

    def active(self, name: str) -> dict[str, int]:
        """How many operations are running on a datastore."""
        store = self._open.get(name)
        return {"read": self._reading.get(name, 0), "write": store.writers if store else 0}

    def note_usage(self) -> None:
        """Take the samples of this minute."""
        now = self.host.clock.now()
        for name, values in self.configured().items():
            self.history.note(f"datastore/{name}", now, partial(self._sample, values["path"]))
        self.history.note("host", now, partial(self._sample, "/"))

    def _sample(self, path: str) -> dict[str, float]:
        found = self.usage(path)
        return {"total": float(found.total), "used": float(found.used), "available": float(found.avail)}

    def usage(self, path: str = "/") -> Usage:
        """The file system that a path of the host is on: a mounted disk, a pool, or the root file system."""
        for pool in self.host.zfs.pools.values():
            where = f"{MOUNTS}/{pool.name}"
            if Path(path).is_relative_to(where):
                return _usage(pool.usable, sparse.allocated(self.directory(where)))
        disks = self.host.disks
        for device, where in disks.mounts().items():
            if Path(path).is_relative_to(where):
                size = disks.find(device)[0].spec.size * 63 // 64
                return _usage(size, sparse.allocated(self.directory(where)))
        size, now = self.host.spec.disks[0].size * 15 // 16, self.host.clock.elapsed()
        if now >= self._counted[0]:
            # counting all files costs time
            self._counted = now + _COUNT_PERIOD, sparse.allocated(self.host.root)
        return _usage(size, min(_SYSTEM_BYTES, size // 8) + self._counted[1])


def _sync_level(settings: Values) -> SyncLevel:
    tuning = parse_property_string(settings["tuning"], TUNING) if "tuning" in settings else {}
    level: Any = tuning.get("sync-level", "filesystem")
    chosen: SyncLevel = level
    return chosen


def _usage(size: int, used: int) -> Usage:
    # what a file system keeps for root
    return Usage(size, min(used, size), max(0, size - used - size // 20))


def unknown(name: str) -> AgentError:
    """The answer for a datastore that is not there (facts §20.1)."""
    return AgentError(f"datastore '{name}' does not exist.", status=404)


def acl_path(store: str, ns: str = "") -> str:
    """The path of access control for a datastore or a namespace in it."""
    return f"/datastore/{store}/{ns}" if ns else f"/datastore/{store}"
