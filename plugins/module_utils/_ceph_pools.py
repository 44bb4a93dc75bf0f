# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's replicated pools and their safety. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._ceph import HERE, read
from ._ceph_crush import crush_map
from ._collection import Collection
from ._errors import InputError, QuorateError, StateError
from ._plan import CREATE, DELETE, UPDATE, Change, Wanted, raise_all
from ._pure.crush_map import CrushMap
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
        Field("allow_undersized", BOOLEAN, initial=False, listed=False, sent=False),
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
        changes = super().plan(wanted, actual, whole=whole)
        if any("min_size" in change.set for change in changes if change.action == UPDATE) and self._lacks_a_site():
            changes = [kept for change in changes if (kept := _without_min_size(change)) is not None]
        changes = [self._with_reset(change) for change in changes]
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
        """A pool needs as many failure domains with OSDs as copies, or it never gets healthy."""
        super().check(changes)
        growing = [
            change for change in changes if change.action != DELETE and {"size", "crush_rule"} & change.set.keys()
        ]
        growing += [change for change in changes if change.action == CREATE and change not in growing]
        present = crush_map(self.api, "pools") if growing else None
        if present is None:
            return
        errors: list[QuorateError] = []
        for change in growing:
            why = too_few_domains({**change.actual, **change.item, **change.set}, present)
            if why and not change.item.get("allow_undersized"):
                hint = "Make more OSDs first, or say allow_undersized: true on the pool."
                errors.append(StateError(why, where=change.where, hint=f"{hint} Nothing was changed."))
        raise_all(errors)

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

    def _lacks_a_site(self) -> bool:
        """Whether the monitors have lowered min_size themselves because a site is gone: that is theirs to restore."""
        checks = self.api.client.get("/cluster/ceph/status")["health"].get("checks") or {}
        return bool({"DEGRADED_STRETCH_MODE", "RECOVERING_STRETCH_MODE"} & checks.keys())

    def _with_reset(self, change: Change) -> Change:
        """A new size resets min_size on the server, so it is sent along (facts §11.2)."""
        if change.action in (CREATE, DELETE) or "size" not in change.set or "min_size" in change.set:
            return change
        return replace(change, set={**change.set, "min_size": change.actual.get("min_size", 2)})


def _without_min_size(change: Change) -> Change | None:
    if change.action != UPDATE or "min_size" not in change.set:
        return change
    rest = {name: value for name, value in change.set.items() if name != "min_size"}
    before = {name: value for name, value in change.before.items() if name != "min_size"}
    after = {name: value for name, value in change.after.items() if name != "min_size"}
    return replace(change, set=rest, before=before, after=after) if rest or change.unset else None


def too_few_domains(pool: Mapping[str, Any], present: CrushMap) -> str:
    """Why a pool's copies do not find different places; empty if they do."""
    rule = present.rules.get(str(pool.get("crush_rule") or "replicated_rule"))
    if rule is None or not rule.steps:
        return ""
    size, domain = int(pool.get("size") or 3), rule.steps[-1][2]
    places = set()
    for name in present.below(rule.root):
        if name in present.devices and rule.device_class in (None, present.devices[name]):
            places.add(name if domain == "osd" else present.location(name).get(domain, ""))
    if size <= len(places - {""}):
        return ""
    of_class = f" of class {rule.device_class}" if rule.device_class else ""
    return f"size {size} needs {size} {domain}s with OSDs{of_class}, there are {len(places - {''})}"


def _flat(pool: Mapping[str, Any]) -> dict[str, Any]:
    """A pool of the server's list, with its names as the calls that change it have them."""
    applications = pool.get("application_metadata") or {}
    return {
        **pool,
        "name": pool["pool_name"],
        "crush_rule": pool.get("crush_rule_name"),
        "application": next(iter(sorted(applications)), None),
    }
