# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cables and switches of a stack: which packet arrives, and how late. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentstack.faults.kinds import Fault
    from agentstack.stack import Stack

LARGEST = 65535
"""Bytes of the largest IP packet."""


@dataclass(frozen=True)
class Plug:
    """One end of a cable: a host's connection to a network."""

    host: str
    network: str


@dataclass(frozen=True)
class Wire:
    """What happens to a packet on its way: `latency` and `jitter` in seconds one way, `loss` 0..1, `mtu` in bytes."""

    latency: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    mtu: int = LARGEST

    def then(self, other: Wire) -> Wire:
        """One wire after the other."""
        return Wire(
            self.latency + other.latency,
            self.jitter + other.jitter,
            1 - (1 - self.loss) * (1 - other.loss),
            min(self.mtu, other.mtu),
        )

    def changed(self, settings: Mapping[str, Any]) -> Wire:
        """This wire with what a fault says instead."""
        return Wire(
            float(settings.get("latency", self.latency)),
            float(settings.get("jitter", self.jitter)),
            float(settings.get("loss", self.loss)),
            min(self.mtu, int(settings.get("mtu", self.mtu))),
        )


PERFECT = Wire()


class Cabling:
    """The networks of a stack: which address hangs on which network, and what is wrong with them at present."""

    def __init__(
        self,
        plugs: Mapping[str, Plug],
        wires: Mapping[str, Wire] | None = None,
        cards: Mapping[str, int] | None = None,
    ) -> None:
        """`plugs`: address (or a name that resolves to it) -> the connection it belongs to; `wires`: network -> what
        its switch does to packets; `cards`: address -> MTU of the card that has it."""
        self.plugs = dict(plugs)
        self.wires = dict(wires or {})
        self.cards = dict(cards or {})
        self.down: set[Plug] = set()
        self.unset: set[Plug] = set()
        """Ends at which the host has no address: no interface of its configuration brings it up."""
        self.walls: set[tuple[str, frozenset[str]]] = set()
        """(network, pair of hosts) that do not hear each other although both are plugged in."""
        self.faults: list[Fault] = []
        """Those that do something to packets without losing all of them."""

    def hosts(self) -> set[str]:
        return {plug.host for plug in self.plugs.values()}

    def networks(self) -> set[str]:
        return {plug.network for plug in self.plugs.values()}

    def select(self, host: str | None, network: str | None) -> set[Plug]:
        """The plugs of a host, of a network, or of both."""
        return {plug for plug in self.plugs.values() if host in (None, plug.host) and network in (None, plug.network)}

    def separate(self, sets: Iterable[Collection[str]], network: str | None = None) -> None:
        """Wall the given sets of hosts off from each other, on one network or on all."""
        for left, right in combinations([set(group) for group in sets], 2):
            for name in self.networks() if network is None else {network}:
                self.walls |= {(name, frozenset((one, other))) for one in left for other in right}

    def break_by(self, faults: Iterable[Fault]) -> None:
        """Be as these faults say, and whole otherwise."""
        self.down.clear()
        self.walls.clear()
        self.faults = []
        for fault in faults:
            if fault.kind == "partition":
                self.separate(fault.settings["sets"], fault.settings.get("network"))
            elif fault.kind in ("link", "host", "network"):
                if fault.settings.get("cut"):
                    self.down |= self.select(*_ends(fault))
                self.faults.append(fault)
            elif fault.kind == "array" or (fault.kind == "authority" and fault.settings.get("cut")):
                self.down |= self.select(fault.target[0], None)

    def configure(self, host: str, up: Mapping[str, int]) -> None:
        """What a host's interfaces do: the addresses that are up, with their MTU; the host's others are not there."""
        own = {address: plug for address, plug in self.plugs.items() if plug.host == host}
        self.unset = {plug for plug in self.unset if plug.host != host}
        self.unset |= {plug for address, plug in own.items() if address not in up}
        self.cards |= {address: mtu for address, mtu in up.items() if address in own}

    def open(self, source: str, target: str) -> bool:
        """Whether a packet from one address can reach the other."""
        one, other = self.plugs.get(source), self.plugs.get(target)
        if one is None or other is None or one.network != other.network:
            return False
        if {one, other} & (self.down | self.unset):
            return False
        return (one.network, frozenset((one.host, other.host))) not in self.walls

    def path(self, source: str, target: str) -> Wire | None:
        """What happens to packets between two addresses; None: nothing arrives."""
        if not self.open(source, target):
            return None
        one, other = self.plugs[source], self.plugs[target]
        wire = self.wires.get(one.network, PERFECT)
        ends = Wire(mtu=min(self.cards.get(source, LARGEST), self.cards.get(target, LARGEST)))
        for fault in self.faults:
            host, network = _ends(fault)
            if host is None and network == one.network:
                wire = wire.changed(fault.settings)
            elif network in (None, one.network):
                for plug in (one, other):
                    if plug.host == host:
                        ends = ends.then(PERFECT.changed(fault.settings))
        return wire.then(ends)


def _ends(fault: Fault) -> tuple[str | None, str | None]:
    """Host and network that a fault is about; None: all."""
    match fault.kind:
        case "link":
            return fault.target[0], fault.target[1]
        case "host":
            return fault.target[0], None
        case _:
            return None, fault.target[0]


def cabling_of(stack: Stack) -> Cabling:
    """Which address of which host hangs on which network, and what these are like."""
    others = {array.address: Plug(array.name, array.network) for array in stack.arrays.values()}
    if stack.authority is not None:
        others[stack.authority.address] = Plug(stack.authority.name, next(iter(stack.networks)))
    return Cabling(
        {
            address: Plug(host.name, network)
            for host in stack.hosts.values()
            for network, address in host.addresses.items()
        }
        | others,
        {
            network.name: Wire(network.latency, network.jitter, network.loss, network.mtu)
            for network in stack.networks.values()
        },
        {
            address: host.nics[network].mtu
            for host in stack.hosts.values()
            for network, address in host.addresses.items()
        },
    )
