# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ceph status` and its parts as JSON documents (docs.ceph.com; facts §11.2)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from agentstack.ceph.documents import monmap
from agentstack.ceph.health import Check, Situation, checks, counts, overall
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.peering import all_groups


def health(found: list[Check]) -> dict[str, Any]:
    """The `health` object: overall status, raised checks by code, mutes."""
    return {"status": overall(found), "checks": {check.code: check.to_json() for check in found}, "mutes": []}


def status(cluster: ClusterMap, situation: Situation, now: float) -> dict[str, Any]:
    """The document of `ceph status --format json`, with the details of the checks as the API adds them."""
    groups = list(all_groups(cluster, situation.stats))
    counted = Counter(group.state for group in groups)
    copies, missing, misplaced = counts(groups, situation.stats)
    stored = stored_in(cluster, situation)
    total = sum(osd.size for osd in cluster.osds.values() if osd.up)
    used = sum(situation.used.values())
    quorum = sorted(situation.quorum)
    ranks = sorted(cluster.monitors)
    standbys = [name for name in cluster.managers if name != cluster.active_manager and name in situation.managers]
    return {
        "fsid": cluster.fsid,
        "health": health(checks(cluster, situation)),
        "election_epoch": 2 * len(cluster.monitors),
        "quorum": [ranks.index(name) for name in quorum],
        "quorum_names": quorum,
        "quorum_age": int(now - cluster.created),
        "monmap": monmap(cluster, situation.quorum),
        "osdmap": {
            "epoch": cluster.epoch,
            "num_osds": len(cluster.osds),
            "num_up_osds": sum(osd.up for osd in cluster.osds.values()),
            "num_in_osds": sum(osd.included for osd in cluster.osds.values()),
            "num_remapped_pgs": sum("remapped" in group.state for group in groups),
        },
        "pgmap": {
            "pgs_by_state": [{"state_name": state, "count": count} for state, count in counted.most_common()],
            "num_pgs": sum(counted.values()),
            "num_pools": len(cluster.pools),
            "num_objects": sum(number for number, _ in situation.stats.values()),
            "data_bytes": sum(stored.values()),
            "bytes_used": used,
            "bytes_avail": max(total - used, 0),
            "bytes_total": total,
            **_troubled("degraded", missing, copies),
            **_troubled("misplaced", misplaced, copies),
        },
        "fsmap": {"epoch": 1, "by_rank": [], "up:standby": 0},
        "mgrmap": {
            "available": cluster.active_manager in situation.managers,
            "active_name": cluster.active_manager or "",
            "num_standbys": len(standbys),
            "standbys": [{"name": name} for name in standbys],
        },
        "servicemap": {"epoch": 1, "modified": "", "services": {}},
        "progress_events": {},
    }


def stored_in(cluster: ClusterMap, situation: Situation) -> dict[int, int]:
    """Pool -> bytes of its objects, each counted once."""
    found = dict.fromkeys(cluster.pools, 0)
    for name, (_, size) in situation.stats.items():
        pool = int(name.partition(".")[0])
        if pool in found:
            found[pool] += size
    return found


def _troubled(word: str, part: int, total: int) -> dict[str, Any]:
    if not part:
        return {}
    return {f"{word}_objects": part, f"{word}_total": total, f"{word}_ratio": part / total}
