# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces of datastores: a tree that is built from above and taken down from below. Private to this collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ._pbs import NAMESPACE, PbsCollection
from ._plan import DELETE, Change, Wanted
from ._spec import PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN

NAMESPACES = Spec(
    kind="namespace",
    option="namespaces",
    keys=("store", "ns"),
    path="/admin/datastore/{store}/namespace",
    item_path="/admin/datastore/{store}/namespace",
    fields=(
        Field("store", required=True),
        Field("ns", NAMESPACE, required=True),
        Field("destroy", BOOLEAN, listed=False, sent=False),
    ),
)


class Namespaces(PbsCollection):
    """All namespaces of the datastores that are named."""

    spec = NAMESPACES

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Add the namespaces above those that are wanted."""
        named = {NAMESPACES.key(want.item) for want in wanted}
        above: dict[Key, Wanted] = {}
        for want in wanted:
            parts = str(want.item["ns"]).split("/")
            for depth in range(1, len(parts)):
                item = {"store": want.item["store"], "ns": "/".join(parts[:depth])}
                if want.state == PRESENT and NAMESPACES.key(item) not in named:
                    above.setdefault(NAMESPACES.key(item), replace(want, item=item))
        return [*above.values(), *wanted]

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """One call for each datastore; one that is not there yet has none."""
        found: dict[Key, Item] = {}
        wheres = {str(want.item["store"]): want.where for want in reversed(wanted)}
        for store, where in wheres.items():
            self.api.check_reference("datastore", store, f"{where}: store")
            if store in self.api.known("datastore"):
                answers = self.api.client.get(NAMESPACES.path.format(store=store))
                found |= self.by_key([{"store": store, **answer} for answer in answers if answer.get("ns")])
        return found

    def everything(self) -> dict[Key, Item]:
        """Those of every datastore."""
        return self.observe([Wanted({"store": store, "ns": ""}, "") for store in sorted(self.api.known("datastore"))])

    def apply(self, changes: Sequence[Change]) -> None:
        """The lowest go first, the highest come first."""
        deletions = [change for change in changes if change.action == DELETE]
        others = [change for change in changes if change.action != DELETE]
        super().apply([*sorted(deletions, key=_depth, reverse=True), *sorted(others, key=_depth)])

    def create(self, change: Change) -> None:
        """POST the last part of the path, below the rest of it."""
        parent, _slash, name = str(change.item["ns"]).rpartition("/")
        self.api.client.post(NAMESPACES.fill(NAMESPACES.path, change.item), {"name": name, "parent": parent or None})

    def delete(self, change: Change) -> None:
        """With its backups, if that is said."""
        destroy = bool(change.element.get("destroy"))
        self.api.client.delete(
            NAMESPACES.fill(NAMESPACES.item_path, change.actual), {"ns": change.actual["ns"], "delete-groups": destroy}
        )


def _depth(change: Change) -> int:
    return str(change.item["ns"]).count("/")
