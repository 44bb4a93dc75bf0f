# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement groups: where CRUSH puts them and in which state that leaves them.

States and their meaning: docs.ceph.com, "Placement Group States".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from agentstack.ceph.crush import Tree, in_by_reweight, pg_input
from agentstack.ceph.maps import ClusterMap, Pool

_Weights = tuple[tuple[int, str, float, float, str], ...]


@dataclass(frozen=True)
class PlacementGroup:
    """One PG: `up` = the OSDs that CRUSH chose and that are alive, in order; `state` as `ceph pg dump` words it."""

    pool: int
    seed: int
    up: tuple[int, ...]
    state: str

    @property
    def writable(self) -> bool:
        return self.state.startswith("active")


def _weights(cluster: ClusterMap) -> _Weights:
    return tuple(
        (osd.id, osd.host, osd.weight, osd.reweight, osd.device_class)
        for osd in sorted(cluster.osds.values(), key=lambda osd: osd.id)
    )


def mapping(cluster: ClusterMap, pool: Pool) -> list[list[int]]:
    """The OSDs of each PG of a pool by CRUSH alone, whether they live or not; index = seed of the PG."""
    rule = cluster.rules[pool.rule]
    return _mapping(_Trees(cluster, rule.device_class), _weights(cluster), pool.id, pool.size, pool.pg_num, rule.domain)


class _Trees:
    """A tree that is equal to any other of the same weights, so that results can be cached by the weights."""

    def __init__(self, cluster: ClusterMap, device_class: str | None) -> None:
        self.cluster, self.device_class = cluster, device_class

    def __hash__(self) -> int:
        return hash(self.device_class)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Trees) and other.device_class == self.device_class

    def tree(self) -> Tree:
        return self.cluster.tree(self.device_class)


@lru_cache(maxsize=64)
def _mapping(trees: _Trees, weights: _Weights, pool: int, size: int, pg_num: int, domain: str) -> list[list[int]]:
    tree = trees.tree()
    root = tree.by_name("default")
    if root is None or root.weight <= 0:
        return [[] for _ in range(pg_num)]
    reweights = {number: reweight for number, _host, _weight, reweight, _class in weights}
    return [
        tree.choose(
            root, pg_input(seed, pg_num, pool), size, domain, lambda osd, x: in_by_reweight(osd, x, reweights[osd])
        )
        for seed in range(pg_num)
    ]


def placement_groups(cluster: ClusterMap, pool: Pool) -> list[PlacementGroup]:
    """All PGs of a pool with their states."""
    groups = []
    for seed, chosen in enumerate(mapping(cluster, pool)):
        alive = tuple(osd for osd in chosen if cluster.osds[osd].up)
        groups.append(PlacementGroup(pool.id, seed, alive, _state(pool, len(alive))))
    return groups


def _state(pool: Pool, copies: int) -> str:
    if copies == 0:
        # Before the first OSD a PG was never created; afterwards its last copies are gone from sight.
        return "unknown"
    if copies < pool.min_size:
        return "undersized+degraded+peered" if pool.stored else "undersized+peered"
    if copies < pool.size:
        return "active+undersized+degraded" if pool.stored else "active+undersized"
    return "active+clean"


def states(cluster: ClusterMap) -> Counter[str]:
    """How many PGs of all pools are in which state."""
    return Counter(group.state for pool in cluster.pools.values() for group in placement_groups(cluster, pool))
