# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module zfs_replace: another disk in the place of one of a ZFS pool's. Private to this collection.

The API shows a pool with its devices (facts §9.1) and has no call for this; ``zpool replace`` is run over SSH.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from ._api import Api, Result
from ._disks import choose, refuse_controllers
from ._errors import InputError, StateError
from ._hosts import Hosts
from ._plan import UPDATE, simple_change
from ._shell import Login
from ._wait import wait_until

GOOD = "ONLINE"
REPLACING = "replacing"


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        node, name = str(params["node"]), str(params["pool"])
        api.check_reference("node", node, "node")
        if node not in api.nodes:
            return api.result([], state="UNKNOWN", device=None)
        if not api.online(node):
            raise StateError(f"{node} is offline", where="node")
        replacement = _Replacement(api, params)
        with Hosts(params["nodes"], Login.from_params(params)) as hosts:
            hosts.require(node)
            chosen = replacement.plan()
            changes = []
            if chosen:
                old, new = chosen
                changes = [simple_change(UPDATE, "ZFS pool", f"{name} on {node}", {"device": new}, {"device": old})]
                api.approve(changes)
                if not check_mode:
                    hosts.do(node, lambda shell: shell.run(["zpool", "replace", name, old, new]))
        # a run that was broken off while data was copied waits here as well
        state = replacement.wait() if not check_mode else replacement.pool()["state"]
        return api.result(changes, state=state, device=chosen[1] if chosen else None)


class _Replacement:
    """One pool of one node."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api, self.params = api, params
        self.node, self.name = str(params["node"]), str(params["pool"])

    def pool(self) -> dict[str, Any]:
        """The pool with its devices. Raises InputError if the node has none of that name."""
        pools = [str(each["name"]) for each in self.api.client.get(f"/nodes/{self.node}/disks/zfs")]
        if self.name not in pools:
            there = ", ".join(sorted(pools)) or "none"
            raise InputError(f"{self.node} has no ZFS pool {self.name}", where="pool", hint=f"It has: {there}.")
        found: dict[str, Any] = self.api.client.get(f"/nodes/{self.node}/disks/zfs/{self.name}")
        return found

    def plan(self) -> tuple[str, str] | None:
        """The device that goes and the path of the one that comes; None if there is nothing to replace."""
        pool = self.pool()
        devices = dict(_leaves(pool))
        if any(REPLACING in name for name in _names(pool)):
            return None
        old = self._old(devices)
        if old is None:
            return None
        return old, self._new()

    def _old(self, devices: Mapping[str, str]) -> str | None:
        wanted = self.params["device"]
        if wanted:
            names = self._names_of(str(wanted))
            match = [name for name in devices if names & {name, name.rpartition("/")[2], _whole(name)}]
            # it is gone already: this was done by an earlier run
            return match[0] if match else None
        bad = [name for name, state in devices.items() if state != GOOD]
        if len(bad) > 1:
            raise StateError(
                f"several devices of {self.name} are not {GOOD}: {', '.join(bad)}",
                where="device",
                hint="Say which one is replaced; the others follow by further runs.",
            )
        return bad[0] if bad else None

    def _names_of(self, device: str) -> set[str]:
        """What a pool may call a device: its own name, and its link by serial number while the node has the disk."""
        links = {str(each.get("by_id_link") or "") for each in self._disks if device in _names_of_disk(each)}
        return {name.rpartition("/")[2] for name in (device, *links) if name}

    @cached_property
    def _disks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.client.get(f"/nodes/{self.node}/disks/list")
        return found

    def _new(self) -> str:
        disks = self._disks
        by = self.params["by"]
        wanted = {**by, "count": 1} if isinstance(by, Mapping) else [_path_of(disks, str(by))]
        path = choose(disks, wanted, (), self.node, "by")[0]
        if not self.params["allow_raid_controller"]:
            refuse_controllers(disks, [path], self.node, "by", f"the ZFS pool {self.name}")
        link = next((str(each.get("by_id_link") or "") for each in disks if each["devpath"] == path), "")
        return link or path

    def wait(self) -> str:
        """Wait until the pool is whole and nothing is copied any more; the state of the pool then."""
        seen = ""

        def whole() -> str | None:
            nonlocal seen
            pool = self.pool()
            bad = [f"{name} is {state}" for name, state in _leaves(pool) if state != GOOD]
            copying = any(REPLACING in name for name in _names(pool)) or "in progress" in str(pool.get("scan") or "")
            seen = "; ".join([*bad, *([str(pool.get("scan"))] if copying else [])])
            return str(pool["state"]) if pool["state"] == GOOD and not seen else None

        if not self.params["wait"]:
            return str(self.pool()["state"])
        return wait_until(
            whole,
            timeout=float(self.params["timeout"]),
            what=f"the ZFS pool {self.name} on {self.node} being {GOOD}",
            clock=self.api.client.clock,
            describe=lambda: seen,
            hint="Look at zpool status; run again to wait on.",
        )


def _names(pool: Mapping[str, Any]) -> Iterator[str]:
    for child in pool.get("children") or ():
        yield str(child["name"])
        yield from _names(child)


def _leaves(pool: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, state) of every disk of a pool."""
    for child in pool.get("children") or ():
        if child.get("children"):
            yield from _leaves(child)
        elif "state" in child:
            yield str(child["name"]), str(child["state"])


def _whole(name: str) -> str:
    """A device's name without its partition."""
    return name.rpartition("/")[2].removesuffix("-part1")


def _names_of_disk(disk: Mapping[str, Any]) -> set[str]:
    names = {str(disk.get(key) or "") for key in ("devpath", "by_id_link", "serial")}
    return {*names, str(disk["devpath"]).rpartition("/")[2]} - {""}


def _path_of(disks: list[dict[str, Any]], name: str) -> str:
    """The path in /dev of a disk that is named in whatever way."""
    return next((str(disk["devpath"]) for disk in disks if name in _names_of_disk(disk)), name)
