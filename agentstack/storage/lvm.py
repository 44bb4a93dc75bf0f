# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volume groups on a host's disks or on LUNs that every node sees; logical volumes are real files (facts §12).

What a group is stands in `group.json` beside its volumes: on the host for local disks (`hosts/NAME/lvm/GROUP/`), on the
array for a LUN. A group on a local disk is there as long as the disk is.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.sections import Entry
from agentstack.storage import signatures, sparse
from agentstack.storage.remote import Iscsi
from agentstack.storage.volumes import Usage, Volume, base_name, check_name, free_name

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "no_group": "no such volume group '{name}'",
    "no_thinpool": "no such logical volume {name}/{pool}",
    "exists": "a volume group called {name} already exists",
    "space": '  Volume group "{name}" has insufficient free space ({free} extents): {wanted} required.',
    "volume": "volume '{volid}' does not exist",
    "name": "unable to parse lvm volume name '{name}'",
    "snapshot": "can't snapshot LVM volumes",
    "taken": 'lvcreate \'{name}\' error:   Logical Volume "{lv}" already exists in volume group "{name}"',
}

EXTENT = 4 << 20
_METADATA = 1 << 20
_NAME = re.compile(r"((?:vm|base|snap)-(\d+)-[\w.-]+)", re.ASCII)


@dataclass
class Group:
    """A volume group. Sizes in bytes; `device`: by-id path of its disk ("" on a LUN); `pools`: thin pools, by name."""

    name: str
    size: int
    device: str
    directory: Path
    pools: dict[str, int] = field(default_factory=dict)

    def save(self) -> None:
        """Put down what the group is."""
        content = {key: value for key, value in asdict(self).items() if key != "directory"}
        write_durably(self.directory / "group.json", json.dumps(content).encode())

    @classmethod
    def read(cls, directory: Path) -> Group | None:
        """The group whose files lie there; None without one."""
        file = directory / "group.json"
        return cls(**json.loads(file.read_text()), directory=directory) if file.exists() else None

    def volumes(self, pool: str | None = None) -> list[Path]:
        """The files of the logical volumes: of a thin pool, or the thick ones."""
        return sorted((self.directory / (f"pool-{pool}" if pool else "volumes")).glob("*.raw"))

    @property
    def free(self) -> int:
        """Bytes of no volume and no pool."""
        thick = sum(path.stat().st_size for path in self.volumes())
        return self.size - thick - sum(self.pools.values())


class Groups:
    """The volume groups on one host's disks."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.state / "lvm"

    def all(self) -> list[Group]:
        """Those whose disk the host sees, by name."""
        there = {disk.by_id for disk in self.host.disks.all()}
        found = (Group.read(path) for path in sorted(self.directory.glob("*")))
        return [group for group in found if group is not None and group.device in there]

    def find(self, name: str) -> Group | None:
        """The group of that name."""
        return next((group for group in self.all() if group.name == name), None)

    def holds(self, device: str) -> bool:
        """Tell whether a group has this disk or partition."""
        disk, _ = self.host.disks.find(device)
        return any(group.device == disk.by_id for group in self.all())

    def blocked(self, path: Path) -> bool:
        """Tell whether a write to a volume would wait for its disk."""
        disks = self.host.disks
        there = {disk.by_id for disk in disks.all()} - disks.stalled - disks.failing
        if not path.is_relative_to(self.directory):
            return False
        group = Group.read(self.directory / path.relative_to(self.directory).parts[0])
        return group is not None and group.device not in there

    def create(self, name: str, device: str, thinpool: str | None = None) -> Group:
        """Make a group over a free disk, with one thin pool over all of it if asked for. Raises AgentError."""
        if self.find(name) is not None:
            raise AgentError(TEXTS["exists"].format(name=name))
        disk, part = self.host.disks.take(device, "LVM")
        signatures.make_filesystem(disk.image, part.start, "LVM")
        directory = self.directory / name
        if directory.exists():  # left by a disk that is gone
            shutil.rmtree(directory)
        directory.mkdir(parents=True)
        group = Group(name, (part.size - _METADATA) // EXTENT * EXTENT, disk.by_id, directory)
        if thinpool is not None:
            # a part is kept for the pool's own metadata and its spare
            group.pools[thinpool] = group.size * 99 // 100 // EXTENT * EXTENT
        group.save()
        return group

    def destroy(self, name: str) -> str:
        """End a group with all its volumes; returns the device path of its disk. Raises AgentError."""
        group = self.find(name)
        if group is None:
            raise AgentError(TEXTS["no_group"].format(name=name))
        disk = next(disk for disk in self.host.disks.all() if disk.by_id == group.device)
        shutil.rmtree(group.directory)
        return disk.device


class LvmVolumes:
    """Logical volumes of a group (`lvm`)."""

    thin = False
    shared_files = False

    def __init__(self, host: Host) -> None:
        self.host = host

    def _group(self, entry: Entry) -> Group:
        group = self._on_lun(entry) if entry.values.get("base") else None
        group = group or self.host.storage.groups.find(entry.values["vgname"])
        if group is None:
            raise AgentError(TEXTS["no_group"].format(name=entry.values["vgname"]))
        if self.thin and entry.values["thinpool"] not in group.pools:
            raise AgentError(TEXTS["no_thinpool"].format(name=group.name, pool=entry.values["thinpool"]))
        return group

    def _on_lun(self, entry: Entry) -> Group | None:
        ident, name = self.host.storage.split(entry.values["base"])
        below = self.host.storage.entry(ident)
        iscsi = self.host.storage.backends["iscsi"]
        assert isinstance(iscsi, Iscsi)
        lun = iscsi.lun(below, name)
        group = Group.read(lun.directory)
        if group is None:
            # `base` lets the storage make its group itself
            group = Group(entry.values["vgname"], (lun.size - _METADATA) // EXTENT * EXTENT, "", lun.directory)
            group.save()
        return group if group.name == entry.values["vgname"] else None

    def _pool(self, entry: Entry) -> str | None:
        return entry.values["thinpool"] if self.thin else None

    def _directory(self, entry: Entry) -> Path:
        pool = self._pool(entry)
        return self._group(entry).directory / (f"pool-{pool}" if pool else "volumes")

    async def activate(self, entry: Entry) -> None:
        """A group that is not there makes the storage inactive, no error (observed: POST /storage)."""
        if entry.values.get("base"):
            self._on_lun(entry)

    def usage(self, entry: Entry) -> Usage | None:
        try:
            group = self._group(entry)
        except AgentError:
            return None
        pool = self._pool(entry)
        if pool is None:
            return Usage(group.size, group.size - group.free, group.free)
        used = sum(sparse.allocated(path) for path in group.volumes(pool))
        return Usage(group.pools[pool], used, max(0, group.pools[pool] - used))

    def allocate(self, entry: Entry, vmid: int, name: str | None, form: str, size: int) -> str:
        group, directory = self._group(entry), self._directory(entry)
        size = -(-size // EXTENT) * EXTENT
        if not self.thin and size > group.free:
            free = group.free // EXTENT
            raise AgentError(TEXTS["space"].format(name=group.name, free=free, wanted=size // EXTENT))
        name = name or free_name({path.stem for path in directory.glob("*.raw")}, vmid, "raw")
        check_name(name, vmid, "raw")
        try:
            sparse.create(directory / f"{name}.raw", size)
        except FileExistsError:
            raise AgentError(TEXTS["taken"].format(name=group.name, lv=name)) from None
        return name

    def free(self, entry: Entry, name: str) -> None:
        path = self.path(entry, name)
        for snapshot in path.parent.glob(f".{name}@*"):
            snapshot.unlink()
        path.unlink()

    def path(self, entry: Entry, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise AgentError(TEXTS["name"].format(name=name))
        path = self._directory(entry) / f"{name}.raw"
        if not path.exists():
            raise AgentError(TEXTS["volume"].format(volid=f"{entry.id}:{name}"))
        return path

    def device(self, entry: Entry, name: str) -> str:
        return f"/dev/{entry.values['vgname']}/{name}"

    def list(self, entry: Entry) -> Iterator[Volume]:
        for path in sorted(self._directory(entry).glob("*.raw")):
            if match := _NAME.fullmatch(path.stem):
                stat = path.stat()
                used = sparse.allocated(path) if self.thin else stat.st_size
                volid = f"{entry.id}:{path.stem}"
                yield Volume(volid, "images", "raw", stat.st_size, used, int(stat.st_ctime), int(match[2]))

    def resize(self, entry: Entry, name: str, size: int) -> None:
        path = self.path(entry, name)
        group, more = self._group(entry), size - path.stat().st_size
        if not self.thin and more > group.free:
            free = group.free // EXTENT
            raise AgentError(TEXTS["space"].format(name=group.name, free=free, wanted=more // EXTENT))
        with path.open("r+b") as file:
            file.truncate(size)

    def can_snapshot(self, entry: Entry, name: str) -> bool:
        return self.thin

    def snapshot_path(self, entry: Entry, name: str, snapshot: str) -> Path:
        path = self.path(entry, name)
        return path.with_name(f".{name}@{snapshot}")

    def snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        self._check_thin()
        sparse.copy(self.path(entry, name), self.snapshot_path(entry, name, snapshot))

    def rollback(self, entry: Entry, name: str, snapshot: str) -> None:
        self._check_thin()
        sparse.copy(self.snapshot_path(entry, name, snapshot), self.path(entry, name))

    def delete_snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        self._check_thin()
        self.snapshot_path(entry, name, snapshot).unlink(missing_ok=True)

    def _check_thin(self) -> None:
        if not self.thin:
            raise AgentError(TEXTS["snapshot"])


class ThinVolumes(LvmVolumes):
    """Logical volumes of a thin pool (`lvmthin`), which can be templates.

    A linked clone is a thin snapshot of its base: it has no name but its own, and does not need the base once it is
    there [inferred from the names of such volumes: no part of them says what they were made from].
    """

    thin = True

    def make_base(self, entry: Entry, name: str) -> str:
        path, new = self.path(entry, name), base_name(name)
        path.rename(path.with_name(f"{new}.raw"))
        return new

    def clone(self, entry: Entry, name: str, vmid: int) -> str:
        base = self.path(entry, name)
        own = free_name({path.stem for path in base.parent.glob("*.raw")}, vmid, "raw")
        sparse.copy(base, base.with_name(f"{own}.raw"))
        return own
