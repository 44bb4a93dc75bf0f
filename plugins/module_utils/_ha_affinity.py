# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA affinity: rules of Proxmox VE 9, groups of Proxmox VE 8 (facts §7.1). Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._collection import Collection
from ._errors import InputError, QuorateError
from ._ha import wait_for_rest_of
from ._ha_replicas import NODE_AFFINITY, RESOURCE_AFFINITY
from ._plan import Change, Wanted, raise_all
from ._pure.lists import natural_sorted
from ._spec import PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN, NODE_PRIORITIES, SET

RESOURCES = "/cluster/ha/resources"
OF_A_TYPE = frozenset({"nodes", "strict", "affinity"})

# what the server's own migration calls the rule that a group becomes (facts §7.1)
PREFIX = "ha-group-"

RULES = Spec(
    kind="HA rule",
    option="rules",
    keys=("name",),
    path="/cluster/ha/rules",
    digest=True,
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

GROUPS = Spec(
    kind="HA group",
    option="rules",
    keys=("name",),
    path="/cluster/ha/groups",
    item_path="/cluster/ha/groups/{group}",
    digest=True,
    fields=(
        Field("name", api="group"),
        Field("nodes", NODE_PRIORITIES, refers="node", needed=True),
        Field("strict", BOOLEAN, "restricted", default=False),
        Field("resources", SET, sent=False),
        Field("failback", BOOLEAN, sent=False, default=True),
        Field("comment"),
    ),
)

# Single members, beside the whole list of resources
MEMBERS: dict[str, Any] = {
    name: {"type": "list", "elements": "str", "default": []} for name in ("add_resources", "remove_resources")
}
WAITING: dict[str, Any] = {"wait": {"type": "bool", "default": True}, "timeout": {"type": "int", "default": 300}}


def with_members(options: dict[str, Any], option: str) -> dict[str, Any]:
    """A spec's options with those for single members."""
    options[option]["options"] |= MEMBERS
    return options


class Affinity(Collection):
    """What rules and groups have in common: resources belong to them, and the manager acts on them later."""

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """All resources of a rule, or single ones."""
        raise_all(
            [
                InputError("resources is the whole list: it does not go with single members", where=want.where)
                for want in wanted
                if "resources" in want.item and _members(want)
            ]
        )
        return wanted

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Compare, with single members added to or taken from those that are there."""
        return super().plan([self._complete(want, actual) for want in wanted], actual, whole=whole)

    def _complete(self, want: Wanted, actual: dict[Key, Item]) -> Wanted:
        if not _members(want) or want.state != PRESENT:
            return want
        there = actual.get(self.spec.key(want.item), {})
        added, removed = (want.element.get(name) or [] for name in MEMBERS)
        resources = SET.normalise({*(there.get("resources") or []), *added} - set(removed))
        if resources is None:
            self.left_empty(want)
        item = {**want.item, "resources": resources}
        if "type" in there and not item.keys() & OF_A_TYPE:
            # whoever names single members alone need not know what kind of rule it is
            item["type"] = there["type"]
        return replace(want, item=item)

    def left_empty(self, want: Wanted) -> None:
        """The last resource leaves. Raises :class:`InputError` where that cannot be."""

    def verify(self, wanted: Sequence[Wanted], changes: Sequence[Change]) -> None:
        """Read back, then wait until the manager has acted on it: it does so in its next rounds (facts §22.20)."""
        super().verify(wanted, changes)
        if self.params["wait"]:
            touched = {
                sid
                for change in changes
                for item in (change.item, change.actual)
                for sid in item.get("resources") or []
            }
            wait_for_rest_of(self.api.client, touched, float(self.params["timeout"]))


def _members(want: Wanted) -> bool:
    return any(want.element.get(name) for name in MEMBERS)


class HaRules(Affinity):
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
        return super().prepare(wanted)

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All rules. One that the server made of a group is the rule of the group's name, which PVE 8 had it under."""
        rules = super().observe(wanted)
        for want in wanted:
            key = self.spec.key(want.item)
            migrated = (f"{PREFIX}{key[0]}",)
            if key not in rules and rules.get(migrated, {}).get("type") == NODE_AFFINITY:
                rules[key] = rules.pop(migrated)
        return rules

    def left_empty(self, want: Wanted) -> None:
        """A rule has resources."""
        raise InputError(
            "that would take the last resource from the rule, and a rule has resources",
            where=want.where,
            hint="Say state: absent if the rule is to go.",
        )

    def facts(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Which of the two the server has."""
        return {"api": "rules"}


class Groups(Affinity):
    """Entries of ha/groups.cfg, with the resources that name them."""

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """Two lists: the groups, and the resources with their groups."""
        # the server lists groups in any order
        groups = dict(sorted(self.by_key(self.api.client.get(self.spec.path)).items()))
        self._group_of = {str(resource["sid"]): resource.get("group") for resource in self.api.client.get(RESOURCES)}
        for key, item in groups.items():
            sids = [sid for sid, group in self._group_of.items() if group == key[0]]
            item["resources"] = natural_sorted(sids) or None
        return groups

    def create(self, change: Change) -> None:
        """The group, then its resources."""
        self.api.client.post(self.spec.path, self.payload(change.item))
        self._move(change, change.item.get("resources") or [])

    def update(self, change: Change) -> None:
        """What differs of the group, then its resources."""
        payload = self.payload(change.set)
        if gone := [self.spec.field(name).api_name for name in change.unset if name != "resources"]:
            payload["delete"] = ",".join(gone)
        if payload:
            payload |= self.held(change)
            self.api.client.put(self.spec.fill(self.spec.item_path, change.actual), payload)
        if "resources" in change.set or "resources" in change.unset:
            self._move(change, change.set.get("resources") or [])

    def delete(self, change: Change) -> None:
        """A group in use cannot be deleted: its resources leave first."""
        self._move(change, [])
        super().delete(change)

    def facts(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Which of the two the server has."""
        return {"api": "groups"}

    def payload(self, item: Item) -> dict[str, Any]:
        """Settings of the group itself as the API has them."""
        return self.spec.payload(item)

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


class HaGroups(Groups):
    """Groups in the words of rules."""

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
        return super().prepare(wanted)

    def by_key(self, answers: Sequence[Mapping[str, Any]]) -> dict[Key, Item]:
        """A group says the opposite of failback."""
        items = super().by_key(answers)
        for answer in answers:
            stays = BOOLEAN.normalise(answer.get("nofailback") or 0)
            items[self.spec.key(self.spec.seen(answer))]["failback"] = not stays
        return items

    def payload(self, item: Item) -> dict[str, Any]:
        """The same the other way round."""
        stays = {"nofailback": int(not item["failback"])} if "failback" in item else {}
        return {**super().payload(item), **stays}
