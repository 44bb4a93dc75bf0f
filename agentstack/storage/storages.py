# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storages as one node uses them: activation, status, and volumes by `STORAGE:NAME` (facts §12)."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack.ceph.rbd import RbdPool
from agentstack.errors import AgentError
from agentstack.guests.process import AREA
from agentstack.sections import Entry
from agentstack.storage import config, sparse
from agentstack.storage.arrays import Arrays
from agentstack.storage.lvm import Groups, LvmVolumes, ThinVolumes
from agentstack.storage.pbs import PbsStorage
from agentstack.storage.remote import Iscsi, Nfs
from agentstack.storage.types import STORAGE_TYPES
from agentstack.storage.volumes import TEXTS as VOLUME_TEXTS
from agentstack.storage.volumes import Backend, Cloning, Directory, Usage, Volume
from agentstack.storage.zfs_volumes import ZfsPool

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "disabled": "storage '{id}' is disabled",
    "other_node": "storage '{id}' is not available on node '{node}'",
    "offline": "storage '{id}' is not online",
    "mount": 'mount error: Job failed. See "journalctl -xe" for details.',
    "esxi": "failed to activate storage '{id}': could not reach the server",
    "no_images": "storage '{id}' does not support vm images",
    "content": "storage '{id}' does not support content-type '{content}'",
    "no_base": "storage of volume '{volid}' does not support templates",
    "inactive": "storage '{id}' is not online",
}

_REMOTE = frozenset({"cifs", "iscsidirect"})
"""Kinds whose server has to answer before anything else happens."""

_SYSTEM_BYTES = 3 << 30
"""What an installed system takes on its root file system."""


_COUNT_PERIOD = 30.0
"""Stack seconds for which a count of the root file system's bytes is good."""


class Storages:
    """All storages, seen from one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._root_used = (0.0, 0)
        self.pbs = PbsStorage(host)
        self.arrays = Arrays(host)
        self.groups = Groups(host)
        self.backends: dict[str, Backend] = {
            "pbs": self.pbs,
            "dir": Directory(host),
            "btrfs": Directory(host),
            "zfspool": ZfsPool(host),
            "rbd": RbdPool(host),
            "nfs": Nfs(host),
            "iscsi": Iscsi(host),
            "lvm": LvmVolumes(host),
            "lvmthin": ThinVolumes(host),
        }

    async def start(self) -> None:
        """Storages are activated when they are used; those on backup servers are looked at regularly."""
        self.host.disks.holders.append(self.groups.holds)
        await self.arrays.start()
        await self.pbs.start()

    async def stop(self) -> None:
        """Look at no server any more."""
        await self.pbs.stop()

    # ---- configuration hooks ----------------------------------------------------------------------------------------

    async def added(self, entry: Entry, secrets: dict[str, str]) -> None:
        """Fill in what a new storage takes over from this node (facts §10: the mount point of a pool)."""
        if entry.type == "zfspool" and self.host.zfs.exists(entry.values["pool"]):
            entry.values.setdefault("mountpoint", f"/{entry.values['pool']}")

    async def activate(self, entry: Entry, secrets: dict[str, str] | None = None) -> None:
        """Make a storage usable here. Raises AgentError with the server's reason."""
        if entry.type == "pbs":
            await self.pbs.activate(entry, (secrets or {}).get("password"))
        elif backend := self.backends.get(entry.type):
            await backend.activate(entry)
        elif entry.type in _REMOTE:
            raise AgentError(TEXTS["offline"].format(id=entry.id))
        elif entry.type == "cephfs":
            raise AgentError(TEXTS["mount"])
        elif entry.type == "esxi":
            raise AgentError(TEXTS["esxi"].format(id=entry.id))

    # ---- lookups ----------------------------------------------------------------------------------------------------

    def entry(self, ident: str, node: str | None = None) -> Entry:
        """The storage, if it is enabled on the node (default: this one). Raises AgentError."""
        entry = config.get(self.host, ident)
        if entry.values.get("disable"):
            raise AgentError(TEXTS["disabled"].format(id=ident))
        if not config.is_enabled(entry, node or self.host.name):
            raise AgentError(TEXTS["other_node"].format(id=ident, node=node or self.host.name))
        return entry

    def is_shared(self, entry: Entry) -> bool:
        """Tell whether guests on the storage can move without their disks being copied."""
        return bool(entry.values.get("shared"))

    def backend(self, entry: Entry) -> Backend:
        """What works a storage. Raises AgentError when nothing on this host can."""
        if entry.type not in self.backends:
            raise AgentError(TEXTS["inactive"].format(id=entry.id))
        return self.backends[entry.type]

    def split(self, volid: str) -> tuple[str, str]:
        """Storage and name of a volume id. Raises AgentError."""
        ident, colon, name = volid.partition(":")
        if not colon or not ident or not name:
            raise AgentError(VOLUME_TEXTS["parse"].format(volid=volid))
        return ident, name

    def _locate(self, volid: str) -> tuple[Backend, Entry, str]:
        ident, name = self.split(volid)
        entry = self.entry(ident)
        return self.backend(entry), entry, name

    def check_content(self, ident: str, content: str, node: str | None = None) -> Entry:
        """The storage, if it may hold that content. Raises AgentError."""
        entry = self.entry(ident, node)
        if content not in split_list(entry.values["content"]):
            raise AgentError(TEXTS["content"].format(id=ident, content=content))
        return entry

    def blocked(self, path: Path) -> bool:
        """Tell whether a write to a guest's disk would wait, because what it lies on answers nothing."""
        disks = self.host.disks
        if path.is_relative_to(self.host.root):
            return disks.system.by_id in disks.stalled | disks.failing
        return self.host.zfs.blocked(path) or self.groups.blocked(path) or self.arrays.blocked(path)

    # ---- status -----------------------------------------------------------------------------------------------------

    def usage(self, entry: Entry) -> Usage | None:
        """Bytes of an active storage; None when it cannot be used here."""
        if not config.is_enabled(entry, self.host.name) or entry.type not in self.backends:
            return None
        return self.backends[entry.type].usage(entry)

    def status(self, entry: Entry) -> dict[str, Any]:
        """A storage as `GET /nodes/{node}/storage` describes it."""
        usage = self.usage(entry)
        answer: dict[str, Any] = {
            "type": entry.type,
            "content": config.answer(entry, "")["content"],
            "shared": int(self.is_shared(entry)),
            "enabled": int(not entry.values.get("disable")),
            "active": int(usage is not None),
            **{"total": 0, "used": 0, "avail": 0},
        }
        if usage is not None:
            answer |= {"total": usage.total, "used": usage.used, "avail": usage.available}
        return answer

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Status of every storage that is meant for this node, by id."""
        entries, _ = config.read(self.host)
        nodes = {ident: config.nodes_of(entry) for ident, entry in entries.items()}
        here = [ident for ident, allowed in nodes.items() if allowed is None or self.host.name in allowed]
        return {ident: self.status(entries[ident]) for ident in here}

    def filesystem(self, path: str) -> Usage:
        """Bytes of the file system that a directory of the host is on: a mounted disk, or the root file system."""
        for device, where in self.host.disks.mounts().items():
            if path == where or path.startswith(f"{where}/"):
                size = self.host.disks.find(device)[0].spec.size
                return _usage(size, sparse.allocated(self.host.root / where.lstrip("/")))
        return self.root_filesystem()

    def root_filesystem(self) -> Usage:
        """Bytes of the root file system."""
        size = self.host.disks.system.spec.size
        now = self.host.clock.elapsed()
        if now >= self._root_used[0]:
            # counting all files costs time, and nobody looks closer than the status daemon's ten seconds
            self._root_used = now + _COUNT_PERIOD, sparse.allocated(self.host.root)
        return _usage(size * 15 // 16, min(_SYSTEM_BYTES, size // 8) + self._root_used[1])

    # ---- volumes ----------------------------------------------------------------------------------------------------

    def allocate(self, ident: str, vmid: int, size: int, *, form: str | None = None, name: str | None = None) -> str:
        """Make a volume of `size` bytes; returns its volume id."""
        entry = self.entry(ident)
        form = form or entry.values.get("format") or STORAGE_TYPES[entry.type].formats[0]
        return f"{ident}:{self.backend(entry).allocate(entry, vmid, name, form, size)}"

    async def refresh(self, ident: str | None = None, *, content: bool = False) -> None:
        """Ask the servers behind storages (all, or one) for what `status`, and `volumes` with `content`, tell of them.

        Raises AgentError if the content of one cannot be read.
        """
        entries, _ = config.read(self.host)
        servers = [
            entry
            for entry in entries.values()
            if ident in (None, entry.id) and entry.type == "pbs" and config.is_enabled(entry, self.host.name)
        ]
        await asyncio.gather(*(self.pbs.read(entry) if content else self.pbs.refresh(entry) for entry in servers))

    async def remove(self, volid: str) -> None:
        """Remove a volume, wherever it is."""
        backend, entry, name = self._locate(volid)
        if entry.type == "pbs":
            await self.pbs.remove(entry, name)
        else:
            backend.free(entry, name)

    def free(self, volid: str) -> None:
        """Remove a volume."""
        backend, entry, name = self._locate(volid)
        backend.free(entry, name)

    def path(self, volid: str) -> Path:
        """Where a volume's bytes are on the real disk. Raises AgentError when there is no such volume."""
        backend, entry, name = self._locate(volid)
        return backend.path(entry, name)

    def place(self, volid: str) -> Path:
        """Where a guest has a volume: the path of its bytes, or of what leads to them (`attach`)."""
        backend, entry, name = self._locate(volid)
        return backend.place(entry, name) if isinstance(backend, RbdPool) else backend.path(entry, name)

    def commit(self, volid: str) -> None:
        """What was written into the file at a volume's path is to be the volume's content."""
        backend, entry, name = self._locate(volid)
        if isinstance(backend, RbdPool):
            backend.commit(entry, name)

    def attach(self, place: Path) -> tuple[socket.socket, int] | None:
        """A guest's connection to the disk at a place, and its size; None where the place is a file."""
        backend = self.backends["rbd"]
        return backend.attach(place) if isinstance(backend, RbdPool) else None

    def device(self, volid: str) -> str:
        """A volume's path as the host itself names it."""
        backend, entry, name = self._locate(volid)
        return backend.device(entry, name)

    def exists(self, volid: str) -> bool:
        """Tell whether the volume is there."""
        try:
            return self.path(volid).exists()
        except AgentError:
            return False

    def size(self, volid: str) -> int:
        """Bytes that a volume can hold."""
        return next((volume.size for volume in self.volumes(self.split(volid)[0]) if volume.volid == volid), 0)

    def resize(self, volid: str, size: int) -> None:
        """Set a volume's size."""
        backend, entry, name = self._locate(volid)
        backend.resize(entry, name, size)

    def volumes(self, ident: str, vmid: int | None = None) -> list[Volume]:
        """What is on a storage, of one guest if `vmid` is given."""
        entry = self.entry(ident)
        return [volume for volume in self.backend(entry).list(entry) if vmid is None or volume.vmid == vmid]

    def snapshot(self, volid: str, snapshot: str) -> None:
        """Keep the present state of a volume."""
        backend, entry, name = self._locate(volid)
        backend.snapshot(entry, name, snapshot)

    def rollback(self, volid: str, snapshot: str) -> None:
        """Bring a volume back to a snapshot."""
        backend, entry, name = self._locate(volid)
        backend.rollback(entry, name, snapshot)

    def in_the_way_of(self, volid: str, snapshot: str) -> Sequence[str]:
        """Snapshots that a volume cannot keep when it is rolled back to an older one: ZFS has them in one line."""
        backend, entry, name = self._locate(volid)
        return backend.newer(entry, name, snapshot) if isinstance(backend, ZfsPool) else []

    def delete_snapshot(self, volid: str, snapshot: str) -> None:
        """Forget a snapshot of a volume."""
        backend, entry, name = self._locate(volid)
        backend.delete_snapshot(entry, name, snapshot)

    # ---- copies -----------------------------------------------------------------------------------------------------

    def can_clone(self, volid: str) -> bool:
        """Tell whether the volume is a base, of which clones can be made that depend on it."""
        return re.match(r"base(vol)?-", self.split(volid)[1].rpartition("/")[2]) is not None

    def base_of(self, volid: str) -> str | None:
        """The name of the base volume that a linked clone's own name begins with."""
        found = re.fullmatch(r"(?:\d+/)?(base(?:vol)?-[^/]+)/.+", self.split(volid)[1])
        return found[1] if found else None

    def can_be_base(self, volid: str) -> bool:
        """Tell whether the volume's storage has base volumes."""
        return isinstance(self._locate(volid)[0], Cloning)

    def make_base(self, volid: str) -> str:
        """Turn a volume into a base of clones, which gets another name; returns its volume id."""
        backend, entry, name = self._locate(volid)
        if not isinstance(backend, Cloning):
            raise AgentError(TEXTS["no_base"].format(volid=volid))
        return f"{entry.id}:{backend.make_base(entry, name)}"

    def clone(self, volid: str, vmid: int) -> str:
        """Make a volume for a guest that depends on a base volume; returns its volume id."""
        backend, entry, name = self._locate(volid)
        if not isinstance(backend, Cloning):
            raise AgentError(TEXTS["no_base"].format(volid=volid))
        return f"{entry.id}:{backend.clone(entry, name, vmid)}"

    def format_of(self, volid: str) -> str:
        """The format of a volume: raw, qcow2, vmdk, subvol. Raises AgentError when there is no such volume."""
        path = self.path(volid)
        if path.is_dir():
            return "subvol"
        in_files = isinstance(self._locate(volid)[0], Directory)
        return path.suffix.lstrip(".") or "raw" if in_files else "raw"

    def format_for(self, ident: str, container: bool, volid: str) -> str | None:
        """The format that a copy of a volume gets on a storage: its own if that can be, else the storage's."""
        entry = self.entry(ident)
        if container:
            return "subvol" if entry.type == "zfspool" else "raw"
        form = self.format_of(volid)
        return form if form in STORAGE_TYPES[entry.type].formats and form != "subvol" else None

    def duplicate(
        self, volid: str, ident: str, vmid: int, *, form: str | None = None, snapshot: str | None = None
    ) -> str:
        """Copy a volume (or a snapshot of it) with all of its bytes to a storage; returns the copy's volume id."""
        backend, entry, name = self._locate(volid)
        source = backend.snapshot_path(entry, name, snapshot) if snapshot else backend.path(entry, name)
        new = self.allocate(ident, vmid, self.size(volid), form=form)
        try:
            copy_bytes(source, self.path(new))
            self.commit(new)
        except OSError:
            self.free(new)
            raise
        return new

    def can_snapshot(self, volid: str) -> bool:
        """Tell whether a volume can have snapshots."""
        backend, entry, name = self._locate(volid)
        return backend.can_snapshot(entry, name)


def _usage(size: int, used: int) -> Usage:
    used = min(used, size)
    # what a file system keeps for root
    return Usage(size, used, max(0, size - used - size // 20))


RECORDS = Path("var/lib/records")
"""The file in a container's root that holds what its disk would from `AREA` on."""


def copy_bytes(source: Path, target: Path) -> None:
    """Copy a volume onto a fresh one; what a container has written goes from a disk into a file system and back."""
    if source.is_dir() and target.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.is_dir():
        if (source / RECORDS).exists():
            _copy_part(source / RECORDS, 0, target, AREA)
    elif target.is_dir():
        (target / RECORDS).parent.mkdir(parents=True, exist_ok=True)
        _copy_part(source, AREA, target / RECORDS, 0)
    else:
        size = target.stat().st_size
        sparse.copy(source, target)
        os.truncate(target, max(size, source.stat().st_size))


def _copy_part(source: Path, start: int, target: Path, offset: int) -> None:
    with target.open("r+b" if target.exists() else "wb") as file:
        for at, data in sparse.extents(source):
            # a piece may begin before the part that is wanted
            piece = data[max(0, start - at) :]
            if piece:
                os.pwrite(file.fileno(), piece, max(at, start) - start + offset)
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Put a file that was written by others on stable storage."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
