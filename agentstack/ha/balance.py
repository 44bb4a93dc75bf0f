# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto-rebalance: one move a time, once the cluster has been out of balance for long enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from agentstack._shared.ha_placement import allowed_nodes, partners
from agentstack._shared.ha_topsis import NodeLoad, criteria, imbalance, topsis
from agentstack._shared.ha_types import Load
from agentstack._shared.ha_usage import LoadUsage
from agentstack.ha.commands import request_move
from agentstack.ha.service_states import MOVE_COMMANDS, move_kind

if TYPE_CHECKING:
    from agentstack.ha.manager import Manager

ON_ITS_WAY = frozenset({"migrate", "relocate", "request_start_balance"})


class Candidate(NamedTuple):
    """A bundle of services, by its first one, moved from one node to another."""

    leader: str
    source: str
    target: str
    nodes: dict[str, NodeLoad]

    @property
    def imbalance(self) -> float:
        return imbalance([node.load for node in self.nodes.values()])


class AutoBalance:
    """Counts the rounds out of balance."""

    def __init__(self) -> None:
        self._rounds = 0

    def round(self, manager: Manager) -> None:
        """Ask for one move if the time has come."""
        crs = manager.settings.crs
        usage = manager.usage
        if not crs.auto_rebalance or not isinstance(usage, LoadUsage) or _busy(manager):
            return
        nodes = usage.nodes()
        before = imbalance([node.load for node in nodes.values()])
        if before <= crs.threshold:
            self._rounds = 0
            return
        self._rounds += 1
        if self._rounds < crs.hold_duration:
            return
        self._rounds = 0
        choose = METHODS.get(crs.method, _bruteforce)
        best = choose(_candidates(manager, usage, nodes), nodes)
        if best is None or (before - best.imbalance) / before < crs.margin:
            return
        kind = move_kind(best.leader)
        manager.env.log(
            "info",
            f"auto rebalance - {kind} {best.leader} to {best.target}"
            f" (expected change for imbalance from {before:.2f} to {best.imbalance:.2f})",
        )
        request_move(manager, f"{kind} {best.leader} {best.target}")


def _busy(manager: Manager) -> bool:
    return any(
        service["state"] in ON_ITS_WAY or service.get("cmd", ("",))[0] in MOVE_COMMANDS
        for service in manager.services.values()
    )


def _bundles(manager: Manager) -> list[list[str]]:
    """Services that must move together, those of them that are started; only where they are in one place."""
    services = manager.services
    bundles = []
    seen: set[str] = set()
    for sid in sorted(services):
        if sid in seen:
            continue
        bundle = {sid, *manager.affinities.together.get(sid, ())}
        seen.update(bundle)
        members = sorted(member for member in bundle & services.keys() if services[member]["state"] == "started")
        places = {services[member]["node"] for member in members}
        automatic = all(manager.resources[member].get("auto_rebalance", True) for member in members)
        if len(places) == 1 and automatic:
            bundles.append(members)
    return bundles


def _candidates(manager: Manager, usage: LoadUsage, nodes: dict[str, NodeLoad]) -> list[Candidate]:
    candidates = []
    for members in _bundles(manager):
        leader = members[0]
        source = manager.services[leader]["node"]
        if source not in nodes:
            continue
        load = _sum(usage.service(member) for member in members)
        load = load if usage.mode == "dynamic" else Load(load.maxcpu, load.maxcpu, load.maxmem, load.maxmem)
        targets = set(nodes)
        for member in members:
            _allowed, preferred = allowed_nodes(manager.affinities, member, manager.nodes.online)
            _together, apart = partners(manager.affinities, member, manager.services, manager.nodes.online)
            targets &= preferred - apart
        for target in sorted(targets - {source}):
            after = {**nodes, source: nodes[source].without(load), target: nodes[target].with_running(load)}
            candidates.append(Candidate(leader, source, target, after))
    return candidates


def _sum(loads: Iterable[Load]) -> Load:
    cpu = maxcpu = mem = maxmem = 0.0
    for load in loads:
        cpu, maxcpu, mem, maxmem = cpu + load.cpu, maxcpu + load.maxcpu, mem + load.mem, maxmem + load.maxmem
    return Load(cpu, maxcpu, mem, maxmem)


def _bruteforce(candidates: list[Candidate], _nodes: dict[str, NodeLoad]) -> Candidate | None:
    return min(
        candidates,
        key=lambda move: (int(move.imbalance * 10**15), move.leader, move.source, move.target),
        default=None,
    )


def _topsis(candidates: list[Candidate], nodes: dict[str, NodeLoad]) -> Candidate | None:
    if not candidates:
        return None
    scores = topsis([criteria(list(move.nodes.values())) for move in candidates])
    ranked = zip(scores, candidates, strict=True)
    return min(ranked, key=lambda pair: (-pair[0], pair[1].leader, pair[1].source, pair[1].target))[1]


METHODS: dict[str, Callable[[list[Candidate], dict[str, NodeLoad]], Candidate | None]] = {
    "bruteforce": _bruteforce,
    "topsis": _topsis,
}
