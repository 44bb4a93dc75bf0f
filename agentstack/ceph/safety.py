# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done to OSDs without harm: `ceph osd ok-to-stop`, `ceph osd safe-to-destroy`."""

from __future__ import annotations

from collections.abc import Collection

from agentstack.ceph.health import Situation
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.peering import all_groups, enough


def ok_to_stop(cluster: ClusterMap, situation: Situation, osds: Collection[int]) -> str:
    """Why placement groups would take no more writes without these OSDs for a while; empty if they would."""
    hurt = 0
    for group in all_groups(cluster, situation.stats):
        left = [osd for osd in group.acting if osd not in osds]
        hurt += len(left) < len(group.acting) and not enough(cluster, cluster.pools[group.pool], left)
    return f"unsafe to stop osd(s) at this time ({hurt} PGs are or would become offline)" if hurt else ""


def safe_to_destroy(cluster: ClusterMap, situation: Situation, osds: Collection[int]) -> str:
    """Why data would lose copies without these OSDs for ever; empty if it would not."""
    held = dict.fromkeys(osds, 0)
    troubled = False
    for group in all_groups(cluster, situation.stats):
        troubled = troubled or not group.writable
        for osd in {*group.complete, *group.wanted} & set(osds):
            held[osd] += 1
    for osd, count in held.items():
        if count:
            return f"OSD(s) {osd} have {count} pgs currently mapped to them."
    return "Some pgs are not active+clean: the data on these OSDs may be needed." if troubled else ""
