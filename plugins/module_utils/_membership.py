# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in a cluster, as its members see it (facts §5, §6). Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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


def witness_votes(qdevice: Mapping[str, Any], own: int) -> tuple[int, bool]:
    """The votes of a witness beside ``own`` votes of nodes, and whether it gives them now (facts §6.6).

    ``qdevice``: GET /cluster/config/qdevice; empty without a witness.
    """
    if not qdevice:
        return 0, False
    algorithm = str(qdevice.get("Algorithm") or "")
    votes = own - 1 if "LMS" in algorithm.upper() or "Last" in algorithm else 1
    return votes, str(qdevice.get("State") or "").lower().startswith("connected")


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


@dataclass(frozen=True)
class Votes:
    """Who has how many votes. ``of``: by node; ``witness``: those of a witness, which count while it gives them."""

    of: Mapping[str, int]
    witness: int
    present: int

    @property
    def expected(self) -> int:
        """All of them."""
        return (sum(self.of.values()) or 1) + self.witness

    @property
    def quorum(self) -> int:
        """How many it takes."""
        return self.expected // 2 + 1

    def enough_without(self, node: str) -> bool:
        """Whether those that are present now stay quorate when this node, which is one of them, goes."""
        return self.present - self.of.get(node, 1) >= self.quorum


def read_votes(client: Client, membership: Membership, configured: Iterable[Mapping[str, Any]]) -> Votes:
    """Count them. ``configured``: GET /cluster/config/nodes."""
    of = {str(node["node"]): int(node.get("quorum_votes") or 1) for node in configured}
    witness, connected = witness_votes(client.get("/cluster/config/qdevice") or {}, sum(of.values()) or 1)
    present = sum(of.get(name, 1) for name, member in membership.members.items() if member.online)
    return Votes(of, witness, present + (witness if connected else 0))


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
