# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose firewall an element means, and what rules can refer to (facts §19). Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._api import Api
from ._client import Client
from ._collection import Collection
from ._errors import InputError, QuorateError
from ._plan import Wanted, raise_all
from ._pure.packet_rules import Names
from ._spec import Field, Item
from ._values import INTEGER

CLUSTER, NODE, GUEST, GROUP = "cluster", "node", "guest", "group"
SCOPE = Field("scope", choices=(CLUSTER, NODE, GUEST), initial=CLUSTER, sent=False, listed=False)
RULE_SCOPE = Field("scope", choices=(CLUSTER, NODE, GUEST, GROUP), initial=CLUSTER, sent=False, listed=False)
SET_SCOPE = Field("scope", choices=(CLUSTER, GUEST), initial=CLUSTER, sent=False, listed=False)
NODE_FIELD = Field("node", sent=False, listed=False)
GUEST_FIELD = Field("guest", INTEGER, sent=False, listed=False)
NEEDS = {NODE: "node", GUEST: "guest", GROUP: "group"}


class Scoped(Collection):
    """A collection whose elements belong to the firewall of the cluster, of a node, or of a guest.

    All of one firewall are in one file, which is changed under a lock: one after another.
    """

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Each says whose it is, and of nobody else."""
        errors: list[QuorateError] = []
        for want in wanted:
            scope = want.item["scope"]
            for name in (NODE, GUEST, GROUP):
                given = want.item.get(name) is not None
                if given != (NEEDS.get(scope) == name):
                    text = f"scope {scope} goes with{'out' if given else ''} {name}"
                    errors.append(InputError(text, where=want.where))
        raise_all(errors)
        return wanted

    def base(self, item: Item) -> str | None:
        """The path of the firewall; None for that of a guest that is not there (yet)."""
        return base_path(self.api, item, self.where_of(item))

    def where_of(self, item: Item) -> str:
        """What to call an element in messages."""
        return f"{self.spec.kind} {self.spec.label(item)}"


def base_path(api: Api, item: Mapping[str, Any], where: str) -> str | None:
    """The path of a firewall; None for one of a node or guest that is not there in check mode."""
    match item["scope"]:
        case "node":
            api.check_reference("node", item["node"], where)
            return f"/nodes/{item['node']}/firewall" if item["node"] in api.nodes else None
        case "guest":
            api.check_reference("guest", item["guest"], where)
            guest = api.guests.get(int(item["guest"]))
            return f"/nodes/{guest['node']}/{guest['type']}/{item['guest']}/firewall" if guest else None
    return "/cluster/firewall"


def place(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells firewalls (and groups) apart."""
    return item["scope"], item.get("node"), item.get("guest"), item.get("group")


def place_name(item: Mapping[str, Any]) -> str:
    """``cluster``, ``node pve1``, ``guest 101``, ``group web``."""
    scope = str(item["scope"])
    return scope if scope == CLUSTER else f"{scope} {item.get(NEEDS[scope])}"


def read_names(client: Client) -> Names:
    """What rules of hosts can refer to."""
    base = "/cluster/firewall"
    aliases = {str(each["name"]).lower(): str(each["cidr"]) for each in client.get(f"{base}/aliases")}
    sets = {}
    for each in client.get(f"{base}/ipset"):
        members = client.get(f"{base}/ipset/{each['name']}")
        sets[str(each["name"]).lower()] = [(str(m["cidr"]), bool(int(m.get("nomatch") or 0))) for m in members]
    groups = {str(each["group"]): client.get(f"{base}/groups/{each['group']}") for each in client.get(f"{base}/groups")}
    return Names(aliases, sets, groups)
