# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the leading monitor does: it marks daemons down and out, lets managers take over, and minds the sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from agentstack.ceph.maps import TYPES, ClusterMap
from agentstack.ceph.quorum import MonitorGroup
from agentstack.ceph.stretch import next_step
from agentstack.clock import Clock

DOWN_OUT = 600.0
"""Seconds after which an OSD that is down is marked out (mon_osd_down_out_interval)."""
DOWN_OUT_LIMIT = "rack"
"""Nothing is marked out when all below such a bucket, or a bigger one, is down (mon_osd_down_out_subtree_limit)."""
FULL = 0.95
"""The part of an OSD's space at which it takes no more data (mon_osd_full_ratio)."""
REPORTERS = 2
"""So many hosts have to report that another one's OSDs do not answer (mon_osd_min_down_reporters)."""

News = Callable[[str], dict[str, Any]]
"""What a host tells about its daemons; empty if it tells nothing."""


async def judge(group: MonitorGroup, clock: Clock, news: News) -> None:
    """Look at what has become of daemons, once. Raises Unreachable without a quorum."""
    cluster = await group.maps()
    alive, now = group.hosts(), clock.now()
    silent = reported(cluster, alive, news)
    for osd in list(cluster.osds.values()):
        if osd.up and (osd.host not in alive or osd.host in silent) and "nodown" not in cluster.flags_of(osd):
            await group.execute("osd_down", number=osd.id, now=now)
    for number in overdue(cluster, now, clock.scale):
        await group.execute("osd_out", number=number, automatic=True)
    for number, full in filling(cluster, alive, news).items():
        await group.execute("osd_full", number=number, full=full)
    quorum = group.quorum()
    step = next_step(cluster, [monitor for name, monitor in cluster.monitors.items() if name in quorum])
    if step is not None:
        await group.execute("stretch_step", step=step)
    standing = sorted(name for name, host in cluster.managers.items() if host in alive)
    if cluster.active_manager not in standing:
        chosen = standing[0] if standing else None
        if chosen != cluster.active_manager:
            await group.execute("manager_active", name=chosen)


def reported(cluster: ClusterMap, alive: frozenset[str], news: News) -> set[str]:
    """Hosts that enough others report as silent, as far as there are so many."""
    hosts = {osd.host for osd in cluster.osds.values() if osd.up}
    counts: Counter[str] = Counter()
    for host in sorted(hosts & alive):
        counts.update(news(host).get("silent", []))
    return {host for host, count in counts.items() if count >= max(1, min(REPORTERS, len(hosts) - 1))}


def filling(cluster: ClusterMap, alive: frozenset[str], news: News) -> dict[int, bool]:
    """OSDs that have become full, or are no longer."""
    used = {int(number): size for host in alive for number, size in news(host).get("used", {}).items()}
    return {
        osd.id: not osd.full
        for osd in cluster.osds.values()
        if osd.id in used and (used[osd.id] >= FULL * osd.size) != osd.full
    }


def overdue(cluster: ClusterMap, now: float, scale: float) -> list[int]:
    """The OSDs that have been down for so long that their data is to be kept elsewhere. `now`: wall clock."""
    options = {**cluster.config.get("global", {}), **cluster.config.get("mon", {})}
    interval = float(options.get("mon_osd_down_out_interval", DOWN_OUT))
    if not interval:
        return []
    limit = options.get("mon_osd_down_out_subtree_limit", DOWN_OUT_LIMIT)
    return [
        osd.id
        for osd in cluster.osds.values()
        if not osd.up
        and osd.included
        and osd.down_since is not None
        and (now - osd.down_since) * scale > interval
        and "noout" not in cluster.flags_of(osd)
        and not _all_down(cluster, osd.bucket, limit)
    ]


def _all_down(cluster: ClusterMap, bucket: int | None, limit: str) -> bool:
    """Whether nothing lives below one of the buckets of that type, or a bigger one, above a place."""
    while bucket is not None:
        found = cluster.buckets[bucket]
        if TYPES[limit] <= TYPES[found.type] < TYPES["root"]:
            below = (osd for osd in cluster.osds.values() if cluster.bucket_above(osd.bucket, found.type) == found)
            if not any(osd.up for osd in below):
                return True
        bucket = found.parent
    return False
