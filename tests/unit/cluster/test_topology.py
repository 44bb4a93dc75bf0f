# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who hears whom, and which memberships follow."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from agentstack.cluster.cabling import Cabling, Plug, Wire
from agentstack.cluster.topology import Station, memberships, ways
from agentstack.faults.kinds import Fault

NAMES = ("a", "b", "c", "d", "e", "f")


def cabling() -> Cabling:
    return Cabling({f"10.{net}.0.{n}": Plug(name, f"net{net}") for net in (0, 1) for n, name in enumerate(NAMES, 1)})


def station(number: int, key: str = "k", links: tuple[int, ...] = (0, 1), size: int = 3) -> Station:
    nodes = {n: {link: f"10.{link}.0.{n}" for link in links} for n in range(1, size + 1)}
    return Station(NAMES[number - 1], number, "ha", key, nodes)


def live_links(cables: Cabling, one: Station, other: Station) -> set[int]:
    return set(ways(cables, one, other))


def test_links_follow_the_cabling() -> None:
    cables = cabling()
    assert live_links(cables, station(1), station(2)) == {0, 1}
    cables.down |= cables.select("b", "net0")
    assert live_links(cables, station(1), station(2)) == {1}
    cables.separate([["a"], ["b", "c"]], "net1")
    assert live_links(cables, station(1), station(2)) == set()
    assert live_links(cables, station(2), station(3)) == {1}


def test_another_key_or_address_is_not_heard() -> None:
    cables = cabling()
    assert live_links(cables, station(1), station(2, key="other")) == set()
    assert live_links(cables, station(1), station(2, links=(0,))) == {0}
    # the first knows nothing of a third
    assert live_links(cables, station(1, size=2), station(3)) == set()


def test_chain_forms_the_pair_of_most_votes() -> None:
    chain = {"a": {"b"}, "b": {"a", "c"}, "c": {"b"}}
    assert memberships(chain, {}, []) == [frozenset("ab"), frozenset("c")]
    assert memberships(chain, {"c": 3}, []) == [frozenset("a"), frozenset("bc")]
    assert memberships(chain, {}, [frozenset("bc")]) == [frozenset("a"), frozenset("bc")]


@given(st.sets(st.sampled_from(list(combinations(NAMES, 2)))))
def test_members_all_hear_each_other_and_everyone_is_in_one(edges: set[tuple[str, str]]) -> None:
    reachable = {name: {other for edge in edges if name in edge for other in edge if other != name} for name in NAMES}
    found = memberships(reachable, {}, [])
    assert sorted(name for group in found for name in group) == list(NAMES)
    assert all(other in reachable[one] for group in found for one, other in combinations(group, 2))
    # no two of them could have been one
    assert not any(
        all(other in reachable[one] for one, other in combinations(left | right, 2))
        for left, right in combinations(found, 2)
    )


def test_what_is_wrong_with_a_way_adds_up() -> None:
    plugs = {f"10.{net}.0.{n}": Plug(name, f"net{net}") for net in (0, 1) for n, name in enumerate(NAMES, 1)}
    cables = Cabling(plugs, {"net0": Wire(latency=0.001, mtu=9000)}, {"10.0.0.1": 9000, "10.0.0.2": 1500})
    assert cables.path("10.0.0.1", "10.0.0.2") == Wire(latency=0.001, mtu=1500)
    assert cables.path("10.1.0.1", "10.1.0.2") == Wire()
    cables.break_by(
        [
            Fault("network", ("net0",), {"latency": 0.01, "loss": 0.5}),
            Fault("link", ("b", "net0"), {"latency": 0.002, "mtu": 1000}),
            Fault("host", ("a",), {"loss": 0.5}),
        ]
    )
    assert cables.path("10.0.0.1", "10.0.0.2") == Wire(latency=0.012, loss=0.75, mtu=1000)
    assert cables.path("10.1.0.1", "10.1.0.2") == Wire(loss=0.5)
    cables.break_by([Fault("link", ("b", "net0"), {"cut": True}), Fault("partition", (), {"sets": [["a"], ["c"]]})])
    assert cables.path("10.0.0.1", "10.0.0.2") is None
    assert cables.path("10.1.0.1", "10.1.0.3") is None
    assert cables.path("10.1.0.1", "10.1.0.2") == Wire()
    cables.break_by([])
    assert cables.path("10.1.0.1", "10.1.0.3") == Wire()
