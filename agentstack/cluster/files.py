# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/pve of one host: what every other part reads and writes its configuration through."""

from __future__ import annotations

import asyncio
import logging
import os
import posixpath
import uuid
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from agentstack.cluster import provision, ssh_keys
from agentstack.cluster.generated import Generated
from agentstack.cluster.kvstore import ClusterLog, KvStore
from agentstack.cluster.locks import Locks, NoLock
from agentstack.cluster.mirror import Mirror
from agentstack.cluster.replica import Changes, ReadOnly, Replica
from agentstack.cluster.store import Store
from agentstack.cluster.tree import Guest, Operation, guest_of
from agentstack.errors import NoQuorum

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from agentstack.api.endpoint import Json
    from agentstack.host import Host

log = logging.getLogger(__name__)

DIRECTORIES = ("firewall", "ha", "mapping", "nodes", "priv", "priv/acme", "priv/lock", "priv/storage", "sdn",
               "virtual-guest")  # fmt: skip
NODE_DIRECTORIES = ("", "/lxc", "/openvz", "/priv", "/qemu-server")


class PermissionDenied(NoQuorum):
    """A write without quorum: /etc/pve is read-only."""

    def __init__(self, action: str, path: str) -> None:
        super().__init__(f"unable to {action} '/etc/pve/{path}' - Permission denied")


class ClusterFiles:
    """The configuration file system. Paths are relative to /etc/pve (`storage.cfg`, `nodes/pve1/…`).

    Reads are local. Writes are ordered among the members, durable on all of them before they return; without quorum
    they raise PermissionDenied. OSErrors are those of a file system.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.mounted = False
        """False while the cluster file system restarts: nobody can be authenticated meanwhile (observed: create)."""
        self.links = {
            "local": f"nodes/{host.name}",
            "lxc": f"nodes/{host.name}/lxc",
            "openvz": f"nodes/{host.name}/openvz",
            "qemu-server": f"nodes/{host.name}/qemu-server",
        }
        self.kvstore = KvStore()
        self.log = ClusterLog()
        self._own_values: dict[str, Json] = {}
        self._subscribers: list[Callable[[set[str]], None]] = []
        self._mirror = Mirror(host.root / "etc/pve", self.links)
        self._background: set[asyncio.Task[None]] = set()
        self._change = asyncio.Event()
        self._boot = uuid.uuid4().hex[:12]
        self._open()

    def _open(self) -> None:
        host = self.host
        self._store = Store(host.root / "var/lib/pve-cluster/config.db")
        self.replica = Replica(self._store, lambda: host.cluster.node_id, lambda: host.cluster.quorate)
        self.replica.applied = self._applied
        self.replica.replaced = self._replaced
        self.replica.broadcast = self._received
        self.replica.synchronised = self._synchronised
        self.locks = Locks(self.replica, host.clock, f"{host.name}/{self._boot}", self._stamp)
        self.generated = Generated(self, host.cluster, host.clock.now())

    # --- start and end ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Mount the tree; in a cluster, join the others."""
        tree = self._store.tree
        self._mirror.rebuild(tree)
        cluster = self.host.cluster
        corosync = tree.entries.get("corosync.conf")
        if corosync is not None and corosync.data is not None:
            cluster.config_written(corosync.data, by_this_node=False)
            if not cluster.in_cluster:
                await cluster.start()
        self.mounted = True
        self._run(self._update_node())
        if not cluster.in_cluster:
            await self.make_node_directories()
            self.replica.synchronised(frozenset({cluster.node_id}))
            return
        provision.bring_files(self.host)
        self.connect()
        await provision.wait_for_files(self.host)

    async def stop(self) -> None:
        """Unmount."""
        self.mounted = False
        for task in list(self._background):
            task.cancel()
        self.disconnect()
        self._store.close()

    @property
    def has_content(self) -> bool:
        """False before the first boot, and for a node in the middle of a join."""
        return bool(self._store.tree.entries)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when a condition on files, quorum or agreement is true."""
        while not condition():
            turn, change = self.replica.next_turn(), self._change
            waits = [asyncio.ensure_future(event.wait()) for event in (turn, change)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    def connect(self) -> None:
        """Join the group of this host's corosync."""
        self.replica.attach(self.host.cluster.corosync)
        self.host.cluster.attached = True
        self.replica.turn()

    def disconnect(self) -> None:
        """Leave the group."""
        self.host.cluster.attached = False
        self.replica.detach()

    def back_up(self) -> str:
        """Write the database's content beside it; gives the path as the host sees it."""
        name = f"backup/config-{int(self.host.clock.now())}.sql.gz"
        self._store.back_up(self._store.path.parent / name)
        return f"/var/lib/pve-cluster/{name}"

    async def restart(self, pause: float, *, adopt: bool = False) -> None:
        """Restart the cluster file system, away for `pause` stack seconds. Connecting to corosync is the caller's
        next step; with `adopt` the database is given up, and it is for the caller to say `mounted` again."""
        self.mounted = False
        self.disconnect()
        if adopt:
            self._store.delete()
        else:
            self._store.close()
        await self.host.clock.sleep(pause)
        self._open()
        self._mirror.rebuild(self._store.tree)
        self.mounted = not adopt

    # --- reading ------------------------------------------------------------------------------------------------

    def resolve(self, path: str) -> str:
        """The path without links and redundancies."""
        path = posixpath.normpath("/" + path)[1:]
        first, slash, rest = path.partition("/")
        return f"{self.links[first]}{slash}{rest}" if first in self.links else path

    def read(self, path: str) -> bytes:
        """A file's content. FileNotFoundError, IsADirectoryError."""
        maker = self.generated.makers.get(path)
        if maker is not None:
            return maker().encode()
        path = self.resolve(path)
        entry = self._store.tree.entries.get(path)
        if entry is None and path:
            raise FileNotFoundError(2, os.strerror(2), f"/etc/pve/{path}")
        if entry is None or entry.data is None:
            raise IsADirectoryError(21, os.strerror(21), f"/etc/pve/{path}")
        return entry.data

    def read_text(self, path: str, default: str | None = None) -> str:
        """A file's content as text; `default` if there is no such file (without: FileNotFoundError)."""
        try:
            return self.read(path).decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            if default is None:
                raise
            return default

    def exists(self, path: str) -> bool:
        path = self.resolve(path)
        return path in self.generated.makers or path in self._store.tree.entries or not path

    def is_directory(self, path: str) -> bool:
        return self._store.tree.is_directory(self.resolve(path))

    def listdir(self, path: str = "") -> list[str]:
        """The names in a directory, sorted. FileNotFoundError, NotADirectoryError."""
        path = self.resolve(path)
        tree = self._store.tree
        if path in tree.children:
            return sorted(tree.children[path] | (set() if path else set(self.links) | set(self.generated.makers)))
        if path in tree.entries:
            raise NotADirectoryError(20, os.strerror(20), f"/etc/pve/{path}")
        raise FileNotFoundError(2, os.strerror(2), f"/etc/pve/{path}")

    def version(self, path: str) -> int:
        """Grows with every change of the file; 0 if it does not exist."""
        entry = self._store.tree.entries.get(self.resolve(path))
        return entry.version if entry is not None else 0

    def mtime(self, path: str) -> int:
        """Last change, seconds since the epoch. FileNotFoundError."""
        entry = self._store.tree.entries.get(self.resolve(path))
        if entry is None:
            raise FileNotFoundError(2, os.strerror(2), f"/etc/pve/{path}")
        return entry.mtime

    def guests(self) -> dict[int, Guest]:
        """Every guest of the cluster by its id, as far as it has a configuration file."""
        return self._store.tree.guests

    def subscribe(self, callback: Callable[[set[str]], None]) -> None:
        """Have `callback` called with the paths that changed, after they are durable here."""
        self._subscribers.append(callback)

    # --- writing ------------------------------------------------------------------------------------------------

    async def write(self, path: str, data: bytes | str, *, exclusive: bool = False) -> None:
        """Write a whole file; `exclusive`: FileExistsError if there is one. Its directory has to exist."""
        content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        path = self._writable_path(path)
        await self._propose("open file", path, {"op": "write", "path": path, "exclusive": exclusive}, content)

    def bring(self, path: str, data: str) -> None:
        """Write a file before this host meets its cluster for the first time."""
        self.replica.bring(self._stamp({"op": "write", "path": path}), data.encode())

    async def delete(self, path: str) -> None:
        """Remove a file or an empty directory."""
        path = self._writable_path(path)
        await self._propose("delete", path, {"op": "delete", "path": path})

    async def rename(self, old: str, new: str) -> None:
        """Rename; a file in the way is replaced."""
        old, new = self._writable_path(old), self._writable_path(new)
        await self._propose("rename", old, {"op": "rename", "path": old, "to": new})

    async def mkdir(self, path: str, *, exist_ok: bool = False) -> None:
        """Make a directory in one that exists."""
        path = self._writable_path(path)
        try:
            await self._propose("create directory", path, {"op": "mkdir", "path": path})
        except FileExistsError:
            if not (exist_ok and self.is_directory(path)):
                raise

    async def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it, as `rm -r` does: one by one."""
        path = self._writable_path(path)
        for inner in [inner for inner, _ in self._store.tree.walk(path)][::-1]:
            await self.delete(inner)
        await self.delete(path)

    def _writable_path(self, path: str) -> str:
        if path in self.generated.makers or path in self.links:
            raise PermissionError(13, os.strerror(13), f"/etc/pve/{path}")
        return self.resolve(path)

    async def _propose(self, action: str, path: str, operation: Operation, data: bytes = b"") -> None:
        try:
            await self.replica.propose(self._stamp(operation), data)
        except ReadOnly:
            raise PermissionDenied(action, path) from None

    def _stamp(self, operation: Operation) -> Operation:
        return {**operation, "writer": self.host.cluster.node_id, "mtime": int(self.host.clock.now())}

    # --- quorum and locks ---------------------------------------------------------------------------------------

    @property
    def quorate(self) -> bool:
        """Whether writes are possible (a host on its own always is quorate)."""
        return self.host.cluster.quorate

    def require_quorum(self) -> None:
        """Raise NoQuorum unless quorate."""
        if not self.quorate:
            raise NoQuorum

    def lock(self, name: str, timeout: float = 10.0) -> AbstractAsyncContextManager[None]:
        """The cluster-wide lock of that name around a block (`file-storage_cfg`, `domain-ha`); see `locks.Locks`."""
        return self.locks.lock(name, timeout)

    # --- status values ------------------------------------------------------------------------------------------

    def broadcast(self, key: str, value: Json) -> None:
        """Tell all members a status value of this host; repeated by itself whenever the membership changes."""
        self._own_values[key] = value
        self.kvstore.set(self.host.name, key, value)
        self.replica.tell({"k": "kv", "node": self.host.name, "key": key, "value": value})

    def cluster_log(self, priority: int, tag: str, user: str, message: str) -> None:
        """Add to the cluster log of all members. `priority` as in syslog (6 = info)."""
        entry = {
            "time": int(self.host.clock.now()), "pri": priority, "tag": tag, "pid": os.getpid(),
            "node": self.host.name, "user": user, "msg": message,
        }  # fmt: skip
        self.replica.tell({"k": "log", "entry": entry})

    # --- from the replica ---------------------------------------------------------------------------------------

    def _applied(self, changes: Changes, writers: set[int]) -> None:
        self._mirror.update(changes)
        for path in changes:
            self.generated.count(path)
            guest = guest_of(path)
            if guest is not None:
                self.generated.count_guest(guest[0])
        self.locks.changed(changes)
        corosync = changes.get("corosync.conf")
        if corosync is not None and corosync.data is not None:
            self.host.cluster.config_written(corosync.data, by_this_node=self.host.cluster.node_id in writers)
        self._notify(set(changes))

    def _replaced(self) -> None:
        tree = self._store.tree
        self._mirror.rebuild(tree)
        for path, _ in tree.walk():
            self.generated.count(path)
        self.generated.vmlist_version += 1
        self.locks.changed(path for path, _ in tree.walk("priv/lock"))
        corosync = tree.entries.get("corosync.conf")
        if corosync is not None and corosync.data is not None:
            self.host.cluster.config_written(corosync.data, by_this_node=False)
        self._notify(set(tree.entries))

    def _notify(self, paths: set[str]) -> None:
        self._change.set()
        self._change = asyncio.Event()
        for callback in self._subscribers:
            callback(paths)

    def _received(self, sender: int, body: dict[str, Any]) -> None:
        match body.get("k"):
            case "kv" if body["node"] != self.host.name:
                self.kvstore.set(body["node"], body["key"], body["value"])
                if body["key"] == "nodeip":
                    self.host.cluster.changed()
            case "log":
                self.log.add(body["entry"])

    def _synchronised(self, group: frozenset[int]) -> None:
        cluster = self.host.cluster
        self.kvstore.keep({self.host.name, *(node.name for node in cluster.nodes() if node.node_id in group)})
        self._own_values.setdefault("nodeip", self.host.address)
        for key, value in self._own_values.items():
            self.broadcast(key, value)

    # --- a node's own directories -------------------------------------------------------------------------------

    @property
    def _directories(self) -> list[str]:
        return [*DIRECTORIES, *(f"nodes/{self.host.name}{directory}" for directory in NODE_DIRECTORIES)]

    @property
    def has_directories(self) -> bool:
        """Whether a node's keys and certificates have a place to be written to."""
        return all(self.is_directory(path) for path in ("priv", f"nodes/{self.host.name}/priv"))

    async def make_node_directories(self) -> None:
        """What a node needs to have in /etc/pve; raises PermissionDenied without quorum."""
        for path in self._directories:
            if not self.is_directory(path):
                await self.mkdir(path, exist_ok=True)

    async def _update_node(self) -> None:
        """What every boot sees to (pvecm updatecerts), once there is quorum: directories, root's SSH key."""
        await provision.wait_for_first_files(self.host)
        while True:
            turn = self.replica.next_turn()
            try:
                await self.make_node_directories()
                await ssh_keys.merge(self.host)
            except NoQuorum:
                await turn.wait()
            except NoLock as error:
                log.warning("%s", error.message)
            else:
                return

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
