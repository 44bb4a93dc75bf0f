# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the servers said to what the report shows. Pure. Private to this collection.

The model is plain data, written as JSON beside the page; templates draw it and decide nothing.
"""

from __future__ import annotations

from typing import Any

from ._report_backups import backup_findings, backups_of
from ._report_capacity import capacity_findings, capacity_of
from ._report_cluster import (
    ha_findings,
    ha_of,
    link_findings,
    links_of_cluster,
    node_findings,
    nodes_of,
    quorum_findings,
    quorum_of,
)
from ._report_data_safety import (
    ceph_findings,
    ceph_of,
    replication_findings,
    replication_of,
)
from ._report_drills import drill_findings, drilled_of, drills_of
from ._report_guests import guest_findings, guests_of, protected
from ._report_raw import Raw, Wishes
from ._report_restores import restore_findings, restored_of, restores_of
from ._report_words import GOOD, INFO, ORDER, finding, moment, worst

FORMAT = 1
"""Version of the model; it grows when something is taken out or changes its meaning."""


def build(raw: Raw, wishes: Wishes) -> dict[str, Any]:
    """The whole model."""
    nodes = nodes_of(raw, wishes)
    online = [str(node["name"]) for node in nodes if node["online"]]
    links = links_of_cluster(raw)
    quorum = quorum_of(raw, nodes)
    ha = ha_of(raw)
    ceph = ceph_of(raw.ceph)
    replication = replication_of(raw)
    backups = backups_of(raw, wishes)
    capacity = capacity_of(raw)
    drills = drills_of(raw, wishes)
    restores = restores_of(raw)
    guests = guests_of(raw, wishes, backups, replication, capacity, drilled_of(drills, raw.now), restored_of(restores))
    findings = [
        *node_findings(nodes),
        *quorum_findings(raw, quorum),
        *link_findings(links, online),
        *ha_findings(ha),
        *capacity_findings(capacity),
        *ceph_findings(ceph),
        *replication_findings(replication),
        *backup_findings(backups),
        *restore_findings(restores, backups["guests"]),
        *guest_findings(guests),
        *drill_findings(drills),
        *(finding(INFO, "report", "", f"not read: {text}") for text in raw.unread),
    ]
    findings.sort(key=lambda one: ORDER.index(one["severity"]))
    counts = {severity: sum(one["severity"] == severity for one in findings) for severity in ORDER[:3]}
    return {
        "format": FORMAT,
        "title": wishes.title or raw.membership.cluster or raw.membership.local,
        "cluster": raw.membership.cluster,
        "generated": raw.now,
        "generated_text": f"{moment(raw.now)} UTC",
        "severity": worst(findings) if any(counts[name] for name in ORDER[:2]) else GOOD,
        "counts": counts,
        "protected": protected(guests),
        "nodes": nodes,
        "links": links,
        "quorum": quorum,
        "ha": ha,
        "capacity": capacity,
        "ceph": ceph,
        "replication": replication,
        "backups": backups,
        "restores": restores,
        "drills": drills,
        "guests": guests,
        "findings": findings,
    }
