# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health: which of Ceph's own checks the present state raises, with Ceph's codes, severities and texts.

Codes and meanings: docs.ceph.com, "Health checks"; the wording is that of release 19.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from agentstack.ceph.maps import TYPES, ClusterMap
from agentstack.ceph.peering import PlacementGroup, Stats, all_groups

Severity = Literal["HEALTH_WARN", "HEALTH_ERR"]


@dataclass(frozen=True)
class Situation:
    """What the monitors see at this moment: the monitors in quorum, the managers that answer, clocks per monitor."""

    quorum: frozenset[str]
    managers: frozenset[str]
    skews: dict[str, float] = field(default_factory=dict, hash=False)
    """Monitor -> seconds its clock differs from the leader's."""
    stats: Stats = field(default_factory=dict, hash=False)
    used: dict[int, int] = field(default_factory=dict, hash=False)
    """OSD -> bytes in use."""


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
            tuple(f"osd.{osd.id} ({_where(cluster, osd.bucket)}) is down" for osd in down),
        )
    yield from _subtrees(cluster)
    yield from _fullness(cluster, situation)
    if cluster.flags:
        yield Check("OSDMAP_FLAGS", "HEALTH_WARN", f"{','.join(sorted(cluster.flags))} flag(s) set", len(cluster.flags))
    if local := cluster.local_flags:
        kinds = "{NOUP,NODOWN,NOIN,NOOUT}"
        yield Check(
            "OSD_FLAGS",
            "HEALTH_WARN",
            f"{len(local)} OSDs or CRUSH {{nodes, device-classes}} have {kinds} flags set",
            len(local),
            tuple(f"{place} has flags {','.join(flags)}" for place, flags in sorted(local.items())),
        )


def _where(cluster: ClusterMap, bucket: int) -> str:
    return ",".join(f"{kind}={name}" for kind, name in cluster.location(bucket).items())


def _subtrees(cluster: ClusterMap) -> Iterator[Check]:
    """Buckets all of whose OSDs are down, the topmost of each kind."""
    for kind in sorted(TYPES, key=lambda kind: TYPES[kind]):
        if kind in ("osd", "root"):
            continue
        lost = {}
        for bucket in cluster.buckets.values():
            if bucket.type != kind:
                continue
            below = [
                osd
                for osd in cluster.osds.values()
                if osd.included and cluster.bucket_above(osd.bucket, kind) == bucket
            ]
            if below and not any(osd.up for osd in below):
                lost[bucket.name] = len(below)
        if lost:
            count = sum(lost.values())
            yield Check(
                f"OSD_{kind.upper()}_DOWN",
                "HEALTH_WARN",
                f"{_plural(len(lost), kind)} ({_plural(count, 'osd')}) down",
                len(lost),
                tuple(f"{kind} {name} (root=default) ({_plural(size, 'osd')}) is down" for name, size in lost.items()),
            )


FULLNESS: tuple[tuple[str, Severity, float, str], ...] = (
    ("OSD_FULL", "HEALTH_ERR", 0.95, "full"),
    ("OSD_BACKFILLFULL", "HEALTH_WARN", 0.90, "backfillfull"),
    ("OSD_NEARFULL", "HEALTH_WARN", 0.85, "nearfull"),
)
"""Checks on the space that is left, with the default ratios; only the worst that holds is raised for an OSD."""


def _fullness(cluster: ClusterMap, situation: Situation) -> Iterator[Check]:
    left = {
        number: used / cluster.osds[number].size for number, used in situation.used.items() if number in cluster.osds
    }
    for code, severity, ratio, word in FULLNESS:
        found = sorted(number for number, share in left.items() if share >= ratio)
        if found:
            detail = tuple(f"osd.{number} is {word}" for number in found)
            yield Check(code, severity, f"{len(found)} {word} osd(s)", len(found), detail)
        left = {number: share for number, share in left.items() if number not in found}


def _stretch(cluster: ClusterMap, situation: Situation) -> Iterator[Check]:
    mode = cluster.stretch
    if mode is not None and mode.degraded:
        code, word = ("RECOVERING", "recovering") if mode.recovering else ("DEGRADED", "missing")
        summary = f"We are {word} stretch mode buckets, only requiring 1 of 2 buckets to peer"
        yield Check(f"{code}_STRETCH_MODE", "HEALTH_WARN", summary, 1, (summary,))


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
    groups = list(all_groups(cluster, situation.stats))
    inactive = [group for group in groups if not group.writable]
    if inactive:
        down = [group for group in inactive if "down" in group.state or "incomplete" in group.state]
        text = f"Reduced data availability: {_plural(len(inactive), 'pg')} inactive"
        text += f", {_plural(len(down), 'pg')} down" if down else ""
        detail = tuple(_stuck(group, "inactive") for group in inactive)
        yield Check("PG_AVAILABILITY", "HEALTH_WARN", text, len(inactive), detail)
    objects, missing, _ = counts(groups, situation.stats)
    undersized = [group for group in groups if "undersized" in group.state]
    degraded = [group for group in groups if "degraded" in group.state]
    if undersized or missing:
        parts = [_share(missing, objects, "degraded"), f"{_plural(len(degraded), 'pg')} degraded"] if missing else []
        parts += [f"{_plural(len(undersized), 'pg')} undersized"] if undersized else []
        detail = tuple(_stuck(group, "undersized") for group in undersized)
        yield Check(
            "PG_DEGRADED",
            "HEALTH_WARN",
            f"Degraded data redundancy: {', '.join(parts)}",
            missing or len(undersized),
            detail,
        )


def counts(groups: list[PlacementGroup], stats: Stats) -> tuple[int, int, int]:
    """Copies of objects that there should be, those that are missing, and those that are in the wrong place."""
    total = missing = misplaced = 0
    for group in groups:
        number = stats.get(group.name, (0, 0))[0]
        size = len(group.wanted)
        total += number * size
        living = sum(osd in group.complete for osd in group.acting)
        missing += number * max(0, size - living)
        misplaced += number * len(group.missing) if living >= size else 0
    return total, missing, misplaced


def _share(part: int, total: int, word: str) -> str:
    return f"{part}/{total} objects {word} ({100 * part / total:.3f}%)"


def _stuck(group: PlacementGroup, word: str) -> str:
    acting = ",".join(str(osd) for osd in group.acting)
    return f"pg {group.name} is stuck {word}, current state {group.state}, last acting [{acting}]"


CHECKS = (_monitors, _managers, _osds, _pools, _placement, _stretch)


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
