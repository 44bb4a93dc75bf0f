# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ceph status` and its parts as JSON documents (docs.ceph.com; facts §11.2)."""

from __future__ import annotations

from typing import Any

from agentstack.ceph.health import Check, Situation, checks, overall
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.placement import states


def health(found: list[Check]) -> dict[str, Any]:
    """The `health` object: overall status, raised checks by code, mutes."""
    return {"status": overall(found), "checks": {check.code: check.to_json() for check in found}, "mutes": []}


def status(cluster: ClusterMap, situation: Situation, now: float) -> dict[str, Any]:
    """The document of `ceph status --format json`, with the details of the checks as the API adds them."""
    counted = states(cluster)
    total = sum(osd.size for osd in cluster.osds.values() if osd.up)
    used = sum(pool.stored * pool.size for pool in cluster.pools.values())
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
        "monmap": {
            "epoch": len(cluster.monitors),
            "fsid": cluster.fsid,
            "min_mon_release_name": cluster.release,
            "num_mons": len(cluster.monitors),
            "mons": [
                {"rank": rank, "name": name, "addr": f"{cluster.monitors[name].address}:6789/0"}
                for rank, name in enumerate(ranks)
            ],
        },
        "osdmap": {
            "epoch": cluster.epoch,
            "num_osds": len(cluster.osds),
            "num_up_osds": sum(osd.up for osd in cluster.osds.values()),
            "num_in_osds": sum(osd.included for osd in cluster.osds.values()),
            "num_remapped_pgs": 0,
        },
        "pgmap": {
            "pgs_by_state": [{"state_name": state, "count": count} for state, count in counted.most_common()],
            "num_pgs": sum(counted.values()),
            "num_pools": len(cluster.pools),
            "num_objects": 0,
            "data_bytes": sum(pool.stored for pool in cluster.pools.values()),
            "bytes_used": used,
            "bytes_avail": max(total - used, 0),
            "bytes_total": total,
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
