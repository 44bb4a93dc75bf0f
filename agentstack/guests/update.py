# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to a guest's configuration: at once where that is possible, else pending until the next start."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack._shared.units import format_size
from agentstack.errors import AgentError
from agentstack.guests import cloudinit, create, drives
from agentstack.guests import config as configs
from agentstack.guests.bridges import check_bridges
from agentstack.guests.config import LXC, QEMU, GuestConfig, Kind
from agentstack.sections import check_digest

if TYPE_CHECKING:
    from agentstack.access.identity import Identity
    from agentstack.host import Host

TEXTS = {
    "nothing": "no options specified",
    "no_disk": "disk '{disk}' does not exist",
    "no_such_disk": "no such disk '{disk}'",
    "cdrom": "can't resize a cdrom",
}

_IMMEDIATE = re.compile(
    "name|hostname|description|tags|onboot|startup|protection|hookscript|lock|hotplug|migrate_.*|args|affinity|"
    r"features|unused\d+|net\d+|(?:scsi|virtio|sata)\d+|mp\d+|cores|memory|swap|cpulimit|cpuunits|shares|balloon|"
    "nameserver|searchdomain|cmode|console|tty"
)
_VM_PENDING = frozenset({"cores", "memory", "features", "sockets"})
"""Options that a container changes while it runs and a VM does not (without hot-plug of them)."""

PRIVILEGES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"(?:scsi|virtio|sata|ide|efidisk|tpmstate|unused|mp)\d+|rootfs|scsihw|vmstatestorage"),
        "VM.Config.Disk",
    ),
    (re.compile(r"cdrom"), "VM.Config.CDROM"),
    (re.compile(r"cores|sockets|cpu|cpulimit|cpuunits|vcpus|numa\d*|affinity"), "VM.Config.CPU"),
    (re.compile(r"memory|balloon|shares|swap|hugepages|keephugepages"), "VM.Config.Memory"),
    (re.compile(r"net\d+|ipconfig\d+|nameserver|searchdomain|hostname"), "VM.Config.Network"),
    (re.compile(r"ci.*|sshkeys"), "VM.Config.Cloudinit"),
    (
        re.compile(r"acpi|bios|machine|vga|audio0|rng0|tablet|watchdog|ivshmem|arch|cpu|hotplug|kvm|usb\d+|serial\d+"),
        "VM.Config.HWType",
    ),
)
_OTHER_OPTION = "VM.Config.Options"


def check_options(
    host: Host,
    identity: Identity,
    vmid: int,
    given: Mapping[str, str],
    *,
    removed: Collection[str] = (),
    pool: str | None = None,
) -> None:
    """Raise 403 unless the caller may set each of the options, and plug its cards where they are to be (facts §17).

    `removed`: options that go; `pool`: where a new guest comes into.
    """
    for key in sorted({*given, *removed}):
        privilege = next((privilege for pattern, privilege in PRIVILEGES if pattern.fullmatch(key)), _OTHER_OPTION)
        if not pool or not host.access.may(identity, f"/pool/{pool}", [privilege]):
            host.access.check(identity, f"/vms/{vmid}", [privilege])
    check_bridges(host, identity, given)


async def update(host: Host, identity: Identity, kind: Kind, vmid: int, params: Mapping[str, Any]) -> None:
    """Set and delete options of a guest on this node."""
    given = create.options(params)
    deleted = split_list(params.get("delete"))
    reverted = split_list(params.get("revert"))
    if not given and not deleted and not reverted:
        raise AgentError(TEXTS["nothing"])
    check_options(host, identity, vmid, given, removed=[*deleted, *reverted])
    async with host.guests.lock(vmid):
        config, digest = configs.load_with_digest(host, kind, vmid)
        check_digest(digest, params.get("digest"))
        if not params.get("skiplock"):
            configs.check_lock(kind, config)
        for key in reverted:
            config.pending.pop(key, None)
        for key in deleted:
            _delete(host, kind, vmid, config, key)
        for key, value in given.items():
            _set(host, identity, kind, vmid, config, key, value)
        await configs.save(host, kind, vmid, config)


def _waits(host: Host, kind: Kind, vmid: int, key: str) -> bool:
    if not host.guests.is_running(vmid):
        return False
    return not _IMMEDIATE.fullmatch(key) or (kind is QEMU and key in _VM_PENDING)


def _delete(host: Host, kind: Kind, vmid: int, config: GuestConfig, key: str) -> None:
    config.pending.pop(key, None)
    if key not in config.values:
        return
    if key.startswith("unused"):
        volume = drives.parse_drive(key, config.values[key]).volume
        if host.storage.exists(volume):
            host.storage.free(volume)
    if _waits(host, kind, vmid, key):
        config.pending[key] = None
        return
    old = config.values.pop(key)
    if kind.disk_keys.fullmatch(key):
        detach(kind, config, drives.parse_drive(key, old))


def _set(host: Host, identity: Identity, kind: Kind, vmid: int, config: GuestConfig, key: str, value: str) -> None:
    if kind.disk_keys.fullmatch(key):
        new = drives.parse_drive(key, value)
        create.check_storage(host, identity, kind, new)
        value, _ = drives.allocate(host, kind, vmid, key, value)
        old = drives.parse_drive(key, config.values[key]) if key in config.values else None
        if old and old.volume != drives.parse_drive(key, value).volume:
            detach(kind, config, old)
        volume = drives.parse_drive(key, value).volume
        for unused in [name for name in config.values if name.startswith("unused") and config.values[name] == volume]:
            del config.values[unused]
    elif key.startswith("net") and key[3:].isdigit():
        value = drives.complete_net(kind, value)
    elif key == "cipassword":
        value = cloudinit.hashed(value)
    elif key == "description":
        value = value.rstrip("\n") + "\n"
    if _waits(host, kind, vmid, key) and config.values.get(key) != value:
        config.pending[key] = value
    else:
        config.pending.pop(key, None)
        config.values[key] = value


def detach(kind: Kind, config: GuestConfig, drive: drives.Drive) -> None:
    """Keep a volume that is no disk any more as the first free `unusedN`."""
    if not drive.is_volume or drive.is_cdrom:
        return
    number = 0
    while f"unused{number}" in config.values:
        number += 1
    config.values[f"unused{number}"] = drive.volume


async def resize(host: Host, kind: Kind, vmid: int, disk: str, size: str, digest: str | None) -> None:
    """Make a disk larger (`+2G` or the new size)."""
    async with host.guests.lock(vmid):
        config, current = configs.load_with_digest(host, kind, vmid)
        check_digest(current, digest)
        configs.check_lock(kind, config)
        if disk not in config.values:
            raise AgentError(TEXTS["no_disk" if kind is QEMU else "no_such_disk"].format(disk=disk))
        drive = drives.parse_drive(disk, config.values[disk])
        if drive.is_cdrom:
            raise AgentError(TEXTS["cdrom"])
        wanted = drives.parse_disk_size(host.storage.size(drive.volume), size)
        host.storage.resize(drive.volume, wanted)
        drive.options["size"] = format_size(wanted)
        config.values[disk] = drive.format()
        await configs.save(host, kind, vmid, config)


INTEGERS = {
    QEMU: frozenset(
        {
            *("cores", "sockets", "vcpus", "balloon", "shares", "numa", "onboot", "kvm", "acpi", "protection"),
            *("template", "tablet", "freeze", "localtime", "autostart", "cpuunits", "migrate_speed", "reboot"),
            "ciupgrade",
        }
    ),
    LXC: frozenset(
        {
            *("memory", "swap", "cores", "cpuunits", "onboot", "protection", "unprivileged", "template", "console"),
            *("tty", "debug"),
        }
    ),
}
_HIDDEN = "**********"
_NUMBERS = frozenset({"cpulimit", "migrate_downtime"})


def typed(kind: Kind, values: Mapping[str, str]) -> dict[str, Any]:
    """Options as the API answers them: whole numbers as numbers, the rest as text."""
    answer: dict[str, Any] = {}
    for key, value in values.items():
        if key == "cipassword":
            answer[key] = _HIDDEN
        elif key in INTEGERS[kind] and re.fullmatch(r"-?\d+", value):
            answer[key] = int(value)
        elif key in _NUMBERS:
            number = float(value)
            answer[key] = int(number) if number.is_integer() else number
        else:
            answer[key] = value
    return answer


def pending_list(kind: Kind, config: GuestConfig) -> list[dict[str, Any]]:
    """Rows of `GET …/pending`: value now, value after the next start, or that it will be deleted."""
    rows = []
    current, later = typed(kind, config.values), config.pending
    for key in [*current, *(key for key in later if key not in current)]:
        row: dict[str, Any] = {"key": key}
        if key in current:
            row["value"] = current[key]
        if key in later:
            new = later[key]
            row |= {"delete": 1} if new is None else {"pending": typed(kind, {key: new})[key]}
        rows.append(row)
    return rows
