# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's replicated pools and their safety. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._ceph import HERE, read
from ._ceph_osds import osds_in
from ._collection import Collection
from ._errors import InputError, QuorateError, StateError
from ._plan import CREATE, DELETE, Change, Wanted, raise_all
from ._pure.units import format_size, parse_size
from ._spec import ABSENT, IGNORE, Field, Item, Key, Spec
from ._values import BOOLEAN, INTEGER, NUMBER, Form

AUTOSCALE = ("on", "off", "warn")
APPLICATIONS = ("rbd", "cephfs", "rgw")

# The API takes 10G and answers bytes
SIZE = Form(
    lambda value: value if isinstance(value, int) else parse_size(str(value).upper().removesuffix("B")),
    format_size,
    "str",
)

POOLS = Spec(
    kind="pool",
    option="pools",
    keys=("name",),
    path=f"{HERE}/pool",
    item_path=f"{HERE}/pool/{{name}}",
    fields=(
        Field("name", api="name", required=True),
        Field("size", INTEGER, default=3),
        Field("min_size", INTEGER, default=2),
        Field("pg_num", INTEGER, default=128),
        Field("pg_num_min", INTEGER),
        Field("crush_rule"),
        Field("application", choices=APPLICATIONS, default="rbd"),
        Field("pg_autoscale_mode", choices=AUTOSCALE, default="warn"),
        Field("target_size", SIZE),
        Field("target_size_ratio", NUMBER),
        Field("storage", BOOLEAN, initial=False, listed=False, sent=False),
        Field("allow_data_loss", BOOLEAN, initial=False, listed=False, sent=False),
        Field("destroy", BOOLEAN, initial=False, listed=False, sent=False),
    ),
)


def unsafe(pool: Mapping[str, Any]) -> str:
    """Why losing one disk can lose data or stop the pool; ``""`` if it cannot. Works on given values and defaults."""
    size = int(pool.get("size") or 3)
    # Ceph's own rule for what is not said
    least = int(pool.get("min_size") or (2 if size == 3 else size - size // 2))
    if size == 1:
        return "size 1 keeps a single copy: one failed disk loses data"
    if least == 1:
        return f"size {size} with min_size 1 means that one failed disk can lose acknowledged writes"
    if size <= least:
        return f"size {size} with min_size {least} stops all writes when one host is down"
    return ""


class Pools(Collection):
    """Replicated pools. Changes of one pool are one task of the server."""

    spec = POOLS

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Refuse what can lose data unless the pool says so (MISSION: pool safety)."""
        errors: list[QuorateError] = []
        for want in wanted:
            if want.state == ABSENT and not want.item.get("destroy"):
                errors.append(
                    InputError(
                        "removing a pool destroys all data in it",
                        where=want.where,
                        hint="Say destroy: true as well if that is meant.",
                    )
                )
            if want.state in (ABSENT, IGNORE) or want.item.get("allow_data_loss"):
                continue
            why = unsafe(want.item)
            if why:
                hint = "Set size: 3, min_size: 2, or say allow_data_loss: true on the pool."
                errors.append(InputError(why, where=want.where, hint=hint))
        raise_all(errors)
        return wanted

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All pools; none in check mode where Ceph is not there yet."""
        return self.by_key([_flat(pool) for pool in read(self.api, POOLS.path, "pools") or ()])

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """A change must leave the pool as safe as a new one would have to be."""
        changes = [self._with_reset(change) for change in super().plan(wanted, actual, whole=whole)]
        if not whole:
            return changes
        errors: list[QuorateError] = []
        for change in changes:
            merged = {**change.actual, **change.set}
            if change.action != DELETE and not change.item.get("allow_data_loss") and (why := unsafe(merged)):
                errors.append(InputError(why, where=change.where, hint="Say both size and min_size."))
        raise_all(errors)
        return changes

    def check(self, changes: Sequence[Change]) -> None:
        """A new pool needs as many hosts with OSDs as copies, or it never gets healthy."""
        super().check(changes)
        growing = [change for change in changes if change.action != DELETE and "size" in {**change.item, **change.set}]
        if not growing:
            return
        tree = read(self.api, f"{HERE}/osd", "pools")
        if tree is None:
            return
        hosts = {str(osd.get("host")) for osd in osds_in(tree["root"])}
        for change in growing:
            size = int(change.item.get("size") or 3)
            if size > len(hosts) and not self.api.check_mode:
                self.api.warn(
                    f"{change.where}: size {size} needs {size} hosts with OSDs, there are {len(hosts)}; "
                    "the pool stays undersized until there are more"
                )

    def create(self, change: Change) -> None:
        """POST; a storage of the same name comes with it if it is wanted."""
        payload = {**POOLS.payload(change.item), "add_storages": int(bool(change.item.get("storage")))}
        self.finish(self.api.client.post(POOLS.path, payload), change)

    def update(self, change: Change) -> None:
        """PUT the settings that differ; what is to be unset cannot be."""
        if change.unset:
            raise StateError(
                f"{', '.join(change.unset)} cannot be unset", where=change.where, hint="Give the value that is wanted."
            )
        self.finish(self.api.client.put(POOLS.fill(POOLS.item_path, change.actual), POOLS.payload(change.set)), change)

    def delete(self, change: Change) -> None:
        """DELETE with the storages that offer the pool."""
        params = {"remove_storages": 1}
        self.finish(self.api.client.delete(POOLS.fill(POOLS.item_path, change.actual), params), change)

    def _with_reset(self, change: Change) -> Change:
        """A new size resets min_size on the server, so it is sent along (facts §11.2)."""
        if change.action in (CREATE, DELETE) or "size" not in change.set or "min_size" in change.set:
            return change
        return replace(change, set={**change.set, "min_size": change.actual.get("min_size", 2)})


def _flat(pool: Mapping[str, Any]) -> dict[str, Any]:
    """A pool of the server's list, with its names as the calls that change it have them."""
    applications = pool.get("application_metadata") or {}
    return {
        **pool,
        "name": pool["pool_name"],
        "crush_rule": pool.get("crush_rule_name"),
        "application": next(iter(sorted(applications)), None),
    }
