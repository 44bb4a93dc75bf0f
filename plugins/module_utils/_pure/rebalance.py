# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests to move so that the nodes' memory is taken alike, with few moves. Pure.

A plan is a sequence: after each single move every node has room, nothing that must be apart is on one node, and every
guest that was where it may be still is. The imbalance is the largest difference between the used shares of two nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

BUDGET = 20_000
"""How many states are looked at for the fewest moves before single best moves are taken instead."""


@dataclass(frozen=True)
class Place:
    """A node: bytes for guests."""

    name: str
    capacity: int


@dataclass(frozen=True)
class Bundle:
    """Guests that are moved together (one, or those that have to be on one node). ``memory``: what they take, in bytes.

    ``allowed``: the nodes that they may be moved to; ``weight``: how many moves that is; ``apart``: names of bundles
    that must not be on the same node.
    """

    name: str
    node: str
    memory: int
    allowed: frozenset[str]
    weight: int = 1
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Move:
    """One step of a plan."""

    bundle: str
    source: str
    target: str


@dataclass
class Plan:
    """The moves in their order, with the imbalance before and after (0 to 1)."""

    moves: list[Move] = field(default_factory=list)
    before: float = 0.0
    after: float = 0.0


@dataclass
class _State:
    """Where everything is."""

    places: Mapping[str, Place]
    bundles: Mapping[str, Bundle]
    at: dict[str, str]
    used: dict[str, int]

    def share(self, node: str) -> float:
        capacity = self.places[node].capacity
        return self.used[node] / capacity if capacity else float(bool(self.used[node]))

    @property
    def imbalance(self) -> float:
        shares = [self.share(node) for node in self.places]
        return max(shares) - min(shares) if shares else 0.0

    @property
    def spread(self) -> float:
        """Falls with every move that helps, also with one that leaves the two extremes as they are."""
        return sum(self.share(node) ** 2 for node in self.places)

    def moves(self) -> Iterator[Move]:
        """Every move that is allowed now; of guests that are alike in all that matters, the first one's."""
        seen: set[tuple[str, int, int, frozenset[str]]] = set()
        for name, bundle in self.bundles.items():
            source = self.at[name]
            if not bundle.apart:
                alike = (source, bundle.memory, bundle.weight, bundle.allowed)
                if alike in seen:
                    continue
                seen.add(alike)
            for target in sorted(bundle.allowed):
                if target != source and target in self.places and self._fits(bundle, target):
                    yield Move(name, source, target)

    def _fits(self, bundle: Bundle, target: str) -> bool:
        if self.used[target] + bundle.memory > self.places[target].capacity:
            return False
        return not any(self.at.get(other) == target for other in bundle.apart)

    def make(self, move: Move) -> None:
        memory = self.bundles[move.bundle].memory
        self.at[move.bundle] = move.target
        if move.source in self.used:
            self.used[move.source] -= memory
        self.used[move.target] += memory

    def undo(self, move: Move) -> None:
        memory = self.bundles[move.bundle].memory
        self.at[move.bundle] = move.source
        self.used[move.target] -= memory
        if move.source in self.used:
            self.used[move.source] += memory


def plan_moves(
    places: Sequence[Place],
    bundles: Sequence[Bundle],
    *,
    tolerance: float = 0.1,
    most: int = 20,
    fixed: Mapping[str, int] | None = None,
    budget: int = BUDGET,
) -> Plan:
    """The moves that bring the imbalance to ``tolerance`` (a share), or as near to it as ``most`` moves can.

    ``fixed``: bytes on each node that stay where they are. The plan has the fewest moves that reach the tolerance as
    long as few enough guests can move for all plans to be looked at; else each move is the one that helps most.
    """
    by_name = {place.name: place for place in places}
    used = {place.name: int((fixed or {}).get(place.name, 0)) for place in places}
    for bundle in bundles:
        if bundle.node in used:
            used[bundle.node] += bundle.memory
    state = _State(
        by_name, {bundle.name: bundle for bundle in bundles}, {bundle.name: bundle.node for bundle in bundles}, used
    )
    before = state.imbalance
    if before <= tolerance:
        return Plan([], before, before)
    moves = _fewest(state, tolerance, most, [budget])
    if moves is None:
        moves = _greedy(state, tolerance, most)
    for move in moves:
        state.make(move)
    return Plan(moves, before, state.imbalance)


def _fewest(state: _State, tolerance: float, most: int, budget: list[int]) -> list[Move] | None:
    """The shortest sequence, by looking one move deeper each time; None if that takes too long or none reaches it."""
    for depth in range(1, most + 1):
        path: list[Move] = []
        reached = _search(state, tolerance, depth, path, budget)
        if reached:
            return path
        if budget[0] <= 0 or reached is None:
            return None
    return None


def _search(state: _State, tolerance: float, depth: int, path: list[Move], budget: list[int]) -> bool | None:
    """Whether the tolerance is reached within ``depth`` more moves; None if not a single state was left to look at."""
    if state.imbalance <= tolerance:
        return True
    if depth == 0:
        return False
    deeper: bool | None = None
    for move in list(state.moves()):
        times = sum(each.bundle == move.bundle for each in path)
        # a second move of the same guest only makes sense if another one made way in between
        if times > 1 or (path and path[-1].bundle == move.bundle):
            continue
        budget[0] -= 1
        if budget[0] <= 0:
            return deeper
        state.make(move)
        path.append(move)
        reached = _search(state, tolerance, depth - 1, path, budget)
        state.undo(move)
        if reached:
            return True
        path.pop()
        deeper = False
    return deeper


def _greedy(state: _State, tolerance: float, most: int) -> list[Move]:
    """The move that helps most, again and again; none at the end that only made way for others that do not come."""
    made: list[Move] = []
    useful = 0
    while len(made) < most and state.imbalance > tolerance:
        now = (state.imbalance, state.spread)
        best: tuple[tuple[float, float, int, str, str], Move] | None = None
        for move in state.moves():
            state.make(move)
            weight = state.bundles[move.bundle].weight
            score = (state.imbalance, state.spread, weight, move.bundle, move.target)
            state.undo(move)
            if score[:2] < now and (best is None or score < best[0]):
                best = (score, move)
        if best is None:
            break
        state.make(best[1])
        made.append(best[1])
        if state.imbalance < now[0]:
            useful = len(made)
    for move in reversed(made):
        state.undo(move)
    return made[:useful]
