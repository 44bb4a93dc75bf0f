# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets the witness's vote. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Ring = tuple[int, int]

ALGORITHMS = {"ffsplit": "Fifty-Fifty split", "lms": "LMS"}
TIE_BREAKER = "Node with lowest node ID"


@dataclass(frozen=True)
class Report:
    """What a connected node says: its membership's ring id, and which nodes are in it."""

    ring: Ring
    members: frozenset[int]


def settled(reports: Mapping[int, Report]) -> bool:
    """Whether the nodes agree on who is with whom: as long as they do not, nobody's vote changes."""
    return all(
        reports[member].ring == report.ring
        for report in reports.values()
        for member in report.members
        if member in reports
    )


def winners(reports: Mapping[int, Report]) -> set[int]:
    """The nodes that get the vote: the largest part; of equal ones that of which more nodes are connected, then the one
    with the lowest node id (corosync-qdevice(8), ffsplit; lms with the same rule)."""
    if not reports:
        return set()

    def weight(members: frozenset[int]) -> tuple[int, int, int]:
        return -len(members), -sum(member in reports for member in members), min(members)

    best = min((report.members for report in reports.values()), key=weight)
    return {node for node, report in reports.items() if report.members == best}
