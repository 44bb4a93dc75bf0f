# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ZFS pools over a host's disks, with datasets and volumes whose bytes are real (facts §10).

What a pool is made of stands in the label of every member disk, as with the real thing: a pool exists as long as its
disks do, on whatever name they have. Its data is kept beside the disks, one directory a pool: a volume is a sparse
file, a file system a directory, a snapshot a copy of either with `@NAME` behind it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.storage import signatures, sparse
from agentstack.storage.zpool import Dataset, Devices, Pool, Vdev

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.storage.disks import Disk

TEXTS = {
    "pool_exists": "pool '{name}' already exists on node '{node}'",
    "even": "raid10 needs an even number of disks",
    "single": "please give only one disk for single disk mode",
    "minimum": "{level} needs at least {count} disks",
    "no_pool": "cannot open '{name}': no such pool",
    "no_dataset": "cannot open '{name}': dataset does not exist",
    "no_snapshot": "could not find any snapshots to destroy; check snapshot names.",
    "exists": "cannot create '{name}': dataset already exists",
    "no_parent": "cannot create '{name}': parent does not exist",
    "no_space": "cannot create '{name}': out of space",
    "busy": "cannot destroy '{name}': dataset is busy",
    "clones": "cannot destroy '{name}': {kind} has dependent clones\n"
    "use '-R' to destroy the following datasets:\n{clones}",
    "pool_busy": "cannot unmount '/{name}': pool or dataset is busy",
    "snapshot_exists": "cannot create snapshot '{name}': dataset already exists",
    "suspended": "cannot open '{name}': pool I/O is currently suspended",
}

MINIMUM = {
    **{"single": 1, "mirror": 2, "raid10": 4, "raidz": 3, "raidz2": 4, "raidz3": 5},
    **{"draid": 3, "draid2": 4, "draid3": 5},
}
"""Least number of disks by RAID level (facts §10)."""


class Zfs:
    """The pools of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.state / "zfs"
        self.pools: dict[str, Pool] = {}
        self.devices = Devices(host.disks)

    async def start(self) -> None:
        self.host.disks.holders.append(self.holds)
        self.host.disks.listeners.append(self._disks_changed)
        self.import_all()

    def _disks_changed(self) -> None:
        for pool in self.pools.values():
            self.devices.look(pool)

    def blocked(self, path: Path) -> bool:
        """Tell whether a write to a file of a pool's data would wait for a disk."""
        return any(path.is_relative_to(pool.directory) and self.devices.blocked(pool) for pool in self.pools.values())

    async def stop(self) -> None:
        """Everything is on disk after each change."""

    def import_all(self) -> None:
        """Find the pools whose labels stand on the host's disks."""
        for disk in self.host.disks.all():
            for part in signatures.read_partitions(disk.image):
                label = signatures.read_zfs_label(disk.image, part.start)
                if label and label["guid"] and label["name"] not in self.pools:
                    self._import(label)

    def _import(self, label: dict[str, Any]) -> None:
        directory = self.directory / label["guid"]
        pool = Pool(
            *(label["name"], label["guid"], [Vdev(**vdev) for vdev in label["vdevs"]]),
            *(label["ashift"], label["created"], directory),
        )
        pool.offline = set(label.get("offline", ()))
        pool.settings = dict(label.get("settings", {}))
        if any(self.devices.vdev_state(pool, vdev) == "UNAVAIL" for vdev in pool.vdevs):
            return  # as a boot that does not find them: cannot import, one or more devices is currently unavailable
        self.devices.look(pool)
        stored = json.loads((directory / "datasets.json").read_text())
        pool.datasets = {name: Dataset(**values) for name, values in stored.items()}
        self.pools[pool.name] = pool

    # ---- pools ------------------------------------------------------------------------------------------------------

    def pool(self, name: str) -> Pool:
        """The imported pool of that name. Raises AgentError."""
        if name not in self.pools:
            raise AgentError(TEXTS["no_pool"].format(name=name))
        return self.pools[name]

    def clear(self, name: str) -> None:
        """Let a pool whose disks are back go on, and with it the guests that wait for it. Raises AgentError."""
        self.devices.clear(self.pool(name))
        for changed in self.host.disks.listeners:
            changed()

    def check_layout(self, name: str, level: str, count: int) -> None:
        """Raise AgentError when a pool of that name and level cannot be made of `count` disks."""
        if name in self.pools:
            raise AgentError(TEXTS["pool_exists"].format(name=name, node=self.host.name))
        if level == "raid10" and count % 2:
            raise AgentError(TEXTS["even"])
        if level == "single" and count > 1:
            raise AgentError(TEXTS["single"])
        if count < MINIMUM[level]:
            raise AgentError(TEXTS["minimum"].format(level=level, count=MINIMUM[level]))

    def create_pool(self, name: str, level: str, devices: list[str], ashift: int, compression: str) -> Pool:
        """Make a pool over free disks and import it. Raises AgentError in the server's words, with nothing changed."""
        disks = [self.host.disks.assert_unused(device) for device in devices]
        self.check_layout(name, level, len(disks))
        groups = [disks[i : i + 2] for i in range(0, len(disks), 2)] if level == "raid10" else [disks]
        kind = {"single": "disk", "raid10": "mirror", "raidz": "raidz1", "draid": "draid1"}.get(level, level)
        return self.make_pool(name, [(kind, group) for group in groups], ashift, {"compression": compression})

    def make_pool(
        self,
        name: str,
        groups: Sequence[tuple[str, Sequence[Disk]]],
        ashift: int,
        properties: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
    ) -> Pool:
        """Make a pool of top-level devices (`mirror`, its free disks) and import it.

        `properties` are those of its file system, `settings` its own. Raises AgentError for a disk that is not free.
        """
        taken = {disk.by_id: self.host.disks.take(disk.device, "ZFS") for _, disks in groups for disk in disks}
        created = self.host.clock.now()
        pool = Pool(
            name=name,
            guid=str(secrets.randbits(63)),
            vdevs=[
                Vdev(kind, [disk.by_id for disk in disks], min(taken[disk.by_id][1].size for disk in disks))
                for kind, disks in groups
            ],
            ashift=ashift,
            created=created,
            directory=self.directory,
            settings=dict(settings or {}),
        )
        pool.directory = self.directory / pool.guid
        (pool.directory / "data").mkdir(parents=True)
        pool.datasets[name] = Dataset("filesystem", created, properties=dict(properties))
        pool.save()
        self.devices.write_labels(pool, [disk for disk, _ in taken.values()])
        self.devices.look(pool)
        self.pools[name] = pool
        return pool

    def destroy_pool(self, name: str) -> list[str]:
        """End a pool and everything in it; returns the device paths of its disks. Their labels stay, as destroyed."""
        pool = self.pool(name)
        if any(self._in_use(pool.path(dataset)) for dataset in pool.datasets):
            raise AgentError(TEXTS["pool_busy"].format(name=name))
        devices = []
        for disk in self.host.disks.all():
            for part in signatures.read_partitions(disk.image):
                label = signatures.read_zfs_label(disk.image, part.start)
                if label and label["guid"] == pool.guid:
                    devices.append(disk.device)
                    # the destroyed mark of the real label: the signature still counts as "in use", the pool is gone
                    signatures.write_zfs_label(disk.image, part.start, {"destroyed": True, "name": "", "guid": ""})
        del self.pools[name]
        shutil.rmtree(pool.directory)
        return devices

    def _in_use(self, path: Path) -> bool:
        """Tell whether a guest works on a file; a backup server has none."""
        return self.host.kind == "pve" and self.host.guests.uses(path)

    def holds(self, device: str) -> bool:
        """Tell whether an imported pool has this disk or partition."""
        disk, _ = self.host.disks.find(device)
        return any(disk.by_id in vdev.disks for pool in self.pools.values() for vdev in pool.vdevs)

    def health(self, pool: Pool) -> str:
        """ONLINE, DEGRADED or SUSPENDED, as `zpool list` shows it."""
        return self.devices.health(pool)

    def summary(self, pool: Pool) -> dict[str, Any]:
        """A pool as `GET disks/zfs` lists it."""
        clones = [name for name in pool.datasets if self._origin(pool, name) is not None]
        shared = sum(max(0, self.referenced(pool, name) - self.own(pool, name)) for name in clones)
        alloc = sparse.allocated(pool.directory / "data") - shared + (128 << 10)
        return {
            **{"name": pool.name, "size": pool.size, "alloc": alloc, "free": pool.size - alloc, "frag": 0, "dedup": 1},
            "health": self.health(pool),
        }

    # ---- datasets ---------------------------------------------------------------------------------------------------

    def exists(self, name: str) -> bool:
        """Tell whether there is a file system or volume of that full name."""
        pool = self.pools.get(name.partition("/")[0])
        return pool is not None and name in pool.datasets

    def dataset(self, name: str) -> tuple[Pool, Dataset]:
        """Pool and dataset for a full name. Raises AgentError when there is none or the pool has lost its disks."""
        pool = self.pools.get(name.partition("/")[0])
        if pool is None or name not in pool.datasets:
            raise AgentError(TEXTS["no_dataset"].format(name=name))
        if self.health(pool) == "SUSPENDED":
            raise AgentError(TEXTS["suspended"].format(name=name))
        return pool, pool.datasets[name]

    def path(self, name: str) -> Path:
        """Where the bytes of a volume or file system are."""
        return self.dataset(name)[0].path(name)

    def children(self, name: str) -> Iterator[tuple[str, Dataset]]:
        """Everything directly below a dataset, as (full name, dataset)."""
        pool, _ = self.dataset(name)
        for other, dataset in pool.datasets.items():
            if other.startswith(f"{name}/") and "/" not in other[len(name) + 1 :]:
                yield other, dataset

    def used(self, pool: Pool, name: str) -> int:
        """Bytes that a dataset with all below it takes, reservations of thick volumes included."""
        total = 0
        for other, dataset in pool.datasets.items():
            if other == name or other.startswith(f"{name}/"):
                snapshots = sum(sparse.allocated(pool.path(other, snapshot)) for snapshot in dataset.snapshots)
                own = self.own(pool, other) + snapshots
                reserved = dataset.volsize if dataset.volsize and not dataset.sparse else 0
                total += max(own, reserved)
        return total

    def referenced(self, pool: Pool, name: str) -> int:
        """Bytes of a dataset's own data."""
        path = pool.path(name)
        if pool.datasets[name].kind == "volume" or name != pool.name:
            return sparse.allocated(path) + (24 << 10)
        return 24 << 10

    def own(self, pool: Pool, name: str) -> int:
        """Bytes of a dataset's data that no other has; all of it but for clones."""
        origin = self._origin(pool, name)
        return self.referenced(pool, name) if origin is None else sparse.written(pool.path(name), origin) + (24 << 10)

    def _origin(self, pool: Pool, name: str) -> Path | None:
        """The snapshot that a dataset is a clone of, as long as it is there."""
        origin, _, snapshot = pool.datasets[name].properties.get("origin", "").partition("@")
        source = pool.datasets.get(origin)
        return pool.path(origin, snapshot) if source is not None and snapshot in source.snapshots else None

    def available(self, pool: Pool) -> int:
        """Bytes that can still be written or reserved in the pool."""
        return max(0, pool.usable - self.used(pool, pool.name))

    def create_volume(self, name: str, size: int, *, thin: bool = False) -> Path:
        """Make a volume of `size` bytes, reserved unless `thin`; returns its file."""
        pool = self._room_for(name, 0 if thin else size)
        pool.datasets[name] = Dataset("volume", self.host.clock.now(), volsize=size, sparse=thin)
        path = pool.path(name)
        sparse.create(path, size)
        pool.save()
        return path

    def create_filesystem(self, name: str, properties: dict[str, str]) -> Path:
        """Make a file system (`properties`: refquota …); returns its directory."""
        pool = self._room_for(name, 0)
        pool.datasets[name] = Dataset("filesystem", self.host.clock.now(), properties=properties)
        path = pool.path(name)
        path.mkdir(parents=True)
        pool.save()
        return path

    def _room_for(self, name: str, size: int) -> Pool:
        parent = name.rpartition("/")[0]
        if not self.exists(parent):
            raise AgentError(TEXTS["no_parent"].format(name=name))
        pool, _ = self.dataset(parent)
        if name in pool.datasets:
            raise AgentError(TEXTS["exists"].format(name=name))
        if size > self.available(pool):
            raise AgentError(TEXTS["no_space"].format(name=name))
        return pool

    def resize(self, name: str, size: int) -> None:
        """Set the size of a volume."""
        pool, dataset = self.dataset(name)
        os.truncate(pool.path(name), size)
        dataset.volsize = size
        pool.save()

    def clones(self, name: str, snapshot: str | None = None) -> list[str]:
        """The datasets that are clones of a dataset's snapshots, or of one of them."""
        pool, dataset = self.dataset(name)
        origins = {f"{name}@{each}" for each in dataset.snapshots if snapshot in (None, each)}
        return sorted(each for each, other in pool.datasets.items() if other.properties.get("origin") in origins)

    def destroy(self, name: str) -> None:
        """Remove a dataset with its snapshots."""
        pool, dataset = self.dataset(name)
        if clones := self.clones(name):
            raise AgentError(TEXTS["clones"].format(name=name, kind=dataset.kind, clones="\n".join(clones)))
        if self._in_use(pool.path(name)):
            raise AgentError(TEXTS["busy"].format(name=name))
        for snapshot in dataset.snapshots:
            _remove(pool.path(name, snapshot))
        _remove(pool.path(name))
        del pool.datasets[name]
        pool.save()

    # ---- snapshots --------------------------------------------------------------------------------------------------

    def snapshot(self, name: str, snapshot: str) -> None:
        """Keep the present state of a dataset under a name."""
        pool, dataset = self.dataset(name)
        if snapshot in dataset.snapshots:
            raise AgentError(TEXTS["snapshot_exists"].format(name=f"{name}@{snapshot}"))
        _duplicate(pool.path(name), pool.path(name, snapshot), self._others(pool, name))
        dataset.snapshots[snapshot] = self.host.clock.now()
        pool.save()

    def rollback(self, name: str, snapshot: str) -> None:
        """Bring a dataset back to a snapshot, and nothing that lies below it."""
        pool, dataset = self.dataset(name)
        if snapshot not in dataset.snapshots:
            raise AgentError(TEXTS["no_dataset"].format(name=f"{name}@{snapshot}"))
        path, others = pool.path(name), self._others(pool, name)
        if path.is_dir():
            for entry in path.iterdir():
                if entry.name not in others:
                    _remove(entry)
        _duplicate(pool.path(name, snapshot), path, others)
        if dataset.volsize is not None:
            # the size is part of what a snapshot keeps
            dataset.volsize = path.stat().st_size
        pool.save()

    def _others(self, pool: Pool, name: str) -> set[str]:
        """What in a file system's directory is not its own: what lies below it, and snapshots."""
        own = pool.datasets[name].snapshots if name == pool.name else ()
        found = {pool.path(name, each).name for each in own}
        for child, dataset in pool.datasets.items():
            if child.rpartition("/")[0] == name:
                found |= {pool.path(child, each).name for each in (None, *dataset.snapshots)}
        return found

    def destroy_snapshot(self, name: str, snapshot: str) -> None:
        """Forget a snapshot."""
        pool, dataset = self.dataset(name)
        if snapshot not in dataset.snapshots:
            raise AgentError(TEXTS["no_snapshot"])
        if clones := self.clones(name, snapshot):
            full = f"{name}@{snapshot}"
            raise AgentError(TEXTS["clones"].format(name=full, kind="snapshot", clones="\n".join(clones)))
        _remove(pool.path(name, snapshot))
        del dataset.snapshots[snapshot]
        pool.save()


def _duplicate(source: Path, target: Path, others: set[str]) -> None:
    if source.is_dir():
        top = str(source)
        shutil.copytree(
            source,
            target,
            dirs_exist_ok=True,
            ignore=lambda folder, names: others & set(names) if folder == top else (),
        )
    else:
        sparse.copy(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
