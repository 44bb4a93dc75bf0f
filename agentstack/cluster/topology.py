# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can hear whom, and which memberships follow from it. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from agentstack.cluster.cabling import Cabling, Wire

DEFAULT_PRIORITY = 1
"""Of a link without knet_link_priority (corosync.conf(5))."""

SMALLEST_MTU = 576
"""Bytes; knet takes a link whose path does not even let such packets through for down."""


@dataclass(frozen=True)
class Station:
    """What one running corosync has told the switch: its identity and its own view of the node list."""

    host: str
    """The host it runs on; `host/service` for another program than corosync that lives by the same switch."""
    node_id: int
    cluster: str
    key: str
    """Digest of the authkey: stations with another key are noise on the wire."""
    nodes: Mapping[int, Mapping[int, str]]
    """node id -> link number -> address, of every node of its corosync.conf (itself too)."""
    votes: int = 1
    expected: int = 1
    config_version: int = 0
    token: float = 3.0
    """Seconds without a sign of life until a node counts as lost."""
    priorities: Mapping[int, int] = field(default_factory=dict)
    """knet_link_priority by link number, where it is configured."""

    @property
    def machine(self) -> str:
        """The host whose cables carry this station."""
        return self.host.partition("/")[0]

    def address(self, node_id: int, link: int) -> str | None:
        return self.nodes.get(node_id, {}).get(link)

    def numbers(self) -> list[int]:
        """The link numbers of this station."""
        return sorted(self.nodes.get(self.node_id, {}))

    def preference(self, link: int) -> tuple[int, int]:
        """The link with the smallest one is used: highest priority, then lowest number (facts §6.1)."""
        return -self.priorities.get(link, DEFAULT_PRIORITY), link


def way(cabling: Cabling, one: Station, other: Station, link: int) -> Wire | None:
    """What happens to packets between two stations on a link; None if they do not hear each other: they have to be of
    one cluster and key, with the same two addresses in both configurations, each address really configured on its host,
    and the cable between them whole."""
    if (one.cluster, one.key) != (other.cluster, other.key) or one.node_id == other.node_id:
        return None
    here, there = one.address(one.node_id, link), other.address(other.node_id, link)
    if here is None or there is None:
        return None
    if one.address(other.node_id, link) != there or other.address(one.node_id, link) != here:
        return None
    plug_here, plug_there = cabling.plugs.get(here), cabling.plugs.get(there)
    if plug_here is None or plug_there is None or plug_here.host != one.machine or plug_there.host != other.machine:
        return None
    return cabling.path(here, there)


def ways(cabling: Cabling, one: Station, other: Station) -> dict[int, Wire]:
    """The links on which two stations hear each other."""
    found = {link: way(cabling, one, other, link) for link in one.numbers()}
    return {link: wire for link, wire in found.items() if wire is not None}


def memberships(
    reachable: Mapping[str, Collection[str]], votes: Mapping[str, int], present: Iterable[frozenset[str]]
) -> list[frozenset[str]]:
    """Split stations into memberships in which everyone hears everyone.

    Totem agrees only among processors that all hear each other; knet does not forward. Where hearing is not
    transitive, the set with the most votes forms first, then the one that keeps most of a present membership, then
    the one with the lowest name.

    `reachable`: station -> those it hears (both ways); `present`: the memberships of this moment.
    """
    present = list(present)

    def weight(group: frozenset[str]) -> tuple[int, int, list[str]]:
        kept = max((len(group & old) for old in present), default=0)
        return -sum(votes.get(name, 1) for name in group), -kept, sorted(group)

    left = set(reachable)
    result: list[frozenset[str]] = []
    while left:
        groups = cliques({name: set(reachable[name]) & left for name in left})
        best = min(groups, key=weight)
        result.append(best)
        left -= best
    return sorted(result, key=sorted)


def cliques(neighbours: Mapping[str, set[str]]) -> list[frozenset[str]]:
    """All maximal sets in which everyone hears everyone (Bron–Kerbosch with a pivot)."""
    found: list[frozenset[str]] = []

    def extend(chosen: set[str], candidates: set[str], excluded: set[str]) -> None:
        if not candidates and not excluded:
            found.append(frozenset(chosen))
            return
        pivot = max(candidates | excluded, key=lambda name: len(neighbours[name] & candidates))
        for name in sorted(candidates - neighbours[pivot]):
            extend(chosen | {name}, candidates & neighbours[name], excluded & neighbours[name])
            candidates = candidates - {name}
            excluded = excluded | {name}

    extend(set(), set(neighbours), set())
    return found
