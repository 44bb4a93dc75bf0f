# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ZFS pool is made of, and how it stands with its devices: who is missing, what that means, how it is mended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.storage import signatures

if TYPE_CHECKING:
    from agentstack.storage.disks import Disk, Disks

TEXTS = {
    "no_device": "cannot {verb} {device}: no such device in pool",
    "no_replicas": "cannot offline {device}: no valid replicas",
    "too_small": "cannot replace {device} with {new}: device is too small",
    "in_use": "invalid vdev specification\nuse '-f' to override the following errors:\n{new} is in use ({usage})",
    "gone": "cannot open '{new}': no such device in /dev\nmust be a full path or shorthand device name",
}

_SUFFICIENT = "Sufficient replicas exist for\nthe pool to continue functioning in a degraded state."
_TEXTS_BY_STATE = {
    "FAULTED": (
        f"One or more devices are faulted in response to persistent errors.\n{_SUFFICIENT}",
        "Replace the faulted device, or use 'zpool clear' to mark the device\nrepaired.",
    ),
    "REMOVED": (
        f"One or more devices have been removed.\n{_SUFFICIENT}",
        "Online the device using zpool online' or replace the device with\n'zpool replace'.",
    ),
    "OFFLINE": (
        f"One or more devices has been taken offline by the administrator.\n{_SUFFICIENT}",
        "Online the device using 'zpool online' or replace the device with\n'zpool replace'.",
    ),
    "UNAVAIL": (
        "One or more devices could not be used because the label is missing or\n"
        "invalid.  Sufficient replicas exist for the pool to continue\nfunctioning in a degraded state.",
        "Replace the device using 'zpool replace'.",
    ),
}
_SUSPENDED = (
    "One or more devices are faulted in response to IO failures.",
    "Make sure the affected devices are connected, then run 'zpool clear'.",
)
MESSAGES = {"UNAVAIL": "cannot open", "FAULTED": "too many errors"}
"""What stands behind a device's error counts, by its state."""

PARITY = {"raidz1": 1, "raidz2": 2, "raidz3": 3, "draid1": 1, "draid2": 2, "draid3": 3}


@dataclass
class Vdev:
    """A top-level device of a pool: `kind` disk, mirror, raidz1 … and the by-id paths of its disks."""

    kind: str
    disks: list[str]
    size: int
    """Bytes of its smallest disk."""

    @property
    def parity(self) -> int:
        return len(self.disks) - 1 if self.kind == "mirror" else PARITY.get(self.kind, 0)

    @property
    def raw_size(self) -> int:
        """What `zpool list` counts: mirrors once, RAID-Z with its parity."""
        return self.size if self.kind in ("disk", "mirror") else self.size * len(self.disks)

    @property
    def usable(self) -> float:
        """The part of `raw_size` that data can take."""
        return 1.0 if self.kind in ("disk", "mirror") else 1 - self.parity / len(self.disks)


@dataclass
class Dataset:
    """A file system or a volume; times in seconds since the epoch, sizes in bytes."""

    kind: str
    created: float
    volsize: int | None = None
    sparse: bool = False
    properties: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, float] = field(default_factory=dict)
    """Creation time by name, oldest first."""


@dataclass
class Pool:
    """An imported pool. `datasets` by full name (`tank`, `tank/vm-100-disk-0`)."""

    name: str
    guid: str
    vdevs: list[Vdev]
    ashift: int
    created: float
    directory: Path
    datasets: dict[str, Dataset] = field(default_factory=dict)
    offline: set[str] = field(default_factory=set)
    """By-id paths of the disks that the administrator has taken out."""
    present: set[str] = field(default_factory=set)
    """By-id paths of the disks that were there when the pool was imported, or came since."""
    settings: dict[str, str] = field(default_factory=dict)
    """Properties of the pool itself (`autotrim`) that are not as they are by default."""
    suspended: bool = False
    """Writing has failed: nothing goes on until somebody says `zpool clear`."""

    @property
    def size(self) -> int:
        return sum(vdev.raw_size for vdev in self.vdevs)

    @property
    def usable(self) -> int:
        """Bytes that data can take, after parity and the reserve that ZFS keeps (1/32, at least 128 MiB)."""
        net = sum(int(vdev.raw_size * vdev.usable) for vdev in self.vdevs)
        return net - min(max(net // 32, 128 << 20), 128 << 30)

    def path(self, name: str, snapshot: str | None = None) -> Path:
        """Where the bytes of a dataset (or of a snapshot of it) are."""
        dataset = self.datasets[name]
        relative = name.removeprefix(self.name).lstrip("/") + (f"@{snapshot}" if snapshot else "")
        return self.directory / "data" / (f"{relative}.raw" if dataset.kind == "volume" else relative)

    def disks(self) -> list[str]:
        """By-id paths of all its disks."""
        return [disk for vdev in self.vdevs for disk in vdev.disks]

    def label(self) -> dict[str, Any]:
        """What stands on every member disk."""
        return {
            **{"name": self.name, "guid": self.guid, "ashift": self.ashift, "created": self.created},
            **{"vdevs": [asdict(vdev) for vdev in self.vdevs], "offline": sorted(self.offline)},
            "settings": self.settings,
        }

    def save(self) -> None:
        text = json.dumps({name: asdict(dataset) for name, dataset in self.datasets.items()})
        new = self.directory / "datasets.json.new"
        with new.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.directory / "datasets.json")


class Devices:
    """The pools' disks as one host sees them."""

    def __init__(self, disks: Disks) -> None:
        self.disks = disks

    def state(self, pool: Pool, disk: str) -> str:
        """ONLINE, OFFLINE, FAULTED (answers with errors), REMOVED (pulled out of a pool that runs) or UNAVAIL."""
        if disk in pool.offline:
            return "OFFLINE"
        if disk not in {known.by_id for known in self.disks.all()}:
            return "REMOVED" if disk in pool.present else "UNAVAIL"
        return "FAULTED" if disk in self.disks.failing else "ONLINE"

    def vdev_state(self, pool: Pool, vdev: Vdev) -> str:
        """ONLINE, DEGRADED (redundancy lost) or UNAVAIL (data lost) of one top-level device."""
        lost = sum(self.state(pool, disk) != "ONLINE" for disk in vdev.disks)
        return "ONLINE" if not lost else "DEGRADED" if lost <= vdev.parity else "UNAVAIL"

    def health(self, pool: Pool) -> str:
        """ONLINE, DEGRADED or SUSPENDED, as `zpool list` shows it."""
        states = {self.vdev_state(pool, vdev) for vdev in pool.vdevs}
        if pool.suspended or "UNAVAIL" in states:
            return "SUSPENDED"
        return "DEGRADED" if "DEGRADED" in states else "ONLINE"

    def explanation(self, pool: Pool) -> tuple[str, str] | None:
        """The `status` and `action` texts of `zpool status`; None for a pool in good order."""
        match self.health(pool):
            case "ONLINE":
                return None
            case "SUSPENDED":
                return _SUSPENDED
        states = {self.state(pool, disk) for disk in pool.disks()}
        return next(texts for state, texts in _TEXTS_BY_STATE.items() if state in states)

    def blocked(self, pool: Pool) -> bool:
        """Tell whether a write to the pool would wait: it is suspended, or one of its disks answers nothing."""
        return self.health(pool) == "SUSPENDED" or bool(self.disks.stalled & set(pool.disks()))

    def look(self, pool: Pool) -> None:
        """Take into account which disks are there now."""
        if any(self.vdev_state(pool, vdev) == "UNAVAIL" for vdev in pool.vdevs):
            pool.suspended = True
        pool.present |= {disk.by_id for disk in self.disks.all()} & set(pool.disks())

    # ---- what an administrator does ---------------------------------------------------------------------------------

    def member(self, pool: Pool, device: str, verb: str) -> str:
        """The by-id path of a pool's disk from any of its names. Raises AgentError."""
        short = device.removesuffix("-part1")
        for disk in pool.disks():
            if short in (disk, disk.rpartition("/")[2]):
                return disk
        for known in self.disks.all():
            if short in (known.device, known.spec.name) and known.by_id in pool.disks():
                return known.by_id
        raise AgentError(TEXTS["no_device"].format(verb=verb, device=device))

    def clear(self, pool: Pool) -> None:
        """Go on, if the devices are back."""
        if all(self.vdev_state(pool, vdev) != "UNAVAIL" for vdev in pool.vdevs):
            pool.suspended = False

    def take_offline(self, pool: Pool, device: str) -> None:
        """Do without a disk. Raises AgentError where that would lose data."""
        disk = self.member(pool, device, "offline")
        vdev = next(vdev for vdev in pool.vdevs if disk in vdev.disks)
        others = sum(self.state(pool, other) != "ONLINE" for other in vdev.disks if other != disk)
        if others + 1 > vdev.parity:
            raise AgentError(TEXTS["no_replicas"].format(device=device))
        pool.offline.add(disk)
        self.write_labels(pool)

    def bring_online(self, pool: Pool, device: str) -> None:
        """Take a disk back that was offline."""
        pool.offline.discard(self.member(pool, device, "online"))
        self.write_labels(pool)

    def replace(self, pool: Pool, device: str, new: str | None, *, force: bool) -> None:
        """Put another disk in the place of one of the pool's; `new` None: the one in the same slot now.

        Raises AgentError, with nothing changed, for a disk that is too small or, without `force`, in use.
        """
        old = self.member(pool, device, "replace") if new else self._slot(pool, device)
        vdev = next(vdev for vdev in pool.vdevs if old in vdev.disks)
        disk = self._new_disk(new or device, force=force)
        if disk.spec.size < vdev.size:
            raise AgentError(TEXTS["too_small"].format(device=device, new=new or device))
        _, part = self.disks.take(disk.device, "ZFS")
        vdev.disks[vdev.disks.index(old)] = disk.by_id
        vdev.size = min(vdev.size, part.size)
        pool.offline.discard(old)
        pool.present = (pool.present | {disk.by_id}) - {old}
        self.write_labels(pool)
        for known in self.disks.all():
            if known.by_id == old:
                signatures.wipe(known.image)

    def _slot(self, pool: Pool, device: str) -> str:
        """The pool's missing disk for a device name without a new one: the only one that is not there."""
        try:
            return self.member(pool, device, "replace")
        except AgentError:
            missing = [disk for disk in pool.disks() if self.state(pool, disk) in ("REMOVED", "UNAVAIL")]
            if len(missing) != 1:
                raise
            return missing[0]

    def _new_disk(self, name: str, *, force: bool) -> Disk:
        path = name if name.startswith("/") else f"/dev/{name}"
        try:
            disk = self.disks.disk(path)
        except AgentError:
            raise AgentError(TEXTS["gone"].format(new=name)) from None
        usage = self.disks.usage(disk)
        if usage is not None:
            if not force or disk.system or any(held(disk.device) for held in self.disks.holders):
                raise AgentError(TEXTS["in_use"].format(new=disk.device, usage=usage))
            self.disks.wipe(disk.device)
        return disk

    def write_labels(self, pool: Pool, disks: Iterable[Disk] | None = None) -> None:
        """Put the pool's present make-up on every member disk that is there."""
        label = pool.label()
        for disk in disks if disks is not None else self.disks.all():
            if disk.by_id in pool.disks() and disk.by_id not in pool.offline:
                part = signatures.read_partitions(disk.image)[0]
                signatures.write_zfs_label(disk.image, part.start, label)
