# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""IP sets, aliases and security groups of firewalls (facts §19). Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._collection import Collection
from ._firewall import GUEST_FIELD, SET_SCOPE, Scoped, place
from ._plan import Change, Wanted
from ._spec import Field, Item, Key, Spec
from ._values import Form

BASE = "/cluster/firewall"
_LOWER = Form(lambda value: str(value).lower(), str, "str")


def _members(value: Any) -> list[dict[str, Any]]:
    """Members by address: each a text, or ``cidr``, ``nomatch``, ``comment``."""
    found = {}
    for each in value:
        member = {"cidr": each} if isinstance(each, str) else dict(each)
        if set(member) - {"cidr", "nomatch", "comment"} or not member.get("cidr"):
            raise ValueError("a member is an address, or has cidr, nomatch and comment")
        nomatch = str(member.get("nomatch", False)).lower() in ("1", "true", "yes")
        comment = str(member.get("comment") or "") or None
        found[str(member["cidr"]).lower()] = {
            "cidr": str(member["cidr"]).lower(),
            "nomatch": nomatch,
            "comment": comment,
        }
    return [found[cidr] for cidr in sorted(found)]


SETS = Spec(
    kind="IP set",
    option="sets",
    keys=("scope", "guest", "name"),
    label_format="{name}",
    path=BASE,
    item_path=BASE,
    fields=(
        SET_SCOPE,
        GUEST_FIELD,
        Field("name", _LOWER, required=True),
        Field("comment"),
        Field("members", Form(_members, list, "list", "raw")),
    ),
)
ALIASES = Spec(
    kind="alias",
    option="aliases",
    keys=("scope", "guest", "name"),
    label_format="{name}",
    path=BASE,
    item_path=BASE,
    fields=(
        SET_SCOPE,
        GUEST_FIELD,
        Field("name", _LOWER, required=True),
        Field("cidr", _LOWER, needed=True),
        Field("comment"),
    ),
    on_update=("cidr",),
)
GROUPS = Spec(
    kind="security group",
    option="groups",
    keys=("name",),
    path=f"{BASE}/groups",
    item_path=f"{BASE}/groups/{{group}}",
    digest=True,
    fields=(Field("name", _LOWER, api="group", required=True), Field("comment")),
)


class _Named(Scoped):
    """Objects with a name, listed by firewall."""

    part: str

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The firewalls that are named, and the cluster's."""
        places = {place(want.item): want.item for want in wanted}
        if self.params.get("purge"):
            places |= {place({"scope": "cluster"}): {"scope": "cluster", "name": "?"}}
        found: dict[Key, Item] = {}
        self._digests: dict[str, str] = {}
        for item in places.values():
            base = self.base(item)
            for row in self.api.client.get(f"{base}/{self.part}") if base else ():
                self._digests |= {str(base): str(row["digest"])} if row.get("digest") else {}
                seen = self.spec.seen(row) | {"scope": item["scope"]}
                if item.get("guest") is not None:
                    seen["guest"] = item["guest"]
                found[self.spec.key(seen)] = self.complete(seen, f"{base}/{self.part}")
        return found

    def complete(self, item: Item, path: str) -> Item:
        """What the list does not say."""
        return item

    def path(self, item: Item) -> str:
        """Where an object's firewall has those of its kind."""
        return f"{self.base(item)}/{self.part}"

    def change_one(self, change: Change) -> None:
        """This run's own change is one, too: from here on the digest that was read is of no use."""
        super().change_one(change)
        self._digests.pop(str(self.base(change.item or change.actual)), None)

    def held(self, change: Change) -> dict[str, str]:
        """That of the firewall's file, for the first call that takes it."""
        digest = self._digests.pop(str(self.base(change.item or change.actual)), None)
        return {"digest": digest} if digest else {}


class Aliases(_Named):
    """Names for addresses."""

    spec = ALIASES
    part = "aliases"

    def create(self, change: Change) -> None:
        """POST."""
        self.api.client.post(self.path(change.item), ALIASES.payload(change.item))

    def update(self, change: Change) -> None:
        """The address is wanted with every change; a comment that is not given is kept, an empty one removes it."""
        now = {**change.actual, **change.set}
        comment = "" if "comment" in change.unset else now.get("comment")
        payload = {"cidr": now["cidr"], "comment": comment, **self.held(change)}
        self.api.client.put(f"{self.path(change.actual)}/{change.key[-1]}", payload)

    def delete(self, change: Change) -> None:
        """DELETE."""
        self.api.client.delete(f"{self.path(change.actual)}/{change.key[-1]}", self.held(change))


class IpSets(_Named):
    """Sets with their members, which are the whole list when they are given."""

    spec = SETS
    part = "ipset"

    def complete(self, item: Item, path: str) -> Item:
        """The members are listed set by set."""
        return {**item, "members": _members([_row(row) for row in self.api.client.get(f"{path}/{item['name']}")])}

    def create(self, change: Change) -> None:
        """The set, then its members."""
        payload = {"name": change.key[-1], "comment": change.item.get("comment")}
        self.api.client.post(self.path(change.item), payload)
        self._put_members(change, [], change.item.get("members") or [])

    def update(self, change: Change) -> None:
        """The comment by way of a renaming to the same name, the members one by one."""
        if "comment" in change.set or "comment" in change.unset:
            name = change.key[-1]
            payload = {"name": name, "rename": name, "comment": change.set.get("comment", "")}
            self.api.client.post(self.path(change.actual), {**payload, **self.held(change)})
        if "members" in change.set or "members" in change.unset:
            self._put_members(change, change.actual["members"], change.set.get("members") or [])

    def delete(self, change: Change) -> None:
        """Its members first: the server removes empty sets only."""
        self._put_members(change, change.actual["members"], [])
        self.api.client.delete(f"{self.path(change.actual)}/{change.key[-1]}")

    def _put_members(
        self, change: Change, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
    ) -> None:
        """New ones first, so that nobody is left out for a moment."""
        path = f"{self.path(change.item or change.actual)}/{change.key[-1]}"
        had = {member["cidr"]: member for member in before}
        wanted = {member["cidr"]: member for member in after}
        if wanted.keys() - had.keys():
            # a call that takes no digest comes first
            self.held(change)
        for cidr, member in wanted.items():
            if cidr not in had:
                comment = {"comment": member["comment"]} if member["comment"] else {}
                self.api.client.post(path, {"cidr": cidr, "nomatch": int(member["nomatch"]), **comment})
            elif member != had[cidr]:
                settings = {"nomatch": int(member["nomatch"]), "comment": member["comment"] or "", **self.held(change)}
                self.api.client.put(f"{path}/{cidr}", settings)
        for cidr in had:
            if cidr not in wanted:
                self.api.client.delete(f"{path}/{cidr}", self.held(change))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("cidr", "nomatch", "comment") if row.get(name) is not None}


class SecurityGroups(Collection):
    """Groups; their rules are firewall_rules with the scope ``group``."""

    spec = GROUPS

    def update(self, change: Change) -> None:
        """The comment by way of a renaming to the same name."""
        name = change.key[0]
        payload = {"group": name, "rename": name, "comment": change.set.get("comment", "")}
        self.api.client.post(GROUPS.path, {**payload, **self.held(change)})

    def delete(self, change: Change) -> None:
        """Its rules go with it, the last one first."""
        path = GROUPS.fill(GROUPS.item_path, change.actual)
        for rule in sorted(self.api.client.get(path), key=lambda rule: -int(rule["pos"])):
            self.api.client.delete(f"{path}/{rule['pos']}")
        self.api.client.delete(path)
