# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's name servers, time zone, lines of /etc/hosts and subscription (facts §18). Private to this collection."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._errors import InputError
from ._node_sets import NodeSet
from ._plan import MASK, Change, Wanted, raise_all
from ._spec import ABSENT, Field, Item, Key, Spec
from ._values import Form

TEXTS = Form(lambda value: [str(each) for each in value] or None, list, "list", "str")
"""A list whose order counts."""
NODE = Field("node", required=True, sent=False)

DNS = Spec(
    kind="name servers",
    option="dns",
    keys=("node",),
    label_format="of {node}",
    path="/nodes/{node}/dns",
    item_path="/nodes/{node}/dns",
    states=(),
    fields=(NODE, Field("search"), Field("servers", TEXTS)),
)
TIME = Spec(
    kind="time zone",
    option="times",
    keys=("node",),
    label_format="of {node}",
    path="/nodes/{node}/time",
    item_path="/nodes/{node}/time",
    states=(),
    fields=(NODE, Field("timezone", required=True)),
)
SUBSCRIPTIONS = Spec(
    kind="subscription key",
    option="subscriptions",
    keys=("node",),
    label_format="of {node}",
    path="/nodes/{node}/subscription",
    item_path="/nodes/{node}/subscription",
    fields=(NODE, Field("key", needed=True)),
)


class NodeDns(NodeSet):
    """Name servers and the search domain; what is not given stays."""

    spec = DNS

    def read(self, node: str) -> list[Item]:
        answer = self.api.client.get(DNS.path.format(node=node))
        servers = [str(answer[name]) for name in ("dns1", "dns2", "dns3") if answer.get(name)]
        item: Item = {"node": node, "servers": servers or None, "search": answer.get("search")}
        return [{name: value for name, value in item.items() if value is not None}]

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """At most three servers, as the resolver takes."""
        raise_all(
            [
                InputError(f"there can be three name servers, not {len(want.item['servers'])}", where=want.where)
                for want in wanted
                if len(want.item.get("servers") or ()) > 3
            ]
        )
        return super().prepare(wanted)

    def update(self, change: Change) -> None:
        """All of it: servers that are left out go."""
        now = {**change.actual, **change.set}
        servers = {f"dns{number}": server for number, server in enumerate(now.get("servers") or (), 1)}
        if not now.get("search"):
            raise InputError("the search domain must be given", where=change.where, hint="The server wants one.")
        self.api.client.put(DNS.fill(DNS.path, change.item), {"search": now["search"], **servers})


class NodeTime(NodeSet):
    """The time zone."""

    spec = TIME

    def read(self, node: str) -> list[Item]:
        return [{"node": node, "timezone": self.api.client.get(TIME.path.format(node=node))["timezone"]}]


class NodeSubscriptions(NodeSet):
    """The key of each node. It is compared, and never shown."""

    spec = SUBSCRIPTIONS

    def read(self, node: str) -> list[Item]:
        answer = self.api.client.get(SUBSCRIPTIONS.path.format(node=node))
        status = str(answer.get("status", "")).lower()
        if answer.get("key") and status not in ("active", "new"):
            self.api.warn(f"the subscription of {node} is {status}: {answer.get('message')}")
        return [{"node": node, "key": str(answer["key"])}] if answer.get("key") else []

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Keys are masked."""
        return [
            replace(change, before=_masked(change.before), after=_masked(change.after))
            for change in super().plan(wanted, actual, whole=whole)
        ]

    def create(self, change: Change) -> None:
        """As an update."""
        self.update(change)

    def update(self, change: Change) -> None:
        """Set the key; the server checks its form, and asks the shop when it can."""
        self.api.client.put(SUBSCRIPTIONS.fill(SUBSCRIPTIONS.path, change.item), {"key": change.item["key"]})


def _masked(item: Item) -> Item:
    return {name: MASK if name == "key" else value for name, value in item.items()}


# ---- /etc/hosts -----------------------------------------------------------------------------------------------------


def _entries(value: Any) -> list[dict[str, Any]]:
    return [_entry(each) for each in value]


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = entry.get("names") or []
    names = [names] if isinstance(names, str) else [str(name) for name in names]
    if not names or set(entry) - {"address", "names", "state"}:
        raise ValueError("an entry has address, names and state, with at least one name")
    if entry.get("state") == ABSENT:
        return {"address": None, "names": names}
    return {"address": str(ipaddress.ip_address(str(entry.get("address")))), "names": names}


HOSTS = Spec(
    kind="/etc/hosts",
    option="hosts",
    keys=("node",),
    label_format="of {node}",
    path="/nodes/{node}/hosts",
    item_path="/nodes/{node}/hosts",
    states=(),
    fields=(
        NODE,
        Field("entries", Form(_entries, list, "list", "dict"), required=True),
    ),
)


class NodeHosts(NodeSet):
    """Lines of /etc/hosts, known by their first name; others are left as they are."""

    spec = HOSTS

    def read(self, node: str) -> list[Item]:
        answer = self.api.client.get(HOSTS.path.format(node=node))
        return [{"node": node, "text": str(answer["data"]), "digest": answer.get("digest")}]

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """One change a node, shown by the lines that come and go."""
        changes: list[Change] = []
        for want in wanted:
            there = actual.get(HOSTS.key(want.item))
            text = str(there["text"]) if there else ""
            after = with_entries(text, want.item["entries"])
            if there is None or after == text:
                continue
            old, new = text.splitlines(), after.splitlines()
            changes.append(
                Change(
                    "update",
                    HOSTS.kind,
                    HOSTS.label(want.item),
                    HOSTS.key(want.item),
                    want.item,
                    there,
                    {"text": after},
                    before={"lines": [line for line in old if line not in new]},
                    after={"lines": [line for line in new if line not in old]},
                    where=want.where,
                )
            )
        return changes

    def check(self, changes: Sequence[Change]) -> None:
        """Lines refer to nothing."""

    def update(self, change: Change) -> None:
        """The whole file, if nobody else has changed it."""
        payload = {"data": change.set["text"], "digest": change.actual["digest"]}
        self.api.client.post(HOSTS.fill(HOSTS.path, change.item), payload)


def with_entries(text: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """The file with these entries: a line whose first name is an entry's is its line; further ones of the name go."""
    lines = text.splitlines()
    for entry in entries:
        first = entry["names"][0]
        mine = [index for index, line in enumerate(lines) if line.partition("#")[0].split()[1:2] == [first]]
        wanted = None if entry["address"] is None else " ".join([entry["address"], *entry["names"]])
        if wanted is not None and any(lines[index].split() == wanted.split() for index in mine[:1]):
            wanted = lines[mine[0]]
        kept = [line for index, line in enumerate(lines) if index not in mine]
        if wanted is not None:
            kept.insert(mine[0] if mine else len(kept), wanted)
        lines = kept
    return "".join(f"{line}\n" for line in lines)
