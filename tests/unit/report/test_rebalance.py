# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of moves: never against room or rules, and with as few moves as there can be."""

from __future__ import annotations

from itertools import product

from ansible_collections.quorate.pve.plugins.module_utils._pure.rebalance import Bundle, Move, Place, plan_moves
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("a", "b", "c")


@st.composite
def clusters(draw: st.DrawFn, most: int = 7) -> tuple[list[Place], list[Bundle]]:
    places = [Place(name, draw(st.integers(8, 20))) for name in NAMES]
    free = {place.name: place.capacity for place in places}
    bundles: list[Bundle] = []
    for index in range(draw(st.integers(0, most))):
        node = draw(st.sampled_from(NAMES))
        memory = draw(st.integers(1, 6))
        if memory > free[node]:
            continue
        free[node] -= memory
        allowed = draw(st.sets(st.sampled_from(NAMES))) | {node}
        others = [each for each in bundles if each.node != node]
        apart = draw(st.sets(st.sampled_from([each.name for each in others]))) if others else set()
        bundles.append(Bundle(f"g{index}", node, memory, frozenset(allowed), apart=frozenset(apart)))
    both = {each.name: set(each.apart) for each in bundles}
    for each in bundles:
        for other in each.apart:
            both[other].add(each.name)
    return places, [
        Bundle(each.name, each.node, each.memory, each.allowed, apart=frozenset(both[each.name])) for each in bundles
    ]


def imbalance(places: list[Place], bundles: list[Bundle], at: dict[str, str]) -> float:
    shares = [sum(one.memory for one in bundles if at[one.name] == place.name) / place.capacity for place in places]
    return max(shares) - min(shares)


def allowed(places: list[Place], bundles: list[Bundle], at: dict[str, str]) -> bool:
    room = all(sum(one.memory for one in bundles if at[one.name] == p.name) <= p.capacity for p in places)
    return room and all(at[one.name] != at[other] for one in bundles for other in one.apart)


@settings(max_examples=60)
@given(clusters(), st.sampled_from([0.0, 0.1, 0.3]))
def test_every_step_has_room_and_breaks_no_rule(cluster: tuple[list[Place], list[Bundle]], tolerance: float) -> None:
    places, bundles = cluster
    plan = plan_moves(places, bundles, tolerance=tolerance, budget=500)
    by_name = {each.name: each for each in bundles}
    at = {each.name: each.node for each in bundles}
    assert plan.before == imbalance(places, bundles, at)
    for move in plan.moves:
        assert at[move.bundle] == move.source != move.target
        assert move.target in by_name[move.bundle].allowed
        at[move.bundle] = move.target
        assert allowed(places, bundles, at)
    assert plan.after == imbalance(places, bundles, at)
    assert plan.after <= plan.before
    assert plan.moves or plan.after == plan.before
    assert not plan.moves or plan.after < plan.before


@settings(max_examples=40)
@given(clusters(most=4), st.sampled_from([0.1, 0.3]))
def test_no_arrangement_within_the_tolerance_needs_fewer_moves(
    cluster: tuple[list[Place], list[Bundle]], tolerance: float
) -> None:
    places, bundles = cluster
    plan = plan_moves(places, bundles, tolerance=tolerance)
    needed = []
    for nodes in product(NAMES, repeat=len(bundles)):
        at = dict(zip([each.name for each in bundles], nodes, strict=True))
        moved = [each for each in bundles if at[each.name] != each.node]
        good = all(at[each.name] in each.allowed for each in moved)
        if good and allowed(places, bundles, at) and imbalance(places, bundles, at) <= tolerance:
            needed.append(len(moved))
    if plan.after <= tolerance:
        assert len(plan.moves) >= min(needed)
    # an order that has room after every step may need a move more than the arrangement differs by, or not exist
    if needed and plan.after <= tolerance and _direct(places, bundles, tolerance, min(needed)):
        assert len(plan.moves) == min(needed)


def _direct(places: list[Place], bundles: list[Bundle], tolerance: float, depth: int) -> bool:
    """Whether some order of that many single moves gets there with every step allowed."""

    def search(at: dict[str, str], left: int) -> bool:
        if imbalance(places, bundles, at) <= tolerance:
            return True
        steps = (
            [] if left == 0 else [(each, node) for each in bundles for node in each.allowed if node != at[each.name]]
        )
        later = ({**at, each.name: node} for each, node in steps)
        return any(allowed(places, bundles, then) and search(then, left - 1) for then in later)

    return search({each.name: each.node for each in bundles}, depth)


def test_nothing_moves_that_brings_nobody_nearer() -> None:
    """What can move is on a node between the fullest and the emptiest one."""
    places = [Place("a", 20), Place("b", 10), Place("c", 10)]
    held = [Bundle(f"at {node}", node, memory, frozenset({node})) for node, memory in (("a", 8), ("b", 9), ("c", 5))]
    guests = [*held, Bundle("between", "c", 1, frozenset({"a", "c"}))]
    # budget 1: each move is the one that helps most
    assert plan_moves(places, guests, tolerance=0.0, budget=1).moves == [Move("between", "c", "a")]
    assert plan_moves([*places, Place("d", 10)], guests, tolerance=0.0, budget=1).moves == []


def test_one_move_where_one_is_enough() -> None:
    places = [Place("a", 10), Place("b", 10)]
    bundles = [Bundle(f"g{n}", "a", size, frozenset("ab")) for n, size in enumerate((1, 1, 4, 2))]
    assert plan_moves(places, bundles, tolerance=0.1).moves == [Move("g2", "a", "b")]


def test_what_stays_counts_and_many_guests_are_planned_in_reasonable_steps() -> None:
    places = [Place(f"n{number:02}", 256) for number in range(16)]
    bundles = [Bundle(f"g{n:04}", f"n{n % 8:02}", 1, frozenset(place.name for place in places)) for n in range(1000)]
    plan = plan_moves(places, bundles, tolerance=0.05, most=40, fixed={"n00": 10})
    assert len(plan.moves) == 40
    assert all(move.source < "n08" <= move.target for move in plan.moves)
