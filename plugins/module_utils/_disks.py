# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing disks of a node from GET /nodes/{n}/disks/list (facts §10). Pure. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ._errors import InputError, QuorateError, StateError
from ._pure.lists import natural_key
from ._pure.units import format_size, parse_size

Disk = Mapping[str, Any]


def _size(wanted: Any) -> int:
    # a K, M, G or T is wanted in upper case; without the B that disks are sold with
    return parse_size(str(wanted).upper().removesuffix("B").removesuffix("I"))


# How a disk must be for each key of a choice
MATCHERS: Mapping[str, Callable[[Disk, Any], bool]] = {
    "model": lambda disk, wanted: fnmatchcase(str(disk.get("model") or "").strip(), str(wanted)),
    "vendor": lambda disk, wanted: fnmatchcase(str(disk.get("vendor") or "").strip(), str(wanted)),
    "serial": lambda disk, wanted: fnmatchcase(str(disk.get("serial") or "").strip(), str(wanted)),
    "type": lambda disk, wanted: disk.get("type") == wanted,
    "min_size": lambda disk, wanted: int(disk.get("size") or 0) >= _size(wanted),
    "max_size": lambda disk, wanted: int(disk.get("size") or 0) <= _size(wanted),
}


def why_used(disk: Disk) -> str:
    """What a disk is used for, or ``""`` (facts §10: ``used`` is absent when it is free)."""
    if disk.get("used"):
        return str(disk["used"])
    if int(disk.get("osdid", -1)) >= 0:
        return f"osd.{disk['osdid']}"
    return "mounted" if int(disk.get("mounted") or 0) else ""


# What the logical drives of RAID controllers call themselves: ZFS and Ceph must have the disks themselves
_CONTROLLERS = re.compile(
    r"PERC|MegaRAID|LOGICAL VOLUME|Smart ?Array|ServeRAID|RAID\b|\bMR9\d{3}|\bAVAGO\b|\bARECA\b|Adaptec",
    re.IGNORECASE,
)


def behind_controller(disk: Disk) -> bool:
    """Whether a disk looks like a logical drive of a RAID controller."""
    return _CONTROLLERS.search(f"{disk.get('vendor') or ''} {disk.get('model') or ''}") is not None


def refuse_controllers(disks: Sequence[Disk], chosen: Collection[str], node: str, where: str, loser: str) -> None:
    """Raise :class:`StateError` if disks chosen for ``loser`` (ZFS or Ceph) look like logical drives."""
    bad = [describe(disk) for disk in disks if str(disk["devpath"]) in chosen and behind_controller(disk)]
    if bad:
        raise StateError(
            f"{', '.join(bad)} on {node} is behind a RAID controller, which hides failing disks from {loser}",
            where=where,
            hint="Switch the controller to HBA (IT) mode, choose other disks, or say allow_raid_controller: true.",
        )


def check_devices(devices: Any, where: str) -> None:
    """The form of a choice. Raises :class:`InputError`."""
    if isinstance(devices, list):
        if devices and all(isinstance(each, str) and each.startswith("/dev/") for each in devices):
            return
        raise InputError("devices must be paths such as /dev/sdb", where=where)
    if not isinstance(devices, dict):
        raise InputError("devices must be a list of paths or a dictionary that chooses disks", where=where)
    unknown = sorted(set(devices) - {*MATCHERS, "count"})
    if unknown:
        raise InputError(
            f"devices: {', '.join(unknown)} is nothing to choose disks by",
            where=where,
            hint=f"There are: {', '.join([*MATCHERS, 'count'])}.",
        )
    try:
        for key in ("min_size", "max_size"):
            if key in devices:
                _size(devices[key])
        if "count" in devices and int(devices["count"]) < 1:
            raise ValueError("count must be at least 1")
    except (ValueError, TypeError) as error:
        raise InputError(f"devices: {error}", where=where) from error


def choose(disks: Sequence[Disk], devices: Any, taken: Collection[str], node: str, where: str) -> list[str]:
    """The paths of the disks that ``devices`` means on a node; those in ``taken`` are promised to something else.

    Raises :class:`StateError` naming every disk that is not there or in use.
    """
    check_devices(devices, where)
    if isinstance(devices, list):
        return _named(disks, devices, taken, node, where)
    matching = [
        disk for disk in disks if all(MATCHERS[key](disk, wanted) for key, wanted in devices.items() if key != "count")
    ]
    matching.sort(key=lambda disk: natural_key(str(disk["devpath"])))
    free = [str(disk["devpath"]) for disk in matching if not why_used(disk) and disk["devpath"] not in taken]
    count = int(devices.get("count", len(free) or 1))
    if len(free) < count:
        not_free = [describe(disk) for disk in matching if str(disk["devpath"]) not in free]
        rest = f"; in use: {', '.join(not_free)}" if not_free else ""
        words = ", ".join(f"{key} {wanted}" for key, wanted in devices.items() if key != "count") or "any"
        raise StateError(
            f"{node} has {len(free)} unused disk{'' if len(free) == 1 else 's'} of the {count} wanted ({words}){rest}",
            where=where,
            hint="Choose others, or wipe the disks yourself if nothing on them is needed.",
        )
    return free[:count]


def describe(disk: Disk) -> str:
    """A disk in words: ``/dev/sdb (64G SSD-A, ZFS)``."""
    parts = [f"{format_size(int(disk.get('size') or 0))} {str(disk.get('model') or '').strip()}".strip()]
    return f"{disk['devpath']} ({', '.join([*parts, *([why_used(disk)] if why_used(disk) else [])])})"


def _named(disks: Sequence[Disk], paths: Sequence[str], taken: Collection[str], node: str, where: str) -> list[str]:
    by_path = {str(disk["devpath"]): disk for disk in disks}
    problems: list[QuorateError] = []
    for path in paths:
        disk = by_path.get(path)
        if disk is None:
            problems.append(StateError(f"{node} has no disk {path}; it has {', '.join(sorted(by_path)) or 'none'}"))
        elif why_used(disk):
            problems.append(StateError(f"{path} on {node} is in use ({why_used(disk)})"))
        elif path in taken:
            problems.append(StateError(f"{path} on {node} is wanted twice"))
    if problems:
        raise StateError(
            "; ".join(str(problem) for problem in problems),
            where=where,
            hint="Choose others, or wipe the disks yourself if nothing on them is needed.",
        )
    return list(paths)
