# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill looks at beside nodes, services and guests: storages, Ceph, the witness, a link. Private."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet

from ._ceph_info import not_tolerated
from ._client import Client
from ._drill_links import Links
from ._drill_watch import CEPH, LINK, STORAGE, WITNESS, Eye, Note
from ._membership import witness_votes


def storage_eye(client: Client, usual: AbstractSet[tuple[str, str]]) -> Eye:
    """Storages by name. ``usual``: (node, storage) that were available before, on nodes that are not taken away."""

    def look() -> list[Note]:
        away: dict[str, list[str]] = {name: [] for _node, name in sorted(usual)}
        for node, name in sorted(usual - available(client)):
            away[name].append(node)
        return [
            (STORAGE, name, f"not available on {', '.join(nodes)}" if nodes else "available")
            for name, nodes in away.items()
        ]

    return look


def available(client: Client) -> set[tuple[str, str]]:
    """(node, storage) that the status daemons of the nodes have as available."""
    rows = client.get("/cluster/resources", type="storage")
    return {(str(row["node"]), str(row["storage"])) for row in rows if row.get("status") == "available"}


def ceph_eye(client: Client, tolerate: Collection[str]) -> Eye:
    """Ceph's health, with the checks that are not tolerated."""

    def look() -> list[Note]:
        status = client.get("/cluster/ceph/status")
        texts = not_tolerated(status, sorted(tolerate))
        checks = (status.get("health") or {}).get("checks") or {}
        codes = sorted(set(checks) - set(tolerate))
        health = str((status.get("health") or {}).get("status") or "")
        return [(CEPH, "", f"{health} {' '.join(codes)}".strip() if texts else "HEALTH_OK")]

    return look


def witness_eye(client: Client) -> Eye:
    """Whether the witness gives its vote."""

    def look() -> list[Note]:
        _votes, connected = witness_votes(client.get("/cluster/config/qdevice") or {}, 1)
        return [(WITNESS, "", "connected" if connected else "not connected")]

    return look


def link_eye(links: Links, number: int, node: str) -> Eye:
    """One end of one link, as another node sees it."""

    def look() -> list[Note]:
        state = links.of(number, node, without={node})
        return [(LINK, f"{number} {node}", state)] if state else []

    return look
