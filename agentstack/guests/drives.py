# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests' disks and network cards in a configuration: `scsi0: tank:vm-101-disk-0,size=4G`, `net0: virtio=MAC,…`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentstack._shared.units import format_size, parse_size
from agentstack.errors import AgentError, ParameterError
from agentstack.guests.config import LXC, GuestConfig, Kind

if TYPE_CHECKING:
    from agentstack.host import Host

_NEW = re.compile(r"([A-Za-z][\w.-]*):(\d+(?:\.\d+)?)")
_MODELS = frozenset({"virtio", "e1000", "e1000e", "rtl8139", "vmxnet3", "ne2k_pci", "pcnet", "i82551"})
_DEFAULT_MAC_PREFIX = "BC:24:11"
_VM_DRIVE_DEFAULT = {"efidisk0": 528 << 10, "tpmstate0": 4 << 20}
"""Sizes that do not follow from what is asked for."""

CLOUDINIT_SIZE = 4 << 20
FILE_STORAGES = frozenset({"dir", "btrfs", "nfs", "cifs"})
"""Where the name of a volume ends in its format."""


@dataclass
class Drive:
    """One disk of a guest: the volume (or `none`, a path), and its options in the order given."""

    volume: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def is_cdrom(self) -> bool:
        return self.options.get("media") == "cdrom"

    @property
    def is_volume(self) -> bool:
        """The disk is a volume on a storage, not a path, `none`, or a device."""
        return ":" in self.volume and not self.volume.startswith("/")

    @property
    def storage(self) -> str:
        return self.volume.partition(":")[0]

    @property
    def size(self) -> int:
        """Bytes, 0 if the configuration does not say."""
        return parse_size(self.options.get("size", "0"))

    @property
    def replicates(self) -> bool:
        return self.options.get("replicate", "1") not in ("0", "no", "off", "false")

    def format(self) -> str:
        return ",".join([self.volume, *(f"{key}={self.options[key]}" for key in sorted(self.options))])


def parse_drive(key: str, text: str) -> Drive:
    """Parse a drive or mount point. Raises ParameterError for a text without a volume."""
    drive = Drive("")
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            name, value = "file", name
        if name in ("file", "volume"):
            drive.volume = value
        else:
            drive.options[name] = value
    if not drive.volume:
        raise ParameterError(
            {key: f"invalid format - format error\n{key}.file: property is missing and it is not optional\n"}
        )
    return drive


def drives(kind: Kind, config: GuestConfig | dict[str, str]) -> Iterator[tuple[str, Drive]]:
    """The disks of a guest, CD-ROMs included, the first disk (of a container: its root) first."""
    values = config.values if isinstance(config, GuestConfig) else config
    keys = [key for key in values if kind.disk_keys.fullmatch(key)]
    for key in sorted(keys, key=lambda key: (key != "rootfs", _order(key))):
        yield key, parse_drive(key, values[key])


def _order(key: str) -> tuple[int, str, int]:
    match = re.fullmatch(r"([a-z]+)(\d*)", key)
    name, number = (match[1], int(match[2] or 0)) if match else (key, 0)
    # firmware variables and the TPM are never the disk that a guest works on
    return (1 if name in ("efidisk", "tpmstate") else 0, name, number)


def volumes(kind: Kind, config: GuestConfig) -> Iterator[tuple[str, Drive]]:
    """The disks of a guest that are volumes of its own."""
    for key, drive in drives(kind, config):
        if drive.is_volume and (not drive.is_cdrom or is_cloudinit(drive)):
            yield key, drive
    for key, value in config.values.items():
        if key.startswith("unused") and key[6:].isdigit():
            yield key, parse_drive(key, value)


def storage_of(key: str, text: str) -> str | None:
    """The storage that a drive parameter names; None when it names none."""
    drive = parse_drive(key, text)
    return drive.storage if drive.is_volume else None


def allocate(host: Host, kind: Kind, vmid: int, key: str, text: str) -> tuple[str, bool]:
    """Turn a drive parameter into what the file holds, making the disk if it asks for a new one (`tank:4`).

    Returns the text for the configuration and whether a volume was made.
    """
    drive = parse_drive(key, text)
    if kind is not LXC and drive.volume.partition(":")[2] == "cloudinit":
        return _allocate_cloudinit(host, vmid, drive), True
    match = _NEW.fullmatch(drive.volume)
    if match is None or drive.is_cdrom:
        if drive.is_volume and not drive.is_cdrom:
            path_size = host.storage.size(drive.volume)
            host.storage.path(drive.volume)
            drive.options["size"] = format_size(path_size)
        return drive.format(), False
    size = _VM_DRIVE_DEFAULT.get(key) or int(float(match[2]) * (1 << 30))
    entry = host.storage.check_content(match[1], "rootdir" if kind is LXC else "images")
    form = drive.options.pop("format", None)
    if kind is LXC:
        form = "subvol" if entry.type == "zfspool" else "raw"
    drive.volume = host.storage.allocate(match[1], vmid, size, form=form)
    drive.options["size"] = format_size(size)
    return drive.format(), True


def _allocate_cloudinit(host: Host, vmid: int, drive: Drive) -> str:
    entry = host.storage.check_content(drive.storage, "images")
    form = drive.options.pop("format", None) or ("qcow2" if entry.type in FILE_STORAGES else None)
    name = f"vm-{vmid}-cloudinit" + (f".{form}" if entry.type in FILE_STORAGES else "")
    drive.volume = host.storage.allocate(drive.storage, vmid, CLOUDINIT_SIZE, form=form, name=name)
    drive.options |= {"media": "cdrom", "size": format_size(CLOUDINIT_SIZE)}
    return drive.format()


def is_cloudinit(drive: Drive) -> bool:
    """Tell whether a CD-ROM is the one that configures the guest at its first start."""
    return drive.is_volume and re.search(r"(?:^|[:/])vm-\d+-cloudinit(?:\.|$)", drive.volume) is not None


def renew_mac(kind: Kind, text: str) -> str:
    """A network card's text with a new address."""
    parts = [part.partition("=")[::2] for part in text.split(",")]
    mac = "hwaddr" if kind is LXC else next((key for key, _ in parts if key in _MODELS), "macaddr")
    return ",".join(f"{key}={random_mac() if key == mac else value}" for key, value in parts)


def random_mac(prefix: str | None = None) -> str:
    """A MAC address of the data centre's range."""
    parts = (prefix or _DEFAULT_MAC_PREFIX).upper().split(":")
    return ":".join([*parts, *(f"{byte:02X}" for byte in secrets.token_bytes(6 - len(parts)))])


def complete_net(kind: Kind, text: str) -> str:
    """Give a network card its address where the caller left that to the server."""
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if kind is LXC:
        parts.setdefault("hwaddr", random_mac())
        parts.setdefault("type", "veth")
        return ",".join(f"{key}={parts[key]}" for key in ("name", *sorted(set(parts) - {"name"})) if key in parts)
    model = next((key for key in parts if key in _MODELS), None) or parts.pop("model", "virtio")
    mac = parts.pop(model, "") or parts.pop("macaddr", "") or random_mac()
    return ",".join([f"{model}={mac}", *(f"{key}={parts[key]}" for key in sorted(parts))])


def parse_disk_size(current: int, text: str) -> int:
    """A new size in bytes from `10G` or `+2G`. Raises AgentError for a size that is smaller than the present one."""
    size = current + parse_size(text[1:]) if text.startswith("+") else parse_size(text)
    if size < current:
        raise AgentError("shrinking disks is not supported")
    return size
