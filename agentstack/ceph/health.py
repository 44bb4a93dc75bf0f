# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health: which of Ceph's own checks the present state raises, with Ceph's codes, severities and texts.

Codes and meanings: docs.ceph.com, "Health checks"; the wording is that of release 19.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from agentstack.ceph.maps import ClusterMap, Pool
from agentstack.ceph.placement import placement_groups, states

Severity = Literal["HEALTH_WARN", "HEALTH_ERR"]


@dataclass(frozen=True)
class Situation:
    """What the monitors see at this moment: the monitors in quorum, the managers that answer, clocks per monitor."""

    quorum: frozenset[str]
    managers: frozenset[str]
    skews: dict[str, float] = field(default_factory=dict, hash=False)
    """Monitor -> seconds its clock differs from the leader's."""


@dataclass(frozen=True)
class Check:
    """One raised check."""

    code: str
    severity: Severity
    summary: str
    count: int
    detail: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "summary": {"message": self.summary, "count": self.count},
            "detail": [{"message": line} for line in self.detail],
            "muted": False,
        }


CLOCK_DRIFT_ALLOWED = 0.05
"""Seconds; mon_clock_drift_allowed."""


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _monitors(cluster: ClusterMap, situation: Situation) -> Iterator[Check]:
    missing = sorted(set(cluster.monitors) - situation.quorum)
    if missing:
        present = ",".join(sorted(situation.quorum))
        yield Check(
            "MON_DOWN",
            "HEALTH_WARN",
            f"{len(missing)}/{len(cluster.monitors)} mons down, quorum {present}",
            len(missing),
            tuple(
                f"mon.{name} (rank {sorted(cluster.monitors).index(name)}) "
                f"addr {cluster.monitors[name].address} is down (out of quorum)"
                for name in missing
            ),
        )
    skewed = sorted(name for name, skew in situation.skews.items() if abs(skew) > CLOCK_DRIFT_ALLOWED)
    if skewed:
        yield Check(
            "MON_CLOCK_SKEW",
            "HEALTH_WARN",
            f"clock skew detected on {', '.join(f'mon.{name}' for name in skewed)}",
            len(skewed),
            tuple(
                f"mon.{name} clock skew {abs(situation.skews[name]):.6f}s > max {CLOCK_DRIFT_ALLOWED}s"
                for name in skewed
            ),
        )


def _managers(cluster: ClusterMap, situation: Situation) -> Iterator[Check]:
    if cluster.active_manager is None or cluster.active_manager not in situation.managers:
        yield Check("MGR_DOWN", "HEALTH_WARN", "no active mgr", 0)


def _osds(cluster: ClusterMap, situation: Situation) -> Iterator[Check]:
    default_size = 3
    if len(cluster.osds) < default_size:
        yield Check(
            "TOO_FEW_OSDS",
            "HEALTH_WARN",
            f"OSD count {len(cluster.osds)} < osd_pool_default_size {default_size}",
            default_size - len(cluster.osds),
        )
    down = [osd for osd in cluster.osds.values() if not osd.up and osd.included]
    if down:
        yield Check(
            "OSD_DOWN",
            "HEALTH_WARN",
            f"{_plural(len(down), 'osd')} down",
            len(down),
            tuple(f"osd.{osd.id} (root=default,host={osd.host}) is down" for osd in down),
        )
    lost = [
        host
        for host in cluster.hosts()
        if all(not osd.up and osd.included for osd in cluster.osds.values() if osd.host == host)
    ]
    if lost:
        count = sum(osd.host in lost for osd in cluster.osds.values())
        sizes = {host: sum(osd.host == host for osd in cluster.osds.values()) for host in lost}
        yield Check(
            "OSD_HOST_DOWN",
            "HEALTH_WARN",
            f"{_plural(len(lost), 'host')} ({_plural(count, 'osd')}) down",
            len(lost),
            tuple(f"host {host} (root=default) ({_plural(sizes[host], 'osd')}) is down" for host in lost),
        )
    if cluster.flags:
        yield Check("OSDMAP_FLAGS", "HEALTH_WARN", f"{','.join(sorted(cluster.flags))} flag(s) set", len(cluster.flags))


def _pools(cluster: ClusterMap, situation: Situation) -> Iterator[Check]:
    bare = sorted(pool.name for pool in cluster.pools.values() if not pool.applications)
    if bare:
        yield Check(
            "POOL_APP_NOT_ENABLED",
            "HEALTH_WARN",
            f"{len(bare)} pool(s) do not have an application enabled",
            len(bare),
            tuple(f"application not enabled on pool '{name}'" for name in bare),
        )
    single = sorted(pool.name for pool in cluster.pools.values() if pool.size == 1)
    if single:
        yield Check(
            "POOL_NO_REDUNDANCY",
            "HEALTH_WARN",
            f"{len(single)} pool(s) have no replicas configured",
            len(single),
            tuple(f"pool '{name}' has no replicas configured" for name in single),
        )


def _placement(cluster: ClusterMap, situation: Situation) -> Iterator[Check]:
    counted = states(cluster)
    if not counted or not cluster.osds:
        if counted:
            total = sum(counted.values())
            yield Check(
                "PG_AVAILABILITY",
                "HEALTH_WARN",
                f"Reduced data availability: {_plural(total, 'pg')} inactive",
                total,
            )
        return
    inactive = sum(count for state, count in counted.items() if not state.startswith("active"))
    if inactive:
        yield Check(
            "PG_AVAILABILITY",
            "HEALTH_WARN",
            f"Reduced data availability: {_plural(inactive, 'pg')} inactive",
            inactive,
            tuple(_stuck(cluster, "inactive")),
        )
    undersized = sum(count for state, count in counted.items() if "undersized" in state)
    if undersized:
        yield Check(
            "PG_DEGRADED",
            "HEALTH_WARN",
            f"Degraded data redundancy: {_plural(undersized, 'pg')} undersized",
            undersized,
            tuple(_stuck(cluster, "undersized")),
        )


def _stuck(cluster: ClusterMap, wanted: str) -> Iterator[str]:
    for pool in cluster.pools.values():
        for group in placement_groups(cluster, pool):
            if wanted in group.state or (wanted == "inactive" and not group.writable):
                acting = ",".join(str(osd) for osd in group.up)
                yield f"pg {group.pool}.{group.seed:x} is stuck {wanted}, last acting [{acting}]"


CHECKS = (_monitors, _managers, _osds, _pools, _placement)


def checks(cluster: ClusterMap, situation: Situation) -> list[Check]:
    """All raised checks, by code."""
    found = [check for rule in CHECKS for check in rule(cluster, situation)]
    return sorted(found, key=lambda check: check.code)


def overall(found: list[Check]) -> str:
    """HEALTH_OK, HEALTH_WARN or HEALTH_ERR."""
    severities = {check.severity for check in found}
    if "HEALTH_ERR" in severities:
        return "HEALTH_ERR"
    return "HEALTH_WARN" if severities else "HEALTH_OK"


def writable(cluster: ClusterMap, pool: Pool) -> bool:
    """Whether every PG of the pool takes writes."""
    return all(group.writable for group in placement_groups(cluster, pool))
