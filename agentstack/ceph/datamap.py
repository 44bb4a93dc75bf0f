# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OSDs and clients need of the maps, at one moment: an immutable excerpt that other threads can hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agentstack.ceph.crush import hash_name, stable_mod
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.peering import PlacementGroup, placement_groups

Key = tuple[int, int]
"""Pool and seed of a placement group."""


@dataclass(frozen=True)
class DataMap:
    """`hosts`: OSD -> host; `boots`: OSD -> its run; `reached`: hosts that answer here; `flags`: of the cluster;
    `full`: OSDs that take no more data."""

    epoch: int
    pg_nums: dict[int, int]
    groups: dict[Key, PlacementGroup]
    hosts: dict[int, str]
    boots: dict[int, str]
    reached: frozenset[str]
    flags: frozenset[str]
    full: frozenset[int]

    def key(self, pool: int, name: str) -> Key | None:
        """The placement group of an object; None without the pool."""
        number = self.pg_nums.get(pool)
        if number is None:
            return None
        return pool, stable_mod(hash_name(name), number, (1 << (number - 1).bit_length()) - 1)

    def primary(self, group: PlacementGroup) -> int | None:
        """The OSD that works for a group."""
        return group.acting[0] if group.acting else None

    def holders(self, group: PlacementGroup) -> tuple[tuple[int, str], ...]:
        """The OSDs that serve a group, each with its run: what the group's peering rests upon."""
        return tuple((osd, self.boots.get(osd, "")) for osd in group.acting)


def excerpt(cluster: ClusterMap, reached: Collection[str]) -> DataMap:
    """The part of the maps that moves data."""
    return DataMap(
        cluster.group_epoch,
        {pool.id: pool.pg_num for pool in cluster.pools.values()},
        {
            (group.pool, group.seed): group
            for pool in cluster.pools.values()
            for group in placement_groups(cluster, pool)
        },
        {osd.id: osd.host for osd in cluster.osds.values()},
        {osd.id: osd.boot for osd in cluster.osds.values()},
        frozenset(reached),
        frozenset(cluster.flags),
        frozenset(osd.id for osd in cluster.osds.values() if osd.full),
    )
