# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can hear whom, and which memberships follow from it. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations


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

    @property
    def machine(self) -> str:
        """The host whose cables carry this station."""
        return self.host.partition("/")[0]

    def address(self, node_id: int, link: int) -> str | None:
        return self.nodes.get(node_id, {}).get(link)

    def numbers(self) -> list[int]:
        """The link numbers of this station."""
        return sorted(self.nodes.get(self.node_id, {}))


@dataclass(frozen=True)
class Plug:
    """One end of a cable: a host's connection to a network."""

    host: str
    network: str


class Cabling:
    """The networks of a stack: which address hangs on which network, and what is cut at present."""

    def __init__(self, plugs: Mapping[str, Plug]) -> None:
        """`plugs`: address (or a name that resolves to it) -> the connection it belongs to."""
        self.plugs = dict(plugs)
        self.down: set[Plug] = set()
        self.walls: set[tuple[str, frozenset[str]]] = set()
        """(network, pair of hosts) that do not hear each other although both are plugged in."""

    def hosts(self) -> set[str]:
        return {plug.host for plug in self.plugs.values()}

    def networks(self) -> set[str]:
        return {plug.network for plug in self.plugs.values()}

    def select(self, host: str | None, network: str | None) -> set[Plug]:
        """The plugs of a host, of a network, or of both; raises KeyError naming what does not exist."""
        if host is not None and host not in self.hosts():
            raise KeyError(f"no host '{host}'")
        if network is not None and network not in self.networks():
            raise KeyError(f"no network '{network}'")
        return {plug for plug in self.plugs.values() if host in (None, plug.host) and network in (None, plug.network)}

    def separate(self, sets: Iterable[Collection[str]], network: str | None = None) -> None:
        """Wall the given sets of hosts off from each other, on one network or on all."""
        for left, right in combinations([set(group) for group in sets], 2):
            for name in self.networks() if network is None else {network}:
                self.walls |= {(name, frozenset((one, other))) for one in left for other in right}

    def open(self, source: str, target: str) -> bool:
        """Whether a packet from one address reaches the other."""
        one, other = self.plugs.get(source), self.plugs.get(target)
        if one is None or other is None or one.network != other.network:
            return False
        if one in self.down or other in self.down:
            return False
        return (one.network, frozenset((one.host, other.host))) not in self.walls


def connected(cabling: Cabling, one: Station, other: Station, link: int) -> bool:
    """Whether two stations hear each other on a link: same cluster and key, the same two addresses in both
    configurations, each address really configured on its host, and the cable between them whole."""
    if (one.cluster, one.key) != (other.cluster, other.key) or one.node_id == other.node_id:
        return False
    here, there = one.address(one.node_id, link), other.address(other.node_id, link)
    if here is None or there is None:
        return False
    if one.address(other.node_id, link) != there or other.address(one.node_id, link) != here:
        return False
    plug_here, plug_there = cabling.plugs.get(here), cabling.plugs.get(there)
    if plug_here is None or plug_there is None or plug_here.host != one.machine or plug_there.host != other.machine:
        return False
    return cabling.open(here, there)


def live_links(cabling: Cabling, one: Station, other: Station) -> set[int]:
    """The links on which two stations hear each other."""
    return {link for link in one.numbers() if connected(cabling, one, other, link)}


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
