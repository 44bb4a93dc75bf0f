# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement groups: which OSDs have all acknowledged writes, and the states that follow from that.

Ceph finds out which copies are complete by peering: OSDs compare their logs of the intervals in which a group may have
been written (docs.ceph.com, "Peering"). Here the monitors note it: a group's *complete* OSDs. A write is acknowledged
when all of them have it. They lose a member only when those that are left are enough to go on (`min_size`): from then
on it has missed writes, and without them the group waits. One more joins when the primary has copied everything to it.
States and their meaning: docs.ceph.com, "Placement Group States".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from agentstack.ceph.maps import ClusterMap, Pool
from agentstack.ceph.placement import mapping

Wanted = dict[int, tuple[tuple[int, ...], ...]]
"""Pool -> seed -> the OSDs that CRUSH wants."""
Stats = Mapping[str, tuple[int, int]]
"""`POOL.SEED` -> number of objects, bytes of them."""


@dataclass(frozen=True)
class PlacementGroup:
    """One PG. `wanted`: what CRUSH says; `up`: those of them that live; `acting`: those that serve it, the primary
    first; `complete`: all OSDs with all acknowledged writes, dead ones too; `state` as `ceph pg dump` words it."""

    pool: int
    seed: int
    wanted: tuple[int, ...]
    up: tuple[int, ...]
    acting: tuple[int, ...]
    complete: tuple[int, ...]
    state: str

    @property
    def name(self) -> str:
        return f"{self.pool}.{self.seed:x}"

    @property
    def writable(self) -> bool:
        return self.state.startswith("active")

    @property
    def missing(self) -> tuple[int, ...]:
        """Living OSDs to which data has to be copied."""
        return tuple(osd for osd in self.up if osd not in self.complete)


def wanted(cluster: ClusterMap) -> Wanted:
    """The OSDs of all groups by CRUSH alone."""
    return {pool.id: mapping(cluster, pool) for pool in cluster.pools.values()}


def signature(cluster: ClusterMap) -> tuple[object, ...]:
    """What the groups depend on besides CRUSH: the same value, the same groups."""
    return (
        tuple((osd.id, osd.up, osd.boot, osd.full) for osd in cluster.osds.values()),
        tuple((pool.id, pool.size, pool.min_size, pool.pg_num, pool.sites) for pool in cluster.pools.values()),
        cluster.stretch.type if cluster.stretch else None,
        repr(cluster.groups),
    )


def _sites(cluster: ClusterMap, members: Collection[int]) -> int:
    if cluster.stretch is None:
        return 0
    kind = cluster.stretch.type
    found = (cluster.bucket_above(cluster.osds[osd].bucket, kind) for osd in members)
    return len({bucket.id for bucket in found if bucket is not None})


def enough(cluster: ClusterMap, pool: Pool, members: Collection[int]) -> bool:
    """Whether so many copies, in so many sites, let a group take writes."""
    return len(members) >= pool.min_size and (not pool.sites or _sites(cluster, members) >= pool.sites)


def settle(cluster: ClusterMap, before: Wanted, pg_nums: Mapping[int, int]) -> None:
    """Bring the notes on complete OSDs in line after a command; `before`: what CRUSH wanted before it."""
    after = wanted(cluster)
    living = {osd.id for osd in cluster.osds.values() if osd.up}
    notes: dict[str, list[list[int]]] = {}
    for pool in cluster.pools.values():
        old = before.get(pool.id, ())
        for seed, want in enumerate(after[pool.id]):
            name = f"{pool.id}.{seed:x}"
            source = _ancestor(seed, pg_nums.get(pool.id, pool.pg_num))
            complete, had = cluster.groups.get(f"{pool.id}.{source:x}") or [
                list(old[source] if source < len(old) else ()),
                [],
            ]
            # the copy of an OSD that was removed is lost, whoever gets its number next
            complete = [osd if osd in cluster.osds else min(osd, -1 - osd) for osd in complete]
            up = [osd for osd in want if osd in living]
            present = [osd for osd in complete if osd in living]
            if not complete:
                # never written to: nothing can be missing anywhere
                complete, had = up, []
            elif len(present) < len(complete) and enough(cluster, pool, present):
                had = [*had, *(osd for osd in complete if osd not in present)]
                complete = present
            if want and len(want) < len(complete) + 1 and set(want) <= set(complete) and set(want) <= living:
                complete = list(want)
            had = [osd for osd in had if osd in want and osd not in complete]
            if complete != list(want):
                notes[name] = [complete, had]
    cluster.groups = notes
    for pool in cluster.pools.values():
        merged = pool.pg_num_target
        if merged and not any(name.startswith(f"{pool.id}.") for name in notes):
            # the groups to be merged lie where those do that they are merged into, with the same content
            pool.pg_num, pool.pgp_num, pool.pg_num_target = merged, 0, 0


def _ancestor(seed: int, pg_num: int) -> int:
    """The group that a new group is split from; an old one itself."""
    while seed >= pg_num:
        seed &= ~(1 << (seed.bit_length() - 1))
    return seed


def placement_groups(cluster: ClusterMap, pool: Pool, stats: Stats | None = None) -> list[PlacementGroup]:
    """All PGs of a pool with their states."""
    living = {osd.id for osd in cluster.osds.values() if osd.up}
    groups = []
    for seed, want in enumerate(mapping(cluster, pool)):
        name = f"{pool.id}.{seed:x}"
        complete, had = cluster.groups.get(name) or [list(want), []]
        up = tuple(osd for osd in want if osd in living)
        # the primary is the first of those that CRUSH wants, if it has the data
        order = [osd for osd in want if osd in complete] + [osd for osd in complete if osd not in want]
        acting = tuple(osd for osd in order if osd in living)
        missing = [osd for osd in up if osd not in complete]
        full = bool(stats and stats.get(name, (0, 0))[0])
        words = _state(cluster, pool, tuple(complete), acting, missing, had, full=full)
        groups.append(PlacementGroup(pool.id, seed, want, up, acting, tuple(complete), words))
    return groups


def _state(
    cluster: ClusterMap,
    pool: Pool,
    complete: tuple[int, ...],
    acting: tuple[int, ...],
    missing: list[int],
    had: list[int],
    *,
    full: bool,
) -> str:
    """`full`: there are objects in the group, whose lack of copies makes it degraded."""
    if not complete:
        return "unknown"
    if not acting:
        if any(osd < 0 for osd in complete):
            return "incomplete"
        # other OSDs of the group may live, but they have missed writes
        return "down" if missing else "stale+undersized+peered"
    active = set(acting) == set(complete) and enough(cluster, pool, acting)
    if active and len(acting) >= pool.size and not missing:
        return "active+clean" if len(acting) == pool.size else "active+clean+remapped"
    words = ["active"] if active else []
    undersized = len(acting) < pool.size
    if undersized:
        words.append("undersized")
        words += ["degraded"] if full else []
    elif missing:
        words.append("remapped")
    if missing:
        back = all(osd in had for osd in missing)
        blocked = {"norecover"} if back else {"nobackfill", "norebalance"} if not undersized else {"nobackfill"}
        waits = bool(blocked & set(cluster.flags))
        words.append({True: "recovery_wait", False: "recovering"}[waits] if back else _backfill(waits))
    if not active:
        words.append("peered")
    return "+".join(words)


def _backfill(waits: bool) -> str:
    return "backfill_wait" if waits else "backfilling"


def all_groups(cluster: ClusterMap, stats: Stats | None = None) -> Iterator[PlacementGroup]:
    """The PGs of all pools."""
    for pool in cluster.pools.values():
        yield from placement_groups(cluster, pool, stats)


def states(cluster: ClusterMap, stats: Stats | None = None) -> Counter[str]:
    """How many PGs of all pools are in which state."""
    return Counter(group.state for group in all_groups(cluster, stats))
