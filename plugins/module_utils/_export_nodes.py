# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the nodes of a live cluster are set up, as the variables of the role base. Private to this collection.

What every node has alike is said once, of ``*``. Nodes that are offline are left out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._api import Api
from ._export_special import element
from ._membership import read_membership
from ._node_network import INTERFACES, PATH, TYPES, seen_interface
from ._node_repositories import PATH as REPOSITORIES
from ._node_sets import EVERY
from ._node_settings import HOSTS, NodeDns, NodeTime
from ._parallel import all_or_error, side_by_side
from ._pure.lists import natural_sorted
from ._spec import Item

_CARD = {"node", "name", "type"}
"""What is known of a card that nothing is set up on."""


def dns(api: Api) -> list[Item] | None:
    """Name servers and search domains."""
    return _alike(api, NodeDns(api, {}).read)


def time_zones(api: Api) -> list[Item] | None:
    """Time zones."""
    return _alike(api, NodeTime(api, {}).read)


def repositories(api: Api) -> list[Item] | None:
    """The server's own repositories that stand in the nodes' lists, switched on or off."""

    def read(node: str) -> list[Item]:
        answer = api.client.get(REPOSITORIES.format(node=node))
        return [
            {"node": node, "handle": str(each["handle"]), "enabled": bool(int(each["status"]))}
            for each in answer["standard-repos"]
            if each.get("status") is not None
        ]

    return _alike(api, read)


def hosts_entries(api: Api) -> list[Item] | None:
    """Lines of /etc/hosts but for those of the machine itself."""

    def read(node: str) -> list[Item]:
        text = str(api.client.get(HOSTS.path.format(node=node))["data"])
        lines = [line.partition("#")[0].split() for line in text.splitlines()]
        entries = [
            {"address": words[0], "names": words[1:]}
            for words in lines
            if len(words) > 1 and not _own(words[0], words[1:], node)
        ]
        return [{"node": node, "entries": entries}] if entries else []

    return _alike(api, read)


def _own(address: str, names: Sequence[str], node: str) -> bool:
    """Whether a line is about the machine itself: loopback names, groups of all nodes, its own name."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return True
    loopback = names[0].startswith(("localhost", "ip6-")) or found.is_multicast or found in _PREFIX
    return loopback or node in {name.partition(".")[0] for name in names}


_PREFIX = ipaddress.ip_network("fe00::/9")


def interfaces(api: Api) -> list[Item] | None:
    """Interfaces of the kinds that are managed; cards with nothing set up on them are left out."""

    def read(node: str) -> list[Item]:
        items = [seen_interface(node, row) for row in api.client.get(PATH.format(node=node))]
        found = [element(INTERFACES, item) for item in items if item.get("type") in TYPES]
        return sorted((each for each in found if set(each) != _CARD), key=lambda each: str(each["name"]))

    return _alike(api, read)


def witness(api: Api) -> Item | None:
    """The witness's address, as the device on the node that answers says it."""
    if read_membership(api.client).cluster is None:
        return None
    host = str((api.client.get("/cluster/config/qdevice") or {}).get("QNetd host") or "")
    return {"address": host.rpartition(":")[0] or host} if host else None


def _alike(api: Api, read: Callable[[str], list[Item]]) -> list[Item] | None:
    """Elements of all nodes; those that all have alike once, for ``*``."""
    online = [node for node in natural_sorted(api.nodes) if api.online(node)]
    by_node = dict(zip(online, all_or_error(side_by_side(read, online)), strict=True))
    whole = len(online) == len(api.nodes) > 1
    first = by_node[online[0]] if online else []
    common = [each for each in first if whole and all(_in(each, items) for items in by_node.values())]
    found = [{**each, "node": EVERY} for each in common]
    found += [each for items in by_node.values() for each in items if not _in(each, common)]
    return found or None


def _in(item: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether another node, or this one, has the same."""
    return any({**each, "node": ""} == {**item, "node": ""} for each in items)
