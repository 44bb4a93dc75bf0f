# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots and groups of a datastore: protection, notes, owner, and forgetting them (facts §20.6).

Private to this collection. An element with a time is a snapshot, one without is the group of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ._errors import ApiError, InputError, QuorateError, StateError
from ._pbs import NAMESPACE, PbsCollection
from ._plan import DELETE, Change, Wanted, raise_all
from ._spec import ABSENT, IGNORE, PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN, Form

NEWEST = "newest"
_STORE = "/admin/datastore/{store}"


def _time(value: Any) -> str | None:
    """Seconds since 1970, as text, from those or from a point in time; ``newest`` as it is."""
    text = str(value).strip()
    if not text or text == NEWEST or text.isdecimal():
        return text or None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is no point in time: it is like 2026-11-20T02:00:00Z, or {NEWEST}") from None
    return str(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))


class SnapshotSpec(Spec):
    """Labels are paths without what is not given."""

    def label(self, item: Mapping[str, Any]) -> str:
        """Such as ``main/ha-lab/vm/104/1795305600``."""
        return "/".join(str(item[name]) for name in self.keys if item.get(name) is not None)


SNAPSHOTS = SnapshotSpec(
    kind="snapshot",
    option="snapshots",
    keys=("store", "ns", "type", "id", "time"),
    path=f"{_STORE}/snapshots",
    item_path=f"{_STORE}/snapshots",
    states=(PRESENT, ABSENT, IGNORE),
    fields=(
        Field("store", required=True, sent=False),
        Field("ns", NAMESPACE, aliases=("namespace",)),
        Field("type", api="backup-type", choices=("vm", "ct", "host"), initial="vm"),
        Field("id", api="backup-id", required=True),
        Field("time", Form(_time, int, "str"), "backup-time"),
        Field("protected", BOOLEAN, default=False),
        Field("owner"),
        Field("notes"),
        Field("forget", BOOLEAN, listed=False, sent=False),
    ),
)

_PLACE = ("ns", "type", "id", "time")


class Snapshots(PbsCollection):
    """The snapshots and groups that are named; others are left alone. They are made by backups, not here."""

    spec = SNAPSHOTS

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Forgetting has to be said twice, and about something that stays the same."""
        errors: list[QuorateError] = []
        for want in wanted:
            item, group = want.item, want.item.get("time") is None
            if want.state == ABSENT and not item.get("forget"):
                hint = "Say forget: true as well if that is meant."
                errors.append(InputError("forgetting a backup loses it", where=want.where, hint=hint))
            if want.state == ABSENT and item.get("time") == NEWEST:
                hint = "Give its time: there would be another newest one afterwards."
                errors.append(
                    InputError("the newest backup cannot be forgotten by that name", where=want.where, hint=hint)
                )
            if group and "protected" in item:
                errors.append(InputError("protected is for a snapshot: give its time", where=want.where))
            if not group and "owner" in item:
                errors.append(InputError("owner is for the whole group: leave time out", where=want.where))
        raise_all(errors)
        return wanted

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """Two lists for each namespace, and the notes of those whose notes are wanted."""
        found: dict[Key, Item] = {}
        for store in sorted({str(want.item["store"]) for want in wanted}):
            where = next(want.where for want in wanted if want.item["store"] == store)
            self.api.check_reference("datastore", store, f"{where}: store")
        for store, ns in sorted({(str(want.item["store"]), want.item.get("ns") or "") for want in wanted}):
            if store in self.api.known("datastore"):
                found |= self._listed(store, ns)
        for want in wanted:
            there = found.get(SNAPSHOTS.key(want.item))
            if there is not None and "notes" in want.item:
                there["notes"] = SNAPSHOTS.field("notes").normalise(self._notes(there))
        return found

    def _listed(self, store: str, ns: str) -> dict[Key, Item]:
        client, path = self.api.client, _STORE.format(store=store)
        place: dict[str, Any] = {"store": store, "ns": ns or None}
        try:
            groups = client.get(f"{path}/groups", ns=ns or None)
            snapshots = client.get(f"{path}/snapshots", ns=ns or None)
        except ApiError as error:
            if error.status == 404 and ns:  # no such namespace: no snapshots in it
                return {}
            raise
        found = self.by_key([{**place, **row} for row in groups])
        newest = {(row["backup-type"], row["backup-id"]): str(row.get("last-backup")) for row in groups}
        for row in snapshots:
            item = SNAPSHOTS.seen({**place, **row})
            item.pop("owner", None)
            found[SNAPSHOTS.key(item)] = item
            if newest.get((row["backup-type"], row["backup-id"])) == item["time"]:
                found[SNAPSHOTS.key({**item, "time": NEWEST})] = dict(item)
        return found

    def _notes(self, there: Item) -> str:
        path = "notes" if there.get("time") else "group-notes"
        return str(self.api.client.get(f"{_STORE.format(**there)}/{path}", **_place(there)) or "")

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """What is not there cannot be made."""
        missing = [
            StateError("there is no such backup", where=want.where, hint="Look with pbs_info for what there is.")
            for want in wanted
            if want.state == PRESENT
            and SNAPSHOTS.key(want.item) not in actual
            and want.item["store"] in self.api.known("datastore")
        ]
        if self.api.check_mode:
            self.api.unknown += [f"{error.where}: {error.message} yet" for error in missing]
        else:
            raise_all(missing)
        there = [want for want in wanted if want.state != PRESENT or SNAPSHOTS.key(want.item) in actual]
        changes = super().plan(there, actual, whole=whole)
        raise_all(
            [
                StateError("it is protected", where=change.where, hint="Set protected: false first.")
                for change in changes
                if change.action == DELETE and change.actual.get("protected")
            ]
        )
        return changes

    def update(self, change: Change) -> None:
        """Each setting has a call of its own."""
        client, there = self.api.client, change.actual
        path, place = _STORE.format(**there), _place(there)
        changed = {**change.set, **dict.fromkeys(change.unset)}
        if "protected" in changed:
            client.put(f"{path}/protected", {**place, "protected": bool(changed["protected"])})
        if "notes" in changed:
            kind = "notes" if there.get("time") else "group-notes"
            client.put(f"{path}/{kind}", {**place, "notes": changed["notes"] or ""})
        if changed.get("owner"):
            client.post(f"{path}/change-owner", {**place, "new-owner": changed["owner"]})

    def delete(self, change: Change) -> None:
        """A snapshot, or a group with all of them."""
        there = change.actual
        kind = "snapshots" if there.get("time") else "groups"
        self.api.client.delete(f"{_STORE.format(**there)}/{kind}", _place(there))


def _place(item: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that say which one."""
    return SNAPSHOTS.payload({name: item.get(name) for name in _PLACE})
