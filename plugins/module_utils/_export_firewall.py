# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewalls of a live cluster, of its nodes and guests, as the variables of the role firewall.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ._api import Api
from ._export_special import element
from ._firewall import CLUSTER, GROUP, GUEST, NODE, base_path
from ._firewall_rules import RULES, key_of
from ._firewall_sets import ALIASES, SETS, Aliases, IpSets
from ._parallel import all_or_error, side_by_side
from ._plan import Wanted
from ._pure.lists import natural_sorted
from ._spec import Item
from ._values import plain_text


def aliases(api: Api) -> list[Item] | None:
    """Names for addresses, of the cluster and of guests."""
    return _sets(api, Aliases, lambda item: element(ALIASES, item))


def ip_sets(api: Api) -> list[Item] | None:
    """Sets with their members."""
    return _sets(
        api, IpSets, lambda item: {**element(SETS, item), "members": [_member(each) for each in item["members"]]}
    )


def _member(member: Item) -> Any:
    """A member that is an address and nothing else is written as one."""
    given = {name: value for name, value in member.items() if value}
    return given["cidr"] if set(given) == {"cidr"} else given


def _sets(api: Api, kind: type[Aliases] | type[IpSets], shown: Callable[[Item], Item]) -> list[Item] | None:
    def read(place: Item) -> list[Item]:
        seen = kind(api, {}).observe([Wanted({**place, "name": ""}, "")])
        return [{**place, **shown(item)} for _key, item in sorted(seen.items(), key=lambda pair: str(pair[0]))]

    return _of_each(read, _places(api, CLUSTER, GUEST))


def rules(api: Api) -> list[Item] | None:
    """Rules that have a key, in their order. Those of others have none, and stay where they are without being named."""

    def read(place: Item) -> list[Item]:
        group = place.get("group")
        base = base_path(api, place, "") if group is None else None
        rows = api.client.get(f"{base}/rules" if base else f"/cluster/firewall/groups/{group}")
        found = []
        for row in sorted(rows, key=lambda each: int(each["pos"])):
            key, comment = key_of(row)
            if key:
                seen = element(RULES, {**RULES.seen({**row, "comment": comment or None}), "key": key, **place})
                found.append({name: value for name, value in {**place, **seen}.items() if value is not None})
        return found

    groups = [{"scope": GROUP, "group": str(each["group"])} for each in api.client.get("/cluster/firewall/groups")]
    return _of_each(read, [*groups, *_places(api, CLUSTER, NODE, GUEST)])


def firewalls(api: Api) -> list[Item] | None:
    """Options by the server's names, where any is set."""

    def read(place: Item) -> list[Item]:
        answer = api.client.get(f"{base_path(api, place, '')}/options")
        options = {name: plain_text(value) for name, value in sorted(answer.items()) if name != "digest"}
        # the second since when it is on is no setting
        if int(options.get("enable") or 0) > 1:
            options["enable"] = "1"
        return [{**place, "options": options}] if options else []

    return _of_each(read, _places(api, CLUSTER, NODE, GUEST))


def _places(api: Api, *scopes: str) -> Iterator[Item]:
    if CLUSTER in scopes:
        yield {"scope": CLUSTER}
    if NODE in scopes:
        yield from ({"scope": NODE, "node": node} for node in natural_sorted(api.nodes) if api.online(node))
    if GUEST in scopes:
        for vmid, guest in sorted(api.guests.items()):
            if api.online(str(guest["node"])):
                yield {"scope": GUEST, "guest": vmid}


def _of_each(read: Callable[[Item], list[Item]], places: Any) -> list[Item] | None:
    return [item for items in all_or_error(side_by_side(read, places)) for item in items] or None
