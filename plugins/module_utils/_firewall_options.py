# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of firewalls: of the cluster, of nodes, of guests (facts §19). Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._errors import QuorateError
from ._firewall import CLUSTER, GUEST_FIELD, NODE, NODE_FIELD, SCOPE, Scoped, place_name
from ._firewall_guard import Guard
from ._hosts import Hosts
from ._plan import UPDATE, Change, Wanted
from ._shell import Login
from ._spec import Field, Item, Key, Spec
from ._values import Form, plain_text


def _options(value: Any) -> dict[str, str | None]:
    found = {}
    for name, setting in dict(value).items():
        text = None if setting is None else plain_text(setting)
        found[str(name)] = text or None
    return found


FIREWALLS = Spec(
    kind="firewall",
    option="firewalls",
    keys=("scope", "node", "guest"),
    path="/cluster/firewall",
    item_path="/cluster/firewall",
    states=(),
    fields=(
        SCOPE,
        NODE_FIELD,
        GUEST_FIELD,
        Field("options", Form(_options, dict, "dict"), required=True),
    ),
)


class FirewallOptions(Scoped):
    """Options by the server's names; those that are not named stay, those of null get the server's default."""

    spec = FIREWALLS

    def __init__(self, api: Api, params: Mapping[str, Any], hosts: Hosts) -> None:
        super().__init__(api, params)
        self.guard = Guard(api, params, hosts)
        self.actual: dict[Key, Item] = {}

    @classmethod
    def run(cls, params: Mapping[str, Any], check_mode: bool) -> Result:
        """The whole module."""
        with Api.open(params, check_mode) as api, Hosts(params["nodes"], Login.from_params(params)) as hosts:
            return cls(api, params, hosts).manage()

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """Each firewall that is named, and the cluster's, on which the others depend."""
        self.actual = {}
        for want in wanted:
            if (base := self.base(want.item)) is not None:
                answer = self.api.client.get(f"{base}/options")
                found = {name: plain_text(value) for name, value in answer.items() if name != "digest"}
                self.actual[FIREWALLS.key(want.item)] = {**want.item, "options": found, "digest": answer.get("digest")}
        return self.actual

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Only what differs, with the cluster's last: switching on comes after everything else."""
        changes: list[Change] = []
        for want in wanted:
            key = FIREWALLS.key(want.item)
            if key not in actual:
                continue
            has = actual[key]["options"]
            differs = {name: value for name, value in want.item["options"].items() if has.get(name) != value}
            # what is on since a certain second is on
            if differs.get("enable") == "1" and int(has.get("enable", 0)) > 1:
                del differs["enable"]
            if differs:
                before = {name: has.get(name) for name in differs}
                label = place_name(want.item)
                changes.append(
                    Change(
                        UPDATE,
                        FIREWALLS.kind,
                        f"of the {label}" if label == CLUSTER else f"of {label}",
                        key,
                        want.item,
                        actual[key],
                        differs,
                        before=before,
                        after={name: value for name, value in differs.items() if value is not None},
                        where=want.where,
                    )
                )
        return sorted(changes, key=lambda change: change.key[0] == CLUSTER)

    def check(self, changes: Sequence[Change]) -> None:
        """Who is let in afterwards."""
        touching = [change for change in changes if change.key[0] in (CLUSTER, NODE)]
        if not touching:
            return
        cluster = next((change for change in touching if change.key[0] == CLUSTER), None)
        after = _after(cluster) if cluster else self.api.client.get("/cluster/firewall/options")
        hosts = {str(change.key[1]): _after(change) for change in touching if change.key[0] == NODE}
        self.guard.check(touching[-1].where, after, hosts)

    def apply(self, changes: Sequence[Change]) -> None:
        """Those of guests as they are, the others under guard."""
        guarded = [change for change in changes if change.key[0] in (CLUSTER, NODE)]
        rest = [change for change in changes if change not in guarded]
        if rest:
            super().apply(rest)
        if guarded:
            nodes = [str(change.key[1]) for change in guarded if change.key[0] == NODE]
            try:
                self.guard.watched(lambda: super(FirewallOptions, self).apply(guarded), nodes)
            except QuorateError as error:
                raise error.at(guarded[-1].where) from error

    def update(self, change: Change) -> None:
        """PUT what differs, if nobody else has changed it."""
        gone = ",".join(name for name, value in change.set.items() if value is None)
        payload = {name: value for name, value in change.set.items() if value is not None}
        more = {"delete": gone} if gone else {}
        digest = {"digest": change.actual["digest"]} if change.actual.get("digest") else {}
        self.api.client.put(f"{self.base(change.item)}/options", {**payload, **more, **digest})


def _after(change: Change) -> dict[str, Any]:
    options = {**change.actual["options"], **change.set}
    return {name: value for name, value in options.items() if value is not None}
