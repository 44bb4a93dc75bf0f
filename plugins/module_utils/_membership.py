# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in a cluster, as its members see it (facts §5, §6). Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._client import Client
from ._errors import InputError, QuorateError
from ._plan import raise_all
from ._values import join_properties

_RING = re.compile(r"ring(\d)_addr")
LINKS = range(8)


@dataclass(frozen=True)
class Member:
    """One node of GET /cluster/status."""

    name: str
    nodeid: int
    address: str | None
    online: bool
    local: bool


@dataclass(frozen=True)
class Membership:
    """GET /cluster/status. A standalone node has no ``cluster``, and counts as quorate."""

    cluster: str | None
    quorate: bool
    config_version: int
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def local(self) -> str:
        """Name of the node that answered."""
        return next((name for name, member in self.members.items() if member.local), "")

    def online(self, node: str) -> bool:
        """Whether a node is a member and online."""
        return node in self.members and self.members[node].online


def read_membership(client: Client) -> Membership:
    """Ask who is there."""
    cluster, quorate, version = None, True, 0
    members = {}
    for entry in client.get("/cluster/status"):
        if entry["type"] == "cluster":
            cluster, quorate, version = str(entry["name"]), bool(int(entry["quorate"])), int(entry["version"])
        elif entry["type"] == "node":
            name = str(entry["name"])
            members[name] = Member(
                name,
                int(entry.get("nodeid") or 0),
                entry.get("ip"),
                bool(int(entry.get("online") or 0)),
                bool(int(entry.get("local") or 0)),
            )
    return Membership(cluster, quorate, version, dict(sorted(members.items())))


def read_links(client: Client) -> dict[str, dict[int, str]]:
    """The links' addresses of every node in corosync.conf: ``{"pve1": {0: "10.0.0.11"}}``; {} on a standalone node."""
    return {str(node["node"]): links_of(node) for node in client.get("/cluster/config/nodes")}


def links_of(node: Mapping[str, Any]) -> dict[int, str]:
    """The ``ringN_addr`` of a node's entry, by number."""
    found = ((_RING.fullmatch(key), value) for key, value in node.items())
    return {
        int(match[1]): str(value)
        for match, value in sorted(found, key=lambda pair: pair[0][0] if pair[0] else "")
        if match
    }


def given_links(links: Sequence[Mapping[str, Any]], option: str = "links") -> dict[int, dict[str, Any]]:
    """A module's links by number. Raises :class:`InputError` for wrong or doubled numbers."""
    by_number: dict[int, dict[str, Any]] = {}
    errors: list[QuorateError] = []
    for index, link in enumerate(links):
        number = int(link["number"])
        if number not in LINKS:
            errors.append(InputError(f"{number} is not between 0 and 7", where=f"{option}[{index}].number"))
        elif number in by_number:
            errors.append(InputError(f"link {number} is given twice", where=f"{option}[{index}].number"))
        by_number[number] = {"address": link["address"], "priority": link.get("priority")}
    raise_all(errors)
    return dict(sorted(by_number.items()))


def link_parameters(links: Mapping[int, Mapping[str, Any]]) -> dict[str, str]:
    """Links as ``link0``, ``link1``, … of the API (facts §6.1)."""
    return {
        f"link{number}": join_properties({"": link["address"], "priority": link.get("priority")})
        for number, link in links.items()
    }
