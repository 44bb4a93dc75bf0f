# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node has outside of its API: time servers, the watchdog's module, the limit of ZFS's cache.

Each is a file that is read and written over SSH. Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._errors import InputError, QuorateError
from ._hosts import Hosts
from ._machine import DEFAULT_WATCHDOG, parse_watchdog
from ._node_sets import NodeSet
from ._node_settings import NODE, TEXTS
from ._plan import UPDATE, Change, Wanted, raise_all
from ._pure.units import parse_size
from ._shell import Login, Shell
from ._spec import Field, Item, Spec
from ._values import Form

CHRONY = "/etc/chrony/sources.d/quorate.sources"
WATCHDOG = "/etc/default/pve-ha-manager"
ZFS = "/etc/modprobe.d/zfs.conf"
_ARC = re.compile(r"^\s*options\s+zfs\b.*?\bzfs_arc_max=(\d+)", re.MULTILINE)
_MODULE_LINE = re.compile(r"^#?\s*WATCHDOG_MODULE=.*$", re.MULTILINE)
SMALLEST_CACHE = 64 * 2**20
"""Bytes; ZFS takes less for its own default (zfs(4))."""

SIZE = Form(lambda value: int(parse_size(str(value))), int, "str")

SYSTEMS = Spec(
    kind="system",
    option="systems",
    keys=("node",),
    label_format="of {node}",
    path="",
    item_path="",
    states=(),
    fields=(
        NODE,
        Field("chrony_servers", TEXTS),
        Field("watchdog_module", default=DEFAULT_WATCHDOG),
        Field("zfs_arc_max", SIZE),
    ),
)

REASONS = {
    "watchdog_module": "the watchdog's module is loaded at boot",
    "zfs_arc_max": "the limit of ZFS's cache is read when its module is loaded",
}


class NodeSystems(NodeSet):
    """Settings in files of the nodes."""

    spec = SYSTEMS

    def __init__(self, api: Api, params: Mapping[str, Any], hosts: Hosts) -> None:
        super().__init__(api, params)
        self.hosts = hosts

    @classmethod
    def run(cls, params: Mapping[str, Any], check_mode: bool) -> Result:
        """The whole module."""
        with Api.open(params, check_mode) as api, Hosts(params["nodes"], Login.from_params(params)) as hosts:
            return cls(api, params, hosts).manage()

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Every node must be one that can be reached, and a cache one that ZFS takes."""
        prepared = super().prepare(wanted)
        errors: list[QuorateError] = []
        for want in prepared:
            if want.item["node"] not in self.hosts.entries:
                errors.append(InputError(f"how {want.item['node']} is reached over SSH is not said", where=want.where))
            if want.item.get("zfs_arc_max", SMALLEST_CACHE) < SMALLEST_CACHE:
                errors.append(InputError("zfs_arc_max must be at least 64M", where=want.where))
        raise_all(errors)
        return prepared

    def read(self, node: str) -> list[Item]:
        return [{"node": node, **self.hosts.do(node, self._read)}]

    def _read(self, shell: Shell) -> Item:
        arc = _ARC.search(shell.read(ZFS) or "")
        return {
            "chrony_servers": parse_sources(shell.read(CHRONY) or "") or None,
            "watchdog_module": parse_watchdog(shell.read(WATCHDOG) or ""),
            "zfs_arc_max": int(arc[1]) if arc else None,
        }

    def update(self, change: Change) -> None:
        """Write the files that differ."""
        # an empty list of servers is one
        settings = {**change.set, **({"chrony_servers": []} if "chrony_servers" in change.unset else {})}
        self.hosts.do(str(change.key[0]), lambda shell: _write(shell, settings))

    def facts(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Which nodes must be started anew for what was (or would be) changed, and why."""
        reboots = {
            str(change.key[0]): [REASONS[name] for name in sorted(change.set) if name in REASONS]
            for change in changes
            if change.action == UPDATE and set(change.set) & set(REASONS)
        }
        return {"reboot_needed": reboots}


def parse_sources(text: str) -> list[str]:
    """The servers of a file of chrony's sources."""
    words = (line.split() for line in text.splitlines())
    return [each[1] for each in words if each[:1] == ["server"] and len(each) > 1]


def with_cache_limit(text: str, size: int) -> str:
    """/etc/modprobe.d/zfs.conf with another limit; other options stay."""
    lines: list[str] = []
    done = False
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["options", "zfs"] and not done:
            words = [word for word in words if not word.startswith("zfs_arc_max=")] + [f"zfs_arc_max={size}"]
            line, done = " ".join(words), True
        lines.append(line)
    return "".join(f"{line}\n" for line in [*lines, *([] if done else [f"options zfs zfs_arc_max={size}"])])


def with_watchdog(text: str, module: str) -> str:
    """/etc/default/pve-ha-manager with another module."""
    line = f"WATCHDOG_MODULE={module}"
    if _MODULE_LINE.search(text):
        return _MODULE_LINE.sub(line, text, count=1)
    return f"{text.rstrip()}\n{line}\n".lstrip()


def _write(shell: Shell, settings: Mapping[str, Any]) -> None:
    if "chrony_servers" in settings:
        shell.write(CHRONY, "".join(f"server {server} iburst\n" for server in settings["chrony_servers"]))
        shell.run(["chronyc", "reload", "sources"])
    if "watchdog_module" in settings:
        shell.write(WATCHDOG, with_watchdog(shell.read(WATCHDOG) or "", settings["watchdog_module"]))
    if "zfs_arc_max" in settings:
        shell.write(ZFS, with_cache_limit(shell.read(ZFS) or "", settings["zfs_arc_max"]))
        # with the root file system on ZFS the module is loaded from there
        shell.run(["update-initramfs", "-u", "-k", "all"])
