# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's disks: sparse files named as the kernel names devices, with what the stack's definition says of them.

The first disk is the system disk. "In use" is what stands on a disk (`signatures`), what is mounted and what holds
it, decided as a real node decides it (facts §10).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.storage import signatures, sparse
from agentstack.storage.signatures import ALIGN, Partition

if TYPE_CHECKING:
    from agentstack.faults.kinds import Fault
    from agentstack.host import Host
    from agentstack.stack import Disk as Spec

TEXTS = {
    "in_use": "device '{device}' is already in use",
    "initgpt_in_use": "disk {device} already in use",
    "initgpt_partition": "{device} is a partition",
    "no_device": "not a valid block device",
    "no_info": "unable to get device info for '{device}'",
    "mounted": "disk/partition '{device}' is mounted",
    "holder": "disk/partition '{device}' has a holder",
}

_FILESYSTEM_NAMES = {"bluestore": "ceph_bluestore"}


@dataclass(frozen=True)
class Disk:
    """A disk of the stack's definition (`spec`) with the sparse file that holds its bytes."""

    spec: Spec
    image: Path
    system: bool

    @property
    def device(self) -> str:
        return f"/dev/{self.spec.name}"

    @property
    def by_id(self) -> str:
        bus = "nvme" if self.spec.type == "nvme" else "ata"
        return f"/dev/disk/by-id/{bus}-{self.spec.model.replace(' ', '_')}_{self.spec.serial}"

    def partition_device(self, number: int) -> str:
        separator = "p" if self.spec.name[-1].isdigit() else ""
        return f"{self.device}{separator}{number}"


class Disks:
    """The disks of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.lock = asyncio.Lock()
        """Held by every task that changes disks: a node runs them one after another (facts §10)."""
        self.holders: list[Callable[[str], bool]] = []
        """Each tells whether it holds the given device open (a pool that is imported, an OSD that runs)."""
        self.osd_ids: Callable[[str], list[int]] = lambda device: []
        self.listeners: list[Callable[[], None]] = []
        """Each is called when a disk has come, gone or changed its state."""
        self.failing: frozenset[str] = frozenset()
        """By-id paths of disks that answer with errors only."""
        self.stalled: frozenset[str] = frozenset()
        """By-id paths of disks that answer nothing."""
        self._removed: frozenset[str] = frozenset()
        self._disks = [
            Disk(self._in_slot(spec), host.disk_images / f"{spec.name}.img", system=index == 0)
            for index, spec in enumerate(host.spec.disks)
        ]

    async def start(self) -> None:
        if not signatures.has_gpt(self.system.image):
            _install_system(self.system)
        self.host.faults.subscribe("disk", apply=self._break)

    async def stop(self) -> None:
        """Disks need no ending."""

    def all(self) -> list[Disk]:
        """The disks that the host sees, by name."""
        there = (disk for disk in self._disks if disk.image.exists() and disk.spec.name not in self._removed)
        return sorted(there, key=lambda disk: disk.spec.name)

    @property
    def system(self) -> Disk:
        return self._disks[0]

    # ---- what breaks ------------------------------------------------------------------------------------------------

    def _serial_file(self, name: str) -> Path:
        return self.host.disk_images / f"{name}.serial"

    def _in_slot(self, spec: Spec) -> Spec:
        """The disk of the stack's definition, or the one that was put in its place since."""
        file = self._serial_file(spec.name)
        return dataclasses.replace(spec, serial=file.read_text()) if file.exists() else spec

    def _break(self, faults: list[Fault]) -> None:
        told = {fault.target[1]: fault.settings for fault in faults}
        for index, disk in enumerate(self._disks):
            serial = told.get(disk.spec.name, {}).get("replace")
            if serial not in (None, disk.spec.serial):
                disk.image.unlink()
                sparse.create(disk.image, disk.spec.size)
                write_durably(self._serial_file(disk.spec.name), str(serial).encode())
                self._disks[index] = dataclasses.replace(disk, spec=self._in_slot(disk.spec))
        # what was put into the slot is there, whatever happened to the disk before it
        gone = {name for name, settings in told.items() if settings.get("removed") and not settings.get("replace")}
        self._removed = frozenset(gone)
        self.failing = self._with("failing", told)
        self.stalled = self._with("stalled", told)
        for changed in self.listeners:
            changed()

    def _with(self, setting: str, told: dict[str, dict[str, Any]]) -> frozenset[str]:
        return frozenset(disk.by_id for disk in self._disks if told.get(disk.spec.name, {}).get(setting))

    def health(self, disk: Disk) -> str:
        """What SMART says of a disk: PASSED, FAILED or UNKNOWN."""
        return "FAILED" if disk.by_id in self.failing else disk.spec.health

    # ---- lookups ----------------------------------------------------------------------------------------------------

    def find(self, device: str) -> tuple[Disk, Partition | None]:
        """The disk, and the partition if `device` is one. Raises AgentError for what is no device."""
        for disk in self.all():
            if device in (disk.device, disk.by_id):
                return disk, None
            for part in signatures.read_partitions(disk.image):
                if device == disk.partition_device(part.number):
                    return disk, part
        raise AgentError(TEXTS["no_device"])

    def disk(self, device: str) -> Disk:
        """The whole disk of that name. Raises AgentError for a partition or for no device."""
        disk, part = self.find(device)
        if part is not None:
            raise AgentError(TEXTS["no_info"].format(device=device))
        return disk

    def mounts(self) -> dict[str, str]:
        """Mounted devices and where: what the mount units of this host say (`disks/directory` writes them)."""
        mounted = {}
        for unit in sorted((self.host.root / "etc/systemd/system").glob("mnt-*-*.mount")):
            values = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
            mounted[values["What"]] = values["Where"]
        return mounted

    def partition_usage(self, disk: Disk, part: Partition) -> str | None:
        """What a partition is used for, in the words of `disks/list`; None when nothing claims it."""
        if disk.partition_device(part.number) in self.mounts():
            return "mounted"
        if part.kind in ("BIOS boot", "EFI", "ZFS reserved"):
            return part.kind
        found = signatures.probe(disk.image, part.start)
        return _FILESYSTEM_NAMES.get(found, found) if found else None

    def usage(self, disk: Disk, *, partitions: bool = False) -> str | None:
        """What a disk is used for, None when it is free. With `partitions`, any partition makes it `partitions`."""
        if disk.device in self.mounts():
            return "mounted"
        parts = signatures.read_partitions(disk.image)
        if parts:
            if partitions:
                return "partitions"
            usages = [self.partition_usage(disk, part) for part in parts]
            return next((usage for usage in usages if usage), "partitions")
        found = signatures.probe(disk.image)
        return _FILESYSTEM_NAMES.get(found, found) if found else None

    def assert_unused(self, device: str) -> Disk:
        """The free disk of that name. Raises AgentError when something is on it."""
        disk = self.disk(device)
        if self.usage(disk) is not None:
            raise AgentError(TEXTS["in_use"].format(device=device))
        return disk

    def entries(self, *, partitions: bool = False, skip_smart: bool = False) -> list[dict[str, Any]]:
        """Entries of `disks/list` (facts §10), by device path."""
        found = []
        for disk in self.all():
            found.append(self._entry(disk, self.usage(disk, partitions=partitions), skip_smart))
            if partitions:
                found += [self._partition_entry(disk, part) for part in signatures.read_partitions(disk.image)]
        return found

    def _entry(self, disk: Disk, used: str | None, skip_smart: bool) -> dict[str, Any]:
        osds = self.osd_ids(disk.device)
        entry: dict[str, Any] = {
            "devpath": disk.device,
            "size": disk.spec.size,
            "vendor": disk.spec.vendor,
            "model": disk.spec.model,
            "serial": disk.spec.serial,
            "wwn": disk.spec.wwn,
            "rpm": disk.spec.rpm,
            "type": disk.spec.type,
            "health": "UNKNOWN" if skip_smart else self.health(disk),
            "wearout": "N/A" if skip_smart or disk.spec.wearout is None else disk.spec.wearout,
            "gpt": int(signatures.has_gpt(disk.image)),
            "by_id_link": disk.by_id,
            "osdid": osds[0] if osds else -1,
            "osdid-list": osds or None,
        }
        if osds:
            entry |= {"bluestore": 1, "osdencrypted": 0}
        if used == "mounted":
            entry["mounted"] = 1
        if used:
            entry["used"] = used
        return entry

    def _partition_entry(self, disk: Disk, part: Partition) -> dict[str, Any]:
        entry = self._entry(disk, self.partition_usage(disk, part), skip_smart=True)
        for name in ("vendor", "model", "serial", "wwn", "rpm", "health", "wearout", "by_id_link"):
            del entry[name]
        device = disk.partition_device(part.number)
        return entry | {"devpath": device, "parent": disk.device, "type": "partition", "size": part.size, "gpt": 1}

    def smart(self, disk: Disk, *, health_only: bool = False) -> dict[str, Any]:
        """Answer of `disks/smart`: attributes of an ATA disk, text of an NVMe one."""
        if health_only:
            return {"health": self.health(disk)}
        if disk.spec.type == "nvme":
            left = 100 if disk.spec.wearout is None else disk.spec.wearout
            lines = ["", "SMART/Health Information (NVMe Log 0x02)", "Critical Warning:                   0x00"]
            lines += [
                "Temperature:                        36 Celsius",
                f"Percentage Used:                    {100 - left}%",
            ]
            return {"health": self.health(disk), "type": "text", "text": "\n".join(lines) + "\n", "wearout": left}
        rows = [(5, "Reallocated_Sector_Ct", 100, 10, "0"), (9, "Power_On_Hours", 99, 0, "1093")]
        if disk.spec.wearout is not None and disk.spec.type == "ssd":
            rows.append((177, "Wear_Leveling_Count", disk.spec.wearout, 0, "12"))
        rows.append((194, "Temperature_Celsius", 67, 0, "33"))
        attributes = [
            {
                "id": f"{ident:3}",
                "name": name,
                "value": value,
                "normalized": float(value),
                "worst": value,
                "threshold": low,
            }
            | {"raw": raw, "fail": "-", "flags": "-O--CK"}
            for ident, name, value, low, raw in rows
        ]
        answer = {"health": self.health(disk), "type": "ata", "attributes": attributes}
        return answer if disk.spec.wearout is None else answer | {"wearout": disk.spec.wearout}

    def initialise(self, device: str, guid: str | None) -> None:
        """Write an empty partition table on a free disk."""
        disk, part = self.find(device)
        if part is not None:
            raise AgentError(TEXTS["initgpt_partition"].format(device=device))
        if self.usage(disk) is not None:
            raise AgentError(TEXTS["initgpt_in_use"].format(device=device))
        signatures.write_partitions(disk.image, [], UUID(guid) if guid else None)

    def assert_wipeable(self, device: str) -> None:
        """Raise AgentError when the disk or partition, or a partition of it, is mounted or held by something."""
        disk, part = self.find(device)
        parts = [part] if part else signatures.read_partitions(disk.image)
        devices = [device, *(disk.partition_device(part.number) for part in parts)]
        mounted = self.mounts()
        for name in devices:
            if name in mounted:
                raise AgentError(TEXTS["mounted"].format(device=name))
        if disk.system or any(held(name) for held in self.holders for name in devices):
            raise AgentError(TEXTS["holder"].format(device=devices[-1]))

    def wipe(self, device: str) -> None:
        """Make a disk or partition free again."""
        self.assert_wipeable(device)
        disk, part = self.find(device)
        if part is not None:
            signatures.wipe(disk.image, part.start, part.size)
            return
        for part in signatures.read_partitions(disk.image):
            signatures.wipe(disk.image, part.start, part.size)
        signatures.wipe(disk.image)

    def take(self, device: str, kind: str) -> tuple[Disk, Partition]:
        """Give a free disk one partition of that kind over all its space."""
        disk = self.assert_unused(device)
        part = Partition(1, ALIGN, disk.spec.size - 2 * ALIGN, kind)
        signatures.write_partitions(disk.image, [part])
        return disk, part


def _install_system(disk: Disk) -> None:
    """Partition the system disk as the installer does: BIOS boot, EFI, and LVM for the rest."""
    boot = Partition(1, ALIGN // 2, ALIGN // 2, "BIOS boot")
    efi = Partition(2, ALIGN, min(1 << 30, disk.spec.size // 8 // ALIGN * ALIGN), "EFI")
    lvm = Partition(3, efi.start + efi.size, disk.spec.size - efi.start - efi.size - ALIGN, "LVM")
    signatures.write_partitions(disk.image, [boot, efi, lvm])
    signatures.make_filesystem(disk.image, lvm.start, "LVM")
