# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of firewalls, known by a key in their comment: positions shift with every change (facts §19).

Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ._api import Api, Result
from ._errors import InputError, QuorateError
from ._firewall import CLUSTER, GROUP, GUEST_FIELD, NODE, NODE_FIELD, RULE_SCOPE, Scoped, base_path, place, place_name
from ._firewall_guard import Guard
from ._hosts import Hosts
from ._plan import CREATE, DELETE, UPDATE, Change, Wanted, plan_changes, raise_all
from ._shell import Login
from ._spec import PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN

_KEYED = re.compile(r"\[([\w.-]+)\]\s*(.*)", re.DOTALL)
KEY = re.compile(r"[\w.-]+")
ORDER = "order"

RULES = Spec(
    kind="firewall rule",
    option="rules",
    keys=("scope", "node", "guest", "group", "key"),
    label_format="{key}",
    path="/cluster/firewall/rules",
    item_path="/cluster/firewall/rules",
    fields=(
        RULE_SCOPE,
        NODE_FIELD,
        GUEST_FIELD,
        Field("group", sent=False, listed=False),
        Field("key", required=True, sent=False, listed=False),
        Field("type", choices=("in", "out", "forward", "group"), needed=True),
        Field("action", needed=True),
        Field("enable", BOOLEAN, initial=True),
        Field("macro"),
        Field("proto"),
        Field("source"),
        Field("dest"),
        Field("sport"),
        Field("dport"),
        Field("iface"),
        Field("log"),
        Field("icmp_type", api="icmp-type"),
        Field("comment"),
    ),
)


class FirewallRules(Scoped):
    """Rules in the order of the list; those without a key of ours stay where they are."""

    spec = RULES

    def __init__(self, api: Api, params: Mapping[str, Any], hosts: Hosts) -> None:
        super().__init__(api, params)
        self.guard = Guard(api, params, hosts)
        self.lists: dict[tuple[Any, ...], list[dict[str, Any]]] = {}

    @classmethod
    def run(cls, params: Mapping[str, Any], check_mode: bool) -> Result:
        """The whole module."""
        with Api.open(params, check_mode) as api, Hosts(params["nodes"], Login.from_params(params)) as hosts:
            return cls(api, params, hosts).manage()

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """A key is a word."""
        raise_all(
            [
                InputError(
                    f"key must be of letters, digits, '_', '-' and '.', is {want.item['key']!r}", where=want.where
                )
                for want in wanted
                if not KEY.fullmatch(str(want.item["key"]))
            ]
        )
        return super().prepare(wanted)

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """One list a firewall or group that is named."""
        found: dict[Key, Item] = {}
        places = {place(want.item): want.item for want in wanted}
        if self.params.get("purge") and not places:
            places = {(CLUSTER, None, None, None): {"scope": CLUSTER}}
        self.lists = {}
        for where, item in places.items():
            path = self._path(item)
            rows = self.api.client.get(path) if path else []
            self.lists[where] = sorted(rows, key=lambda row: int(row["pos"]))
            for row in self.lists[where]:
                key, comment = key_of(row)
                if key:
                    seen = RULES.seen({**row, "comment": comment})
                    seen |= {"scope": where[0], "node": where[1], "guest": where[2], "group": where[3], "key": key}
                    found[RULES.key(seen)] = {name: value for name, value in seen.items() if value is not None}
        return found

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """What comes, changes and goes, then the order of each list in which it would be another."""
        changes = plan_changes(RULES, wanted, actual, purge=whole and bool(self.params.get("purge")))
        for where in {place(want.item): None for want in wanted}:
            order = [str(w.item["key"]) for w in wanted if w.state == PRESENT and place(w.item) == where]
            if not whole:
                order = [key for key in order if RULES.key(_item(where, key)) in actual]
            now = [key for row in self.lists.get(where, []) if (key := key_of(row)[0]) in order]
            now += [key for key in order if key not in now]
            if now != order:
                item = _item(where, "")
                changes.append(
                    Change(
                        UPDATE,
                        "order of firewall rules",
                        f"of the {place_name(item)}" if where[0] == CLUSTER else f"of {place_name(item)}",
                        (*where, ORDER),
                        item,
                        before={"keys": now},
                        after={"keys": order},
                        set={"keys": order},
                    )
                )
        return changes

    def check(self, changes: Sequence[Change]) -> None:
        """Who is let in afterwards, where the firewall is on."""
        guarded = [change for change in changes if change.key[0] in (CLUSTER, NODE, GROUP)]
        if guarded:
            options = self.api.client.get("/cluster/firewall/options")
            after = {where: self._after(where, changes) for where in {place(change.item) for change in guarded}}
            self.guard.check(guarded[0].where, options, rules=after)

    def apply(self, changes: Sequence[Change]) -> None:
        """Those of guests as they are, the others under guard if the firewall is on."""
        guarded = [change for change in changes if change.key[0] in (CLUSTER, NODE, GROUP)]
        rest = [change for change in changes if change not in guarded]
        if rest:
            super().apply(rest)
        if not guarded:
            return
        nodes = sorted({str(change.key[1]) for change in guarded if change.key[0] == NODE})
        try:
            self.guard.watched(lambda: super(FirewallRules, self).apply(guarded), nodes)
        except QuorateError as error:
            raise error.at(guarded[0].where) from error

    # one rule

    def create(self, change: Change) -> None:
        """At the end: what is there keeps its precedence until the order is made."""
        path = self._path(change.item)
        end = len(self.api.client.get(str(path)))
        self.api.client.post(str(path), {**_payload(change.item, change.item), "pos": end})

    def update(self, change: Change) -> None:
        """In its place, or the order of the whole list."""
        path = self._path(change.item)
        if change.key[-1] == ORDER and "keys" in change.set:
            self._order(str(path), change.set["keys"])
            return
        row = self._row(str(path), change)
        gone = [RULES.field(name).api_name for name in change.unset if name != "comment"]
        payload = _payload({**change.set, "key": change.key[-1]}, {**change.actual, **change.set}, change.unset)
        more = {"delete": ",".join(gone)} if gone else {}
        self.api.client.put(f"{path}/{row['pos']}", {**payload, **more, "digest": row.get("digest")})

    def delete(self, change: Change) -> None:
        """By the position that it has at this moment."""
        path = self._path(change.actual)
        row = self._row(str(path), change)
        self.api.client.delete(f"{path}/{row['pos']}", {"digest": row.get("digest")})

    def _order(self, path: str, order: Sequence[str]) -> None:
        """Put each behind the one before it; what is not ours keeps its place among what stays."""
        for before, key in pairwise(order):
            rows = {key_of(row)[0]: row for row in self.api.client.get(path)}
            first, second = int(rows[before]["pos"]), int(rows[key]["pos"])
            if second < first:
                self.api.client.put(f"{path}/{second}", {"moveto": first + 1, "digest": rows[key].get("digest")})

    def _row(self, path: str, change: Change) -> dict[str, Any]:
        for row in self.api.client.get(path):
            if key_of(row)[0] == change.key[-1]:
                return dict(row)
        raise InputError("somebody else has removed it in the meantime; run again", where=change.where)

    def _path(self, item: Mapping[str, Any]) -> str | None:
        """Where the rules of an element's firewall or group are."""
        if item["scope"] == GROUP:
            groups = {str(each["group"]) for each in self.api.client.get("/cluster/firewall/groups")}
            name = str(item["group"]).lower()
            if name not in groups:
                if self.api.check_mode:
                    self.api.unknown.append(f"there is no security group {name} yet")
                    return None
                raise InputError(f"there is no security group {name}", hint="Make it with security_groups first.")
            return f"/cluster/firewall/groups/{name}"
        base = base_path(self.api, item, place_name(item))
        return f"{base}/rules" if base else None

    def _after(self, where: tuple[Any, ...], changes: Sequence[Change]) -> list[dict[str, Any]]:
        """A list as it will be."""
        mine = {str(change.key[-1]): change for change in changes if place(change.item) == where}
        found: list[dict[str, Any]] = []
        for row in self.lists.get(where, []):
            change = mine.get(key_of(row)[0])
            if change is None or change.action == DELETE:
                found += [row] if change is None else []
                continue
            kept = {name: value for name, value in row.items() if name not in change.unset}
            found.append({**kept, **RULES.payload(change.set)})
        for key, change in mine.items():
            if change.action == CREATE and key != ORDER:
                found.append({**RULES.payload(change.item), "comment": f"[{key}]"})
        order = next((change.set["keys"] for change in mine.values() if "keys" in change.set), None)
        if order:
            rows = {key_of(row)[0]: row for row in found}
            ordered = iter([rows[key] for key in order])
            found = [next(ordered) if key_of(row)[0] in order else row for row in found]
        return found


def key_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """The key in a rule's comment, and the rest of it; ``""`` for one that is not ours."""
    match = _KEYED.fullmatch(str(row.get("comment") or ""))
    return (match[1], match[2]) if match else ("", str(row.get("comment") or ""))


def _payload(settings: Item, whole: Item, unset: Sequence[str] = ()) -> dict[str, Any]:
    """Settings in the API's words, with the key in the comment."""
    comment = "" if "comment" in unset else str(whole.get("comment") or "")
    return {**RULES.payload(settings), "comment": f"[{whole['key']}] {comment}".strip()}


def _item(where: tuple[Any, ...], key: str) -> Item:
    item = dict(zip(("scope", "node", "guest", "group"), where, strict=True))
    return {name: value for name, value in {**item, "key": key}.items() if value is not None}
