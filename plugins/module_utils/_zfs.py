# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ZFS pools on the nodes, and the storages that offer them. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._collection import Collection
from ._disks import check_devices, choose, refuse_controllers
from ._errors import InputError, QuorateError, StateError, VerifyError
from ._parallel import all_or_error, side_by_side
from ._plan import CREATE, UPDATE, Change, Wanted, plan_changes, raise_all
from ._pure.lists import natural_sorted, split_list
from ._spec import ABSENT, IGNORE, PRESENT, Field, Item, Key, Spec
from ._values import ANY, BOOLEAN, INTEGER

EVERY = "*"
STORAGE = "storage"
STORAGES = "/storage"

POOLS = Spec(
    kind="ZFS pool",
    option="pools",
    keys=("node", "name"),
    label_format="{name} on {node}",
    path="/nodes/{node}/disks/zfs",
    item_path="/nodes/{node}/disks/zfs/{name}",
    fields=(
        Field("node", required=True, sent=False),
        Field("name", required=True),
        Field(
            "raidlevel",
            choices=("single", "mirror", "raid10", "raidz", "raidz2", "raidz3", "draid", "draid2", "draid3"),
            needed=True,
            listed=False,
        ),
        Field("devices", ANY, needed=True, listed=False, sent=False),
        Field("ashift", INTEGER, listed=False),
        Field("compression", choices=("on", "off", "gzip", "lz4", "lzjb", "zle", "zstd"), listed=False),
        Field("storage", BOOLEAN, initial=False, listed=False, sent=False),
        Field("destroy", BOOLEAN, initial=False, listed=False, sent=False),
        Field("allow_raid_controller", BOOLEAN, initial=False, listed=False, sent=False),
    ),
)


_NO_SETTINGS = frozenset({"destroy", "storage", "allow_raid_controller"})


class ZfsPools(Collection):
    """Pools, one list a node; nodes are dealt with side by side."""

    spec = POOLS
    parallel = True

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """``*`` becomes every member that is online."""
        prepared: list[Wanted] = []
        errors: list[QuorateError] = []
        for want in wanted:
            try:
                if want.state == ABSENT and not want.item.get("destroy"):
                    raise InputError(
                        "removing a pool destroys its data",
                        where=want.where,
                        hint="Say destroy: true as well if that is meant.",
                    )
                if want.item.get("devices") is not None:
                    check_devices(want.item["devices"], want.where)
                prepared += self._for_nodes(want)
            except QuorateError as error:
                errors.append(error)
        named = [POOLS.key(want.item) for want in prepared]
        errors += [
            InputError(f"pool {POOLS.label(want.item)} is given twice", where=want.where)
            for index, want in enumerate(prepared)
            if named[index] in named[:index]
        ]
        raise_all(errors)
        return prepared

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The pools of every node that is named, side by side."""
        names = natural_sorted({str(want.item["node"]) for want in wanted if self._reachable(want)})
        answers = all_or_error(side_by_side(lambda node: self.api.client.get(f"/nodes/{node}/disks/zfs"), names))
        pools: dict[Key, Item] = {}
        for node, answer in zip(names, answers, strict=True):
            for pool in answer:
                pools[node, str(pool["name"])] = {"node": node, "name": str(pool["name"])}
                if str(pool.get("health", "ONLINE")) != "ONLINE":
                    self.api.warn(f"the ZFS pool {pool['name']} on {node} is {pool['health']}")
        return pools

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Pools with their disks chosen, then storages."""
        changes = self._with_disks([_tidy(change) for change in plan_changes(POOLS, wanted, actual)])
        return [*changes, *self._plan_storages(wanted, actual)]

    def check(self, changes: Sequence[Change]) -> None:
        """Nodes were looked at in :meth:`prepare`."""

    def apply(self, changes: Sequence[Change]) -> None:
        """All pools first: a storage is activated when it is made."""
        super().apply([change for change in changes if change.kind != STORAGE])
        storages = [change for change in changes if change.kind == STORAGE]
        if storages:
            super().apply(storages)

    def verify(self, wanted: Sequence[Wanted], changes: Sequence[Change]) -> None:
        """The pools must be there, and the storages name their nodes."""
        actual = self.observe(wanted)
        left = [*plan_changes(POOLS, wanted, actual), *self._plan_storages(wanted, actual)]
        raise_all([VerifyError(f"the server said yes, and {change.object} is not as wanted") for change in left])

    def create(self, change: Change) -> None:
        """A pool (the storage is registered for all nodes together) or a storage."""
        if change.kind == STORAGE:
            self.api.client.post(STORAGES, {**change.item, "type": "zfspool", "nodes": ",".join(change.item["nodes"])})
            return
        payload = {**POOLS.payload(change.item), "devices": ",".join(change.item["devices"])}
        self.finish(self.api.client.post(POOLS.fill(POOLS.path, change.item), payload), change)

    def update(self, change: Change) -> None:
        """Only storages change: they get the nodes that have the pool by now."""
        self.api.client.put(f"{STORAGES}/{change.label}", {"nodes": ",".join(change.set["nodes"])})

    def delete(self, change: Change) -> None:
        """With the node's part of the storage, and the signatures on its disks."""
        answer = self.api.client.delete(
            POOLS.fill(POOLS.item_path, change.actual), {"cleanup-config": 1, "cleanup-disks": 1}
        )
        self.finish(answer, change)

    # nodes

    def _for_nodes(self, want: Wanted) -> list[Wanted]:
        if want.state == IGNORE:
            return []
        nodes = self.api.nodes
        name = str(want.item["node"])
        if name == EVERY:
            for node in natural_sorted(node for node in nodes if not self.api.online(node)):
                self.api.warn(f"{want.where}: {node} is offline and left out")
            online = natural_sorted(node for node in nodes if self.api.online(node))
            if self.api.check_mode and len(nodes) == 1:
                self.api.unknown.append(f"{want.where}: nodes that join the cluster later are not known yet")
            return [replace(want, item={**want.item, "node": node}) for node in online]
        self.api.check_reference("node", name, want.where)
        if name in nodes and not self.api.online(name):
            if not self.api.check_mode:
                raise StateError(f"{name} is offline", where=want.where, hint="Bring it back, or leave it out.")
            self.api.unknown.append(f"{want.where}: {name} is offline")
        return [want]

    def _reachable(self, want: Wanted) -> bool:
        node = str(want.item["node"])
        return node in self.api.nodes and self.api.online(node)

    # disks

    def _with_disks(self, changes: list[Change]) -> list[Change]:
        creations = [change for change in changes if change.action == CREATE]
        nodes = natural_sorted(
            {str(change.key[0]) for change in creations if self._reachable(Wanted(change.item, change.where))}
        )
        lists = dict(
            zip(
                nodes,
                all_or_error(
                    side_by_side(lambda node: self.api.client.get(f"/nodes/{node}/disks/list", skipsmart=1), nodes)
                ),
                strict=True,
            )
        )
        taken: dict[str, set[str]] = {node: set() for node in nodes}
        errors: list[QuorateError] = []
        chosen: dict[Key, Change] = {}
        for change in creations:
            node = str(change.key[0])
            if node not in lists:
                continue
            try:
                paths = choose(lists[node], change.item["devices"], taken[node], node, change.where)
                if not change.item.get("allow_raid_controller"):
                    refuse_controllers(lists[node], paths, node, change.where, "ZFS")
            except QuorateError as error:
                errors.append(error)
                continue
            taken[node].update(paths)
            item = {**change.item, "devices": paths}
            chosen[change.key] = replace(change, item=item, set=item, after={**change.after, "devices": paths})
        raise_all(errors)
        return [chosen.get(change.key, change) for change in changes]

    # storages

    def _plan_storages(self, wanted: Sequence[Wanted], actual: Mapping[Key, Item]) -> list[Change]:
        offered: dict[str, list[Wanted]] = {}
        for want in wanted:
            if want.state == PRESENT and want.item.get("storage"):
                offered.setdefault(str(want.item["name"]), []).append(want)
        if not offered:
            return []
        existing = {str(entry["storage"]): entry for entry in self.api.client.get(STORAGES)}
        changes = []
        for name, wants in offered.items():
            nodes = natural_sorted({str(want.item["node"]) for want in wants})
            change = _storage_change(name, nodes, existing.get(name), wants[0].where)
            if change:
                changes.append(change)
        return changes


def _tidy(change: Change) -> Change:
    """Leave out of what is shown what is no setting of a pool."""
    settings = {name: value for name, value in change.after.items() if name not in _NO_SETTINGS}
    return replace(change, after=settings)


def _storage_change(name: str, nodes: list[str], entry: Mapping[str, Any] | None, where: str) -> Change | None:
    """Register the pool ``name`` for ``nodes``; a storage without a list of nodes is on all of them."""
    if entry is None:
        item: Item = {"storage": name, "pool": name, "content": "images,rootdir", "nodes": nodes}
        after = {"type": "zfspool", "pool": name, "nodes": nodes}
        return Change(CREATE, STORAGE, name, (STORAGE, name), item, {}, item, after=after, where=where)
    if entry.get("type") != "zfspool" or entry.get("pool") != name:
        raise StateError(
            f"there is a storage {name} already, of type {entry.get('type')} (pool {entry.get('pool') or 'none'})",
            where=where,
            hint="Give the pool another name, or say storage: false.",
        )
    has = natural_sorted(split_list(entry.get("nodes")))
    if not has or set(nodes) <= set(has):
        return None
    both = natural_sorted({*has, *nodes})
    return Change(
        UPDATE, STORAGE, name, (STORAGE, name), {}, {}, {"nodes": both}, (), {"nodes": has}, {"nodes": both}, where
    )
