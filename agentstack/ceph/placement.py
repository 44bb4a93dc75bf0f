# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where CRUSH puts placement groups."""

from __future__ import annotations

from functools import lru_cache

from agentstack.ceph.crush import Tree, hash_name, in_by_reweight, pg_input, stable_mod
from agentstack.ceph.maps import ClusterMap, Pool

_Steps = tuple[tuple[str, int, str], ...]
_Chosen = tuple[tuple[int, ...], ...]


class _Crush:
    """A hierarchy that is equal to any other of the same buckets, devices and weights, so that results are kept."""

    def __init__(self, cluster: ClusterMap, device_class: str | None) -> None:
        self.device_class = device_class
        self.reweights = {osd.id: osd.reweight for osd in cluster.osds.values()}
        self.key = (
            device_class,
            tuple((each.id, each.name, each.type, each.parent) for each in cluster.buckets.values()),
            tuple((osd.id, osd.bucket, osd.weight, osd.reweight, osd.device_class) for osd in cluster.osds.values()),
        )
        self._cluster = cluster

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Crush) and other.key == self.key

    def tree(self) -> Tree:
        return self._cluster.tree(self.device_class)


def mapping(cluster: ClusterMap, pool: Pool) -> _Chosen:
    """The OSDs of each PG of a pool by CRUSH alone, whether they live or not; index = seed of the PG."""
    rule = cluster.rules[pool.rule]
    steps = tuple((step.op, step.count, step.type) for step in rule.steps)
    crush = _Crush(cluster, rule.device_class)
    return _mapping(crush, rule.root, steps, pool.id, pool.size, pool.pg_num, pool.placed)


@lru_cache(maxsize=128)
def _mapping(crush: _Crush, take: str, steps: _Steps, pool: int, size: int, pg_num: int, pgp_num: int) -> _Chosen:
    tree = crush.tree()
    root = tree.by_name(take)
    if root is None or root.weight <= 0:
        return ((),) * pg_num
    found: dict[int, tuple[int, ...]] = {}
    chosen = []
    for seed in range(pg_num):
        x = pg_input(seed, pgp_num, pool)
        if x not in found:
            found[x] = tuple(
                tree.choose(root, x, size, steps, lambda osd, x: in_by_reweight(osd, x, crush.reweights[osd]))
            )
        chosen.append(found[x])
    return tuple(chosen)


def seed_of(name: str, pg_num: int) -> int:
    """The placement group of an object in a pool of so many."""
    return stable_mod(hash_name(name), pg_num, (1 << (pg_num - 1).bit_length()) - 1)
