# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zpool create, as administrators type it (the manual pages zpool-create and zpoolconcepts of OpenZFS)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.shell.registry import CommandIO
from agentstack.shell.zfs_words import Options, UsageError
from agentstack.storage import signatures
from agentstack.storage.disks import Disk

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "exists": "cannot create '{name}': pool already exists",
    "reserved": "cannot create '{name}': name is reserved",
    "letter": "cannot create '{name}': name must begin with a letter",
    "character": "cannot create '{name}': invalid character '{character}' in pool name",
    "gone": "cannot open '{word}': no such device in /dev\nmust be a full path or shorthand device name",
    "no_file": "cannot open '{word}': No such file or directory",
    "not_whole": "cannot use '{word}': must be a block device or regular file",
    "few": "invalid vdev specification: {kind} requires at least {count} devices",
    "twice": "cannot create '{name}': one or more vdevs refer to the same device, or one of\n"
    "the devices is part of an active md or lvm device",
    "small": "cannot create '{name}': one or more devices is less than the minimum size (64M)",
    "invalid": "invalid vdev specification\n{head}\n{errors}",
    "force": "use '-f' to override the following errors:",
    "repair": "the following errors must be manually repaired:",
    "not_empty": "mountpoint '/{name}' exists and is not empty\nuse '-m' option to provide a different default",
    "option": "missing '=' for property=value argument",
    "property": "cannot create '{name}': invalid property '{key}'",
    "ashift": "cannot create '{name}': property 'ashift' number {value} is invalid, only values between 9 and 16 are "
    "allowed",
}

_RESERVED = re.compile(r"(?:mirror|raidz|draid|spare).*|log")
_KIND = re.compile(r"mirror|raidz[123]?")
_SPECIAL = ("log", "cache", "spare", "special", "dedup")
_LEAST = {"mirror": 2, "raidz1": 2, "raidz2": 3, "raidz3": 4}
_SMALLEST = 64 << 20
_FUZZ = 16 << 20
"""Disks of one vdev that differ by less count as of one size."""
_TYPES = {"LVM": "LVM2_member", "bluestore": "ceph_bluestore"}
"""Signatures by the names that blkid has for them, where these differ from ours."""
_POOL_SETTINGS = {"autoexpand", "autoreplace", "autotrim", "comment", "failmode", "listsnapshots", "multihost"}
_SETTABLE = {
    *("acltype", "atime", "canmount", "checksum", "compression", "copies", "dedup", "logbias", "primarycache"),
    *("readonly", "recordsize", "relatime", "secondarycache", "snapdir", "sync", "xattr"),
}

Group = tuple[str, list[Disk]]


def create(host: Host, options: Options, io: CommandIO) -> None:
    """`zpool create [-fn] [-o property=value] [-O property=value] POOL VDEV…`"""
    if not options.words:
        raise UsageError("missing pool name argument")
    name, *words = options.words
    if not words:
        raise UsageError("missing vdev specification")
    settings, properties = _given(options, "o"), {"compression": "on"} | _given(options, "O")
    _check_name(name)
    groups = list(_groups(host, words))
    _check_shape(name, groups)
    force = "f" in options
    if errors := list(_errors(host, groups, force=force)):
        head = TEXTS["repair" if force else "force"]
        raise AgentError(TEXTS["invalid"].format(head=head, errors="\n".join(errors)))
    ashift = _ashift(name, settings)
    for known, values in ((_POOL_SETTINGS, settings), (_SETTABLE, properties)):
        for key in set(values) - known:
            raise AgentError(TEXTS["property"].format(name=name, key=key))
    if name in host.zfs.pools:
        raise AgentError(TEXTS["exists"].format(name=name))
    folder = host.root / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AgentError(TEXTS["not_empty"].format(name=name))
    if "n" in options:
        io.out(f"would create '{name}' with the following layout:\n\n\t{name}\n" + "".join(_layout(groups)))
        return
    for _, disks in groups:
        for disk in disks:
            host.disks.wipe(disk.device)
    host.zfs.make_pool(name, groups, ashift, properties, settings)


def _given(options: Options, letter: str) -> dict[str, str]:
    found = {}
    for text in options.given.get(letter, ()):
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(TEXTS["option"])
        found[key] = value
    return found


def _ashift(name: str, settings: dict[str, str]) -> int:
    text = settings.pop("ashift", "12")
    if not text.isdigit() or (int(text) and not 9 <= int(text) <= 16):
        raise AgentError(TEXTS["ashift"].format(name=name, value=text))
    return int(text) or 12


def _check_name(name: str) -> None:
    if _RESERVED.fullmatch(name):
        raise AgentError(TEXTS["reserved"].format(name=name))
    if not re.match(r"[A-Za-z]", name):
        raise AgentError(TEXTS["letter"].format(name=name))
    if bad := re.search(r"[^\w.:\- ]", name, re.ASCII):
        raise AgentError(TEXTS["character"].format(name=name, character=bad[0]))


def _groups(host: Host, words: list[str]) -> Iterator[Group]:
    """The top-level devices: `mirror a b mirror c d`, `raidz2 a b c d`, or single disks."""
    kind: str | None = None
    disks: list[Disk] = []
    for word in [*words, None]:
        starts = word is None or _KIND.fullmatch(word) is not None
        if starts and kind is not None:
            if len(disks) < _LEAST[kind]:
                raise AgentError(TEXTS["few"].format(kind=kind, count=_LEAST[kind]))
            yield kind, disks
        if word is None:
            return
        if starts:
            kind, disks = ("raidz1" if word == "raidz" else word), []
        elif word in _SPECIAL or word.startswith("draid"):
            # classes of devices that pools have none of here
            raise AgentError(TEXTS["gone"].format(word=word))
        elif kind is None:
            yield "disk", [_disk(host, word)]
        else:
            disks.append(_disk(host, word))


def _disk(host: Host, word: str) -> Disk:
    for path in [word] if word.startswith("/") else [f"/dev/{word}", f"/dev/disk/by-id/{word}"]:
        try:
            disk, part = host.disks.find(path)
        except AgentError:
            continue
        if part is not None:
            raise AgentError(TEXTS["not_whole"].format(word=word))
        return disk
    raise AgentError(TEXTS["no_file" if word.startswith("/") else "gone"].format(word=word))


def _check_shape(name: str, groups: list[Group]) -> None:
    disks = [disk for _, group in groups for disk in group]
    if len({disk.by_id for disk in disks}) < len(disks):
        raise AgentError(TEXTS["twice"].format(name=name))
    if any(disk.spec.size < _SMALLEST for disk in disks):
        raise AgentError(TEXTS["small"].format(name=name))


def _errors(host: Host, groups: list[Group], *, force: bool) -> Iterator[str]:
    """What stands against it; with `force` only what cannot be overridden."""
    for _, disks in groups:
        for disk in disks:
            yield from _in_use(host, disk, force=force)
    if force:
        return
    for kind, disks in groups:
        sizes = [disk.spec.size for disk in disks]
        if max(sizes) - min(sizes) > _FUZZ:
            yield f"{kind} contains devices of different sizes"
    (first, ours), *rest = groups
    for kind, disks in rest:
        if kind != first and {kind, first} <= {"raidz1", "raidz2", "raidz3"}:
            yield f"mismatched replication level: both {first[-1]} and {kind[-1]} device parity raidz vdevs are present"
        elif kind != first:
            yield f"mismatched replication level: both {first} and {kind} vdevs are present"
        elif len(disks) != len(ours):
            yield (
                f"mismatched replication level: both {len(ours)}-way and {len(disks)}-way "
                f"{first.rstrip('123')} vdevs are present"
            )
        else:
            continue
        return


def _in_use(host: Host, disk: Disk, *, force: bool) -> Iterator[str]:
    """A pool's member, what is mounted or held by something, and what has a signature."""
    parts = signatures.read_partitions(disk.image)
    places = [(disk.partition_device(part.number), part.start) for part in parts] or [(disk.device, 0)]
    for device, start in places:
        kind = signatures.probe(disk.image, start)
        label = signatures.read_zfs_label(disk.image, start) if kind == "ZFS" else None
        if label is not None:
            if label["name"] in host.zfs.pools and host.zfs.holds(disk.device):
                yield f"{device} is part of active pool '{label['name']}'"
            elif not label.get("destroyed") and not force:
                yield f"{device} is part of potentially active pool '{label['name']}'"
            continue
        held = any(holds(name) for holds in host.disks.holders for name in (device, disk.device))
        named = _TYPES.get(kind or "", kind or "unknown")
        if disk.system or held or device in host.disks.mounts():
            yield f"{device} is in use and contains a {named} filesystem."
        elif kind is not None and not force:
            yield f"{device} contains a filesystem of type '{named}'"


def _layout(groups: list[Group]) -> Iterator[str]:
    for kind, disks in groups:
        indent = "\t  "
        if kind != "disk":
            yield f"{indent}{kind}\n"
            indent += "  "
        yield from (f"{indent}{disk.spec.name}\n" for disk in disks)
