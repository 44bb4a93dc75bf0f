# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stretch mode: two sites with the data and a monitor elsewhere that breaks ties (docs.ceph.com, "Stretch Clusters").

Without one of the sites the monitors lower `min_size` by themselves so that the other goes on; when it is back and has
all its data again they restore it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from agentstack.ceph.commands import STRETCH_SIZE, command, stretch_pool
from agentstack.ceph.maps import TYPES, ClusterMap, Monitor, Stretch
from agentstack.ceph.peering import states
from agentstack.errors import AgentError

Step = Literal["degraded", "recovering", "healthy"]

TEXTS = {
    "no_location": "Error EINVAL: Could not find location entry for {type} on monitor {name}",
    "no_tiebreaker": "Error ENOENT: mon {name} does not seem to exist",
    "strategy": "Error EINVAL: stretch mode requires the connectivity strategy",
    "sites": "Error EINVAL: there are {count} {type}s in the cluster but stretch mode currently only works with 2!",
    "third": "Error EINVAL: the tiebreaker {name} is in {type} {site}, which has monitors of its own",
    "weights": "Error EINVAL: the 2 {type}s instances in the cluster have differing weights {one} and {other} but "
    "stretch mode currently requires they be the same!",
    "rule": "Error ENOENT: unrecognized crush rule {name}",
    "already": "Error EINVAL: stretch mode is already engaged",
    "size": "Error EINVAL: pool {pool} has size {size}; stretch mode needs the default of 3, or {stretch}",
}

MON_SITES = 2


@command
def monitor_location(cluster: ClusterMap, name: str, location: dict[str, str]) -> None:
    """Say where a monitor stands."""
    monitor = cluster.monitors.get(name)
    if monitor is None:
        raise AgentError(TEXTS["no_tiebreaker"].format(name=name))
    unknown = next((kind for kind in location if kind not in TYPES), None)
    if unknown:
        raise AgentError(f"Error EINVAL: invalid location type {unknown}")
    if monitor.location and monitor.location != location and cluster.stretch is not None:
        raise AgentError("Error EINVAL: cannot change the location of a monitor in stretch mode")
    monitor.location = dict(location)


@command
def election_strategy(cluster: ClusterMap, strategy: str) -> None:
    """How the monitors elect their leader."""
    if strategy not in ("classic", "disallow", "connectivity"):
        raise AgentError(f"Error EINVAL: {strategy} is not an election strategy")
    cluster.election_strategy = strategy


@command
def stretch_enable(cluster: ClusterMap, tiebreaker: str, rule: str, type: str) -> None:
    """Engage stretch mode; all pools get two copies in each site."""
    if cluster.stretch is not None:
        raise AgentError(TEXTS["already"])
    if cluster.election_strategy != "connectivity":
        raise AgentError(TEXTS["strategy"])
    if tiebreaker not in cluster.monitors:
        raise AgentError(TEXTS["no_tiebreaker"].format(name=tiebreaker))
    if cluster.rule(rule) is None:
        raise AgentError(TEXTS["rule"].format(name=rule))
    for name, monitor in cluster.monitors.items():
        if type not in monitor.location:
            raise AgentError(TEXTS["no_location"].format(type=type, name=name))
    places = {monitor.location[type] for name, monitor in cluster.monitors.items() if name != tiebreaker}
    third = cluster.monitors[tiebreaker].location[type]
    if third in places:
        raise AgentError(TEXTS["third"].format(name=tiebreaker, type=type, site=third))
    tree = cluster.tree()
    weights = [tree.buckets[each.id].weight for each in cluster.buckets.values() if each.type == type]
    weights = [weight for weight in weights if weight > 0]
    for count in (len(places), len(weights)):
        if count != MON_SITES:
            raise AgentError(TEXTS["sites"].format(count=count, type=type))
    if abs(weights[0] - weights[1]) > 1e-6:
        one, other = (int(weight * 0x10000) for weight in weights)
        raise AgentError(TEXTS["weights"].format(type=type, one=one, other=other))
    for pool in cluster.pools.values():
        if pool.size not in (3, STRETCH_SIZE):
            raise AgentError(TEXTS["size"].format(pool=pool.name, size=pool.size, stretch=STRETCH_SIZE))
    cluster.stretch = Stretch(tiebreaker, rule, type)
    for pool in cluster.pools.values():
        stretch_pool(cluster, pool)


@command
def stretch_step(cluster: ClusterMap, step: Step) -> None:
    """What the leading monitor has found: a site is gone, is coming back, or is back with all its data."""
    stretch = cluster.stretch
    if stretch is None:
        return
    stretch.degraded, stretch.recovering = step != "healthy", step == "recovering"
    for pool in cluster.pools.values():
        stretch_pool(cluster, pool)


def next_step(cluster: ClusterMap, monitors: Collection[Monitor]) -> Step | None:
    """What to do, by the monitors in quorum and the OSDs that are up; None when all is as it should be."""
    stretch = cluster.stretch
    if stretch is None:
        return None
    sites = [
        bucket.name
        for bucket in cluster.buckets.values()
        if bucket.type == stretch.type and _living(cluster, bucket.name, up=False)
    ]
    with_monitors = {monitor.location.get(stretch.type) for monitor in monitors}
    alive = [site for site in sites if _living(cluster, site) and site in with_monitors]
    dead = [site for site in sites if not _living(cluster, site) and site not in with_monitors]
    if not stretch.degraded:
        return "degraded" if dead and alive else None
    if len(alive) < len(sites):
        return "degraded" if stretch.recovering and dead else None
    if not stretch.recovering:
        return "recovering"
    return "healthy" if set(states(cluster)) <= {"active+clean"} else None


def _living(cluster: ClusterMap, site: str, *, up: bool = True) -> bool:
    """Whether a site has OSDs (that are up)."""
    assert cluster.stretch is not None
    kind = cluster.stretch.type
    return any(
        (osd.up or not up) and (bucket := cluster.bucket_above(osd.bucket, kind)) is not None and bucket.name == site
        for osd in cluster.osds.values()
    )
