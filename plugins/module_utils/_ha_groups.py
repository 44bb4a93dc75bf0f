# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA groups in their own words, also where the server has rules instead (facts §7.1). Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._errors import ApiError, InputError, QuorateError
from ._ha_affinity import PREFIX, RESOURCES, Affinity, Groups
from ._ha_replicas import NODE_AFFINITY
from ._plan import CREATE, Change, Wanted, raise_all
from ._spec import PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN, NODE_PRIORITIES, SET, Form

MIGRATED = re.compile(r"ha groups have been migrated to rules")

_RULE_NAME = Form(lambda value: str(value).removeprefix(PREFIX), lambda value: f"{PREFIX}{value}", "str")

GROUPS = Spec(
    kind="HA group",
    option="groups",
    keys=("name",),
    path="/cluster/ha/groups",
    item_path="/cluster/ha/groups/{group}",
    digest=True,
    fields=(
        Field("name", api="group", required=True, aliases=("group",)),
        Field("nodes", NODE_PRIORITIES, refers="node", needed=True),
        Field("restricted", BOOLEAN, default=False),
        Field("nofailback", BOOLEAN, default=False),
        Field("resources", SET, sent=False),
        Field("comment"),
    ),
)

AS_RULES = Spec(
    kind="HA group",
    option="groups",
    keys=("name",),
    path="/cluster/ha/rules",
    item_path=f"/cluster/ha/rules/{PREFIX}{{rule}}",
    digest=True,
    fields=(
        Field("name", _RULE_NAME, api="rule"),
        Field("nodes", NODE_PRIORITIES, refers="node", needed=True),
        Field("restricted", BOOLEAN, "strict", default=False),
        Field("nofailback", BOOLEAN, default=False, sent=False),
        Field("resources", SET),
        Field("comment"),
    ),
)


class OwnGroups(Groups):
    """Groups where the server has them."""

    spec = GROUPS


class GroupsAsRules(Affinity):
    """Groups as what the server would make of them: node-affinity rules, and the failback of their resources."""

    spec = AS_RULES

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """Two lists: the rules that were, or could have been, groups; and the resources with their failback."""
        rules = self.api.client.get(self.spec.path)
        groups = self.by_key(
            [rule for rule in rules if rule["type"] == NODE_AFFINITY and str(rule["rule"]).startswith(PREFIX)]
        )
        self._stays = {
            str(resource["sid"]): not BOOLEAN.normalise(resource.get("failback", 1))
            for resource in self.api.client.get(RESOURCES)
        }
        for item in groups.values():
            stays = {self._stays.get(sid, False) for sid in item.get("resources") or ()}
            item["nofailback"] = stays.pop() if len(stays) == 1 else "of some"
        return groups

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """A rule has resources; a group needs none."""
        changes = super().plan(wanted, actual, whole=whole)
        errors: list[QuorateError] = []
        for change in changes:
            if change.action == CREATE and not change.item.get("resources"):
                errors.append(self._empty(change.where))
        raise_all(errors)
        return changes

    def left_empty(self, want: Wanted) -> None:
        """The last resource leaves."""
        raise self._empty(want.where)

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """An empty list of resources is none."""
        raise_all(
            [
                self._empty(want.where)
                for want in wanted
                if want.state == PRESENT and want.item.get("resources", True) is None
            ]
        )
        return super().prepare(wanted)

    def _empty(self, where: str) -> InputError:
        return InputError(
            "this server has HA rules instead of groups, and a rule has resources: a group without any cannot be said",
            where=where,
            hint="Give the group's resources, or leave it out (state: ignore).",
        )

    def create(self, change: Change) -> None:
        """The rule, then what its resources say of failback."""
        self.api.client.post(self.spec.path, {"type": NODE_AFFINITY, **self.spec.payload(change.item)})
        self._set_failback(change)

    def update(self, change: Change) -> None:
        """What differs of the rule, then of its resources."""
        payload = self.spec.payload(change.set)
        if change.unset:
            payload["delete"] = ",".join(self.spec.field(name).api_name for name in change.unset)
        if payload:
            path = self.spec.fill(self.spec.item_path, change.actual)
            self.api.client.put(path, {"type": NODE_AFFINITY, **payload, **self.held(change)})
        self._set_failback(change)

    def _set_failback(self, change: Change) -> None:
        stays = change.item.get("nofailback", change.actual.get("nofailback"))
        sids: Iterable[str] = change.item.get("resources") or change.actual.get("resources") or ()
        for sid in sids:
            if isinstance(stays, bool) and self._stays.get(sid, False) != stays:
                self.api.client.put(f"{RESOURCES}/{sid}", {"failback": int(not stays)})

    def facts(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Which of the two the server has."""
        return {"api": "rules"}


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """Groups if the server has them, else rules."""
    with Api.open(params, check_mode) as api:
        try:
            return OwnGroups(api, params).manage()
        except ApiError as error:
            if not (error.says(MIGRATED) and error.method == "GET"):
                raise
        return GroupsAsRules(api, params).manage()
