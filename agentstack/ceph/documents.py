# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the maps as JSON documents of `ceph … --format json` (docs.ceph.com); fields that clients read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from agentstack.ceph.health import Situation
from agentstack.ceph.maps import TYPES, ClusterMap, CrushBucket
from agentstack.ceph.peering import all_groups


def osd_tree(cluster: ClusterMap) -> dict[str, Any]:
    """`ceph osd tree`: buckets and OSDs, each before what is below it."""
    nodes: list[dict[str, Any]] = []

    def visit(bucket: CrushBucket) -> None:
        children = cluster.children(bucket.id)
        entry = {"id": bucket.id, "name": bucket.name, "type": bucket.type, "type_id": TYPES[bucket.type]}
        nodes.append(entry | {"children": children})
        for child in children:
            if child < 0:
                visit(cluster.buckets[child])
            else:
                nodes.append(_osd(cluster, child))

    for bucket in sorted(cluster.buckets.values(), key=lambda bucket: -bucket.id):
        if bucket.parent is None:
            visit(bucket)
    return {"nodes": nodes, "stray": []}


def _osd(cluster: ClusterMap, number: int) -> dict[str, Any]:
    osd = cluster.osds[number]
    return {
        **{"id": osd.id, "device_class": osd.device_class, "name": f"osd.{osd.id}", "type": "osd", "type_id": 0},
        **{"crush_weight": osd.weight, "depth": len(cluster.location(osd.bucket)), "exists": 1},
        **{"status": "up" if osd.up else "down", "reweight": osd.reweight, "primary_affinity": 1.0},
    }


def osd_df(cluster: ClusterMap, situation: Situation) -> dict[str, Any]:
    """`ceph osd df`."""
    nodes = []
    counts: dict[int, int] = {}
    for group in all_groups(cluster):
        for osd in group.acting:
            counts[osd] = counts.get(osd, 0) + 1
    for osd in sorted(cluster.osds):
        used = situation.used.get(osd, 0)
        size = cluster.osds[osd].size
        space = {"kb": size >> 10, "kb_used": used >> 10, "kb_avail": (size - used) >> 10}
        nodes.append({**_osd(cluster, osd), **space, "utilization": 100 * used / size, "pgs": counts.get(osd, 0)})
    return {"nodes": nodes, "stray": []}


def osd_dump(cluster: ClusterMap) -> dict[str, Any]:
    """`ceph osd dump`."""
    stretch = cluster.stretch
    return {
        "epoch": cluster.epoch,
        "fsid": cluster.fsid,
        "flags": ",".join([*cluster.flags, "sortbitwise"]),
        "flags_set": [*cluster.flags, "sortbitwise"],
        "full_ratio": 0.95,
        "backfillfull_ratio": 0.9,
        "nearfull_ratio": 0.85,
        "pools": [
            {
                **{"pool": pool.id, "pool_name": pool.name, "type": 1, "size": pool.size, "min_size": pool.min_size},
                **{"crush_rule": pool.rule, "pg_num": pool.pg_num, "pg_placement_num": pool.placed},
                **{"pg_num_target": pool.pg_num_target or pool.pg_num, "pg_autoscale_mode": pool.autoscale_mode},
                **{"is_stretch_pool": bool(pool.sites), "peering_crush_bucket_count": pool.sites},
                "application_metadata": {name: {} for name in pool.applications},
            }
            for pool in cluster.pools.values()
        ],
        **_local_flags(cluster),
        "osds": [
            {"osd": osd.id, "uuid": osd.uuid, "up": int(osd.up), "in": int(osd.included), "weight": osd.reweight}
            for osd in sorted(cluster.osds.values(), key=lambda osd: osd.id)
        ],
        "stretch_mode": {
            "stretch_mode_enabled": stretch is not None,
            "stretch_bucket_count": 2 if stretch else 0,
            "degraded_stretch_mode": int(bool(stretch and stretch.degraded)),
            "recovering_stretch_mode": int(bool(stretch and stretch.recovering)),
            "stretch_mode_bucket": TYPES[stretch.type] if stretch else 0,
        },
    }


def _local_flags(cluster: ClusterMap) -> dict[str, dict[str, list[str]]]:
    names = {bucket.name for bucket in cluster.buckets.values()}
    classes = {osd.device_class for osd in cluster.osds.values()}
    return {
        title: {place: flags for place, flags in sorted(cluster.local_flags.items()) if place in known}
        for title, known in (("crush_node_flags", names), ("device_class_flags", classes))
    }


STRATEGIES = {"classic": 1, "disallow": 2, "connectivity": 3}


def monmap(cluster: ClusterMap, quorum: Collection[str]) -> dict[str, Any]:
    """`ceph mon dump`."""
    stretch = cluster.stretch
    return {
        "epoch": cluster.epoch,
        "fsid": cluster.fsid,
        "min_mon_release_name": cluster.release,
        "election_strategy": STRATEGIES[cluster.election_strategy],
        "stretch_mode": stretch is not None,
        "tiebreaker_mon": stretch.tiebreaker if stretch else "",
        "num_mons": len(cluster.monitors),
        "mons": [
            {
                "rank": rank,
                "name": name,
                **dict.fromkeys(("addr", "public_addr"), f"{cluster.monitors[name].address}:6789/0"),
                "crush_location": "{"
                + ",".join(f"{kind}={place}" for kind, place in cluster.monitors[name].location.items())
                + "}",
            }
            for rank, name in enumerate(sorted(cluster.monitors))
        ],
        "quorum": [rank for rank, name in enumerate(sorted(cluster.monitors)) if name in quorum],
    }


def pg_dump(cluster: ClusterMap, situation: Situation) -> dict[str, Any]:
    """`ceph pg dump`."""
    rows = []
    for group in all_groups(cluster, situation.stats):
        objects, size = situation.stats.get(group.name, (0, 0))
        primary = group.acting[0] if group.acting else -1
        row = {"pgid": group.name, "state": group.state, "up": list(group.up), "acting": list(group.acting)}
        missing = objects * max(0, len(group.wanted) - len(group.acting))
        counts = {"num_objects": objects, "num_bytes": size, "num_objects_degraded": missing}
        rows.append({**row, "up_primary": primary, "acting_primary": primary, "stat_sum": counts})
    return {"pg_ready": True, "pg_map": {"pg_stats": rows}}
