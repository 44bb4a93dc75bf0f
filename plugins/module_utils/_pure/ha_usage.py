# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services put load where, and what that makes a node worth as the place for a start."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .ha_topsis import NodeLoad, start_scores
from .ha_types import Load, ServiceStatus

ON_NODE = frozenset({"started", "request_stop", "fence", "freeze", "error", "recovery", "migrate", "relocate"})
ON_TARGET = frozenset({"migrate", "relocate", "request_start_balance"})


def places(service: ServiceStatus) -> tuple[str | None, str | None]:
    """(node, target) on which a service counts; it counts on both while it moves."""
    state = service["state"]
    node = service["node"] if state in ON_NODE else None
    return node, service.get("target") if state in ON_TARGET else None


class Usage(Protocol):
    """Load of the online nodes, kept up to date while the manager decides."""

    mode: str

    def place(self, sid: str, service: ServiceStatus) -> None:
        """Tell that ``service`` is now in this state, in this place."""

    def scores(self, sid: str, nodes: Sequence[str]) -> dict[str, float]:
        """Node -> score for starting ``sid`` there; the lowest is the best."""


class BasicUsage:
    """Number of services on each node."""

    mode = "basic"

    def __init__(self, online: Iterable[str], identity: bool) -> None:
        self._count = dict.fromkeys(online, 0)
        self._placed: dict[str, tuple[str | None, str | None]] = {}
        self._identity = identity

    def place(self, sid: str, service: ServiceStatus) -> None:
        old = self._placed.get(sid, (None, None))
        new = places(service)
        if new == old:
            return
        self._placed[sid] = new
        for node in new:
            if node in self._count and (self._identity or node not in old):
                self._count[node] += 1
        if self._identity:
            for node in old:
                if node in self._count:
                    self._count[node] -= 1

    def scores(self, sid: str, nodes: Sequence[str]) -> dict[str, float]:
        return {node: self._count[node] for node in nodes}


@dataclass
class _Node:
    cpu: float
    maxcpu: float
    mem: float
    maxmem: float

    def start(self, service: Load) -> None:
        self.cpu += service.maxcpu or self.maxcpu
        self.mem += service.maxmem

    def view(self) -> NodeLoad:
        return NodeLoad(self.cpu, self.maxcpu, self.mem, self.maxmem)


class LoadUsage:
    """CPU and memory of each node.

    static: the sum of what the services there are configured with.  dynamic: what was measured, which already holds
    whatever runs; services that are about to start are added with their limits.
    """

    def __init__(
        self,
        mode: str,
        nodes: Mapping[str, Load],
        online: Collection[str],
        services: Mapping[str, Load],
        *,
        measured: Mapping[str, str],
        identity: bool,
    ) -> None:
        self.mode = mode
        self._measured = measured
        self._base = {name: nodes[name] for name in online}
        self._services = services
        self._identity = identity
        self._placed: dict[str, tuple[str, ...]] = {}
        self._extra: list[tuple[str, str]] = []
        self._nodes: dict[str, _Node] | None = None

    def _counted(self, sid: str, service: ServiceStatus) -> tuple[str, ...]:
        node, target = places(service)
        return tuple(
            place
            for place in (node, target)
            if place is not None and place in self._base and self._measured.get(sid) != place
        )

    def place(self, sid: str, service: ServiceStatus) -> None:
        old = self._placed.get(sid, ())
        new = self._counted(sid, service)
        if not self._identity:
            self._extra += [(sid, node) for node in new if node not in old]
        if new != old:
            self._placed[sid] = new
            self._nodes = None

    def nodes(self) -> dict[str, NodeLoad]:
        """Load of every online node, by name."""
        return {name: node.view() for name, node in sorted(self._computed().items())}

    def service(self, sid: str) -> Load:
        return self._services.get(sid, Load())

    def _computed(self) -> dict[str, _Node]:
        if self._nodes is None:
            self._nodes = {
                name: _Node(base.cpu, base.maxcpu, base.mem, base.maxmem) for name, base in self._base.items()
            }
            pairs = (
                [(sid, node) for sid, where in sorted(self._placed.items()) for node in where]
                if self._identity
                else self._extra
            )
            for sid, node in pairs:
                if sid in self._services:
                    self._nodes[node].start(self._services[sid])
        return self._nodes

    def scores(self, sid: str, nodes: Sequence[str]) -> dict[str, float]:
        loads = self.nodes()
        return {node: -score for node, score in start_scores(loads, self.service(sid)).items() if node in nodes}
