# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA affinity: rules of Proxmox VE 9, groups of Proxmox VE 8 (facts §7.1). Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ._collection import Collection
from ._errors import InputError, QuorateError
from ._plan import Change, Wanted, raise_all
from ._pure.lists import natural_sorted
from ._spec import PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN, NODE_PRIORITIES, SET, Form

NODE_AFFINITY, RESOURCE_AFFINITY = "node-affinity", "resource-affinity"
RESOURCES = "/cluster/ha/resources"

RULES = Spec(
    kind="HA rule",
    option="rules",
    keys=("name",),
    path="/cluster/ha/rules",
    item_path="/cluster/ha/rules/{rule}",
    # the server wants it with every change, though it is fixed (observed)
    on_update=("type",),
    fields=(
        Field("name", api="rule", required=True, aliases=("rule",)),
        Field("type", fixed=True, choices=(NODE_AFFINITY, RESOURCE_AFFINITY), initial=NODE_AFFINITY),
        Field("nodes", NODE_PRIORITIES, refers="node", needed=lambda item: item["type"] == NODE_AFFINITY),
        Field("strict", BOOLEAN, default=False),
        Field("resources", SET, needed=True),
        Field("affinity", needed=lambda item: item["type"] == RESOURCE_AFFINITY, choices=("positive", "negative")),
        Field("failback", BOOLEAN, listed=False, sent=False),
        Field("comment"),
        Field("disabled", BOOLEAN, "disable", default=False),
    ),
)

# A group says the opposite of failback, and a resource names its group instead of the other way round.
_NOT = Form(lambda value: not BOOLEAN.normalise(value), lambda value: int(not value), "bool")

GROUPS = Spec(
    kind="HA group",
    option="rules",
    keys=("name",),
    path="/cluster/ha/groups",
    item_path="/cluster/ha/groups/{group}",
    fields=(
        Field("name", api="group"),
        Field("nodes", NODE_PRIORITIES, refers="node", needed=True),
        Field("strict", BOOLEAN, "restricted", default=False),
        Field("resources", SET, sent=False),
        Field("failback", BOOLEAN, sent=False, default=True),
        Field("comment"),
    ),
)


class HaRules(Collection):
    """Entries of ha/rules.cfg."""

    spec = RULES
    # a resource that moves from one rule to another must leave the first before it enters the second
    order_matters = re.compile(r"Rule '[^']*' is invalid")

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """What goes with which type."""
        errors: list[QuorateError] = []
        for want in wanted:
            by_resource = want.item.get("type") == RESOURCE_AFFINITY
            foreign = ("nodes", "strict") if by_resource else ("affinity",)
            errors += [
                InputError(f"{name} does not go with type {want.item['type']}", where=want.where)
                for name in foreign
                if name in want.item
            ]
        raise_all(errors)
        return wanted

    def facts(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Which of the two the server has."""
        return {"api": "rules"}


class HaGroups(Collection):
    """Entries of ha/groups.cfg, with the resources that name them."""

    spec = GROUPS

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Groups know nothing of resource affinity, and cannot be switched off."""
        errors: list[QuorateError] = []
        for want in wanted:
            beyond = want.element.get("type") == RESOURCE_AFFINITY or want.element.get("disabled")
            if want.state == PRESENT and beyond:
                errors.append(
                    InputError(
                        "this server has HA groups, which know no resource affinity and cannot be switched off",
                        where=want.where,
                        hint="Leave the rule out (state: ignore), or bring the cluster to Proxmox VE 9.",
                    )
                )
        raise_all(errors)
        return wanted

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """Two lists: the groups, and the resources with their groups."""
        groups = {}
        for answer in self.api.client.get(GROUPS.path):
            item = GROUPS.seen(answer)
            item["failback"] = _NOT.normalise(answer.get("nofailback") or 0)
            groups[GROUPS.key(item)] = item
        self._group_of = {str(resource["sid"]): resource.get("group") for resource in self.api.client.get(RESOURCES)}
        for key, item in groups.items():
            sids = [sid for sid, group in self._group_of.items() if group == key[0]]
            item["resources"] = natural_sorted(sids) or None
        return groups

    def create(self, change: Change) -> None:
        """The group, then its resources."""
        self.api.client.post(GROUPS.path, self._payload(change.item))
        self._move(change, change.item.get("resources") or [])

    def update(self, change: Change) -> None:
        """What differs of the group, then its resources."""
        payload = self._payload(change.set)
        if gone := [GROUPS.field(name).api_name for name in change.unset if name != "resources"]:
            payload["delete"] = ",".join(gone)
        if payload:
            self.api.client.put(GROUPS.fill(GROUPS.item_path, change.actual), payload)
        if "resources" in change.set or "resources" in change.unset:
            self._move(change, change.set.get("resources") or [])

    def delete(self, change: Change) -> None:
        """A group in use cannot be deleted: its resources leave first."""
        self._move(change, [])
        super().delete(change)

    def facts(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Which of the two the server has."""
        return {"api": "groups"}

    def _payload(self, item: Item) -> dict[str, Any]:
        payload = GROUPS.payload(item)
        if "failback" in item:
            payload["nofailback"] = _NOT.encode(item["failback"])
        return payload

    def _move(self, change: Change, resources: Sequence[str]) -> None:
        name = change.key[0]
        for sid, group in sorted(self._group_of.items()):
            if sid in resources and group != name:
                self.api.client.put(f"{RESOURCES}/{sid}", {"group": name})
            elif sid not in resources and group == name:
                self.api.client.put(f"{RESOURCES}/{sid}", {"delete": "group"})
        missing = [sid for sid in resources if sid not in self._group_of]
        if missing:
            raise InputError(f"{', '.join(missing)} is not under HA", where=change.where, hint="See ha_resources.")
