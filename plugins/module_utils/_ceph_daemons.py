# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's monitors and managers: one at a time, each awaited. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._ceph import HERE, check_nodes, read
from ._collection import Collection
from ._errors import ApiError, InputError, StateError
from ._plan import CREATE, DELETE, UPDATE, Change, Wanted
from ._spec import PRESENT, Field, Item, Key, Spec
from ._wait import wait_until

MONITORS = Spec(
    kind="monitor",
    option="monitors",
    keys=("id",),
    path="/nodes/{node}/ceph/mon/{id}",
    item_path="/nodes/{node}/ceph/mon/{id}",
    fields=(
        Field("node", api="host", required=True, fixed=True, sent=False),
        Field("id", api="name", sent=False),
        Field("address", api="mon-address", listed=False),
    ),
)

MANAGERS = Spec(
    kind="manager",
    option="managers",
    keys=("id",),
    path="/nodes/{node}/ceph/mgr/{id}",
    item_path="/nodes/{node}/ceph/mgr/{id}",
    fields=(
        Field("node", api="host", required=True, fixed=True, sent=False),
        Field("id", api="name", sent=False),
    ),
)


class Daemons(Collection):
    """Daemons of one kind. The configuration is written under a lock, and quorum is needed after each."""

    #: ``mon`` or ``mgr``
    daemon: str
    #: states in which a daemon serves
    serving: frozenset[str]
    #: the server's list as it was last observed
    seen: Sequence[Mapping[str, Any]] = ()

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """A daemon is called like its node unless it is given another name."""
        for want in wanted:
            if want.state == PRESENT:
                self.api.check_reference("node", want.item["node"], want.where)
        return wanted

    def check(self, changes: Sequence[Change]) -> None:
        """A daemon can only be made where the node is online; one that is there may be on a node that is not."""
        super().check(changes)
        check_nodes(self.api, {str(c.item["node"]): c.where for c in changes if c.action == CREATE})

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Additions before removals. The last daemon of its kind stays."""
        changes = super().plan(wanted, actual, whole=whole)
        left = len(actual) + sum((c.action == CREATE) - (c.action == DELETE) for c in changes)
        if whole and actual and not left:
            raise InputError(
                f"this would remove the last {self.spec.kind}",
                where=self.spec.option,
                hint=f"Name at least one node with a {self.spec.kind}. Nothing was changed.",
            )
        return sorted(changes, key=lambda change: change.action == DELETE)

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All daemons of this kind."""
        self.seen = [daemon for daemon in self.daemons() if daemon.get("host")]
        return self.by_key(self.seen)

    def daemons(self) -> list[Mapping[str, Any]]:
        """The server's list; empty in check mode where Ceph is not there yet."""
        found: list[Mapping[str, Any]] | None = read(self.api, f"{HERE}/{self.daemon}", self.spec.option)
        return found or []

    def create(self, change: Change) -> None:
        """Make one and wait until it serves."""
        path = self.spec.path.format(node=change.item["node"], id=change.item["id"])
        self.finish(self.api.client.post(path, self.spec.payload(change.item)), change)
        self.wait_for(str(change.item["id"]))

    def delete(self, change: Change) -> None:
        """Remove one."""
        path = self.spec.item_path.format(node=change.actual["node"], id=change.actual["id"])
        self.finish(self.api.client.delete(path), change)

    def wait_for(self, name: str) -> None:
        """Wait until a daemon serves."""
        seen = ""

        def look() -> bool | None:
            nonlocal seen
            daemon = next((each for each in self.daemons() if each.get("name") == name), None)
            seen = str(daemon.get("state")) if daemon else "not listed"
            in_quorum = self.daemon != "mon" or bool(daemon and daemon.get("quorum"))
            return True if seen in self.serving and in_quorum else None

        wait_until(
            look,
            timeout=float(self.params["timeout"]),
            what=f"{self.spec.kind} {name} serving",
            clock=self.api.client.clock,
            passing=(ApiError, StateError),
            describe=lambda: seen,
        )


class Monitors(Daemons):
    """An odd number of monitors: an even one survives no more losses than one less, and splits in halves."""

    spec = MONITORS
    daemon = "mon"
    serving = frozenset({"running"})

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """The number that is left must be odd."""
        changes = [*self._lost(wanted, actual, whole), *super().plan(wanted, actual, whole=whole)]
        number = len(actual) + sum((c.action == CREATE) - (c.action == DELETE) for c in changes)
        named = sum(want.state == PRESENT for want in wanted)
        if whole and max(number, named) % 2 == 0 and max(number, named) and not self.params["allow_even"]:
            raise InputError(
                f"{max(number, named)} monitors are an even number: they survive no more losses than "
                f"{max(number, named) - 1}, and two equal halves of them have no quorum",
                where=self.spec.option,
                hint="Name an odd number of nodes (3, or 5), or say allow_even: true.",
            )
        return changes

    def _lost(self, wanted: Sequence[Wanted], actual: dict[Key, Item], whole: bool) -> list[Change]:
        """Those that do not run although their node is there, if they are to be replaced."""
        if not (whole and self.params["replace_lost"]):
            return []
        states = {str(each.get("name")): str(each.get("state")) for each in self.seen}
        changes = []
        for want in wanted:
            there = actual.get(self.spec.key(want.item))
            if want.state != PRESENT or there is None:
                continue
            name, node = str(want.item["id"]), str(there["node"])
            if states[name] in self.serving or node not in self.api.nodes or not self.api.online(node):
                continue
            before, after = {"state": states[name]}, {"state": "made anew"}
            change = Change(UPDATE, self.spec.kind, name, self.spec.key(want.item), want.item, there, where=want.where)
            changes.append(replace(change, before=before, after=after))
        return changes

    def update(self, change: Change) -> None:
        """Away with what is left of it, and anew."""
        self.delete(change)
        self.create(change)


class Managers(Daemons):
    """One manager works, the others stand by."""

    spec = MANAGERS
    daemon = "mgr"
    serving = frozenset({"active", "standby"})

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Ceph forgets a manager whose host is gone: what is to be on a node that is offline cannot be told."""
        changes = []
        for change in super().plan(wanted, actual, whole=whole):
            node = str(change.item.get("node"))
            if change.action == CREATE and node in self.api.nodes and not self.api.online(node):
                self.api.warn(f"{change.where}: {node} is offline, whether it has a manager cannot be looked at")
            else:
                changes.append(change)
        return changes


def with_ids(elements: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The elements with the node's name as id where none is given."""
    return [{**element, "id": element.get("id") or element["node"]} for element in elements]


def run_daemons(collection: type[Daemons], params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    option = collection.spec.option
    return collection.run({**params, option: with_ids(params[option])}, check_mode)
