# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a node from leaving is said before the steps that lead there, though they have not been made."""

from __future__ import annotations

from typing import Any

from .scripted import get

CEPH = "/nodes/localhost/ceph"


def test_what_no_step_before_takes_away(run: Any) -> None:
    """A witness that goes before leaves one node of two without a majority; and nobody removes metadata servers."""
    status = [
        {"type": "cluster", "name": "c", "quorate": 1, "version": 3},
        *({"type": "node", "name": f"pve{at}", "nodeid": at, "online": 1, "local": int(at == 1)} for at in (1, 2)),
    ]
    nodes = [{"node": name, "name": name, "quorum_votes": "1", "ring0_addr": name} for name in ("pve1", "pve2")]
    steps = [
        *(get("/cluster/status", status), get("/cluster/config/nodes", nodes), get("/cluster/config/nodes", nodes)),
        *(get("/cluster/resources", [], type="vm"), get("/cluster/replication", [])),
        get(f"{CEPH}/mon", [{"name": "pve2", "host": "pve2"}]),
        get(f"{CEPH}/mgr", []),
        get(f"{CEPH}/mds", [{"name": "pve2", "host": "pve2"}]),
        get(f"{CEPH}/osd", {}),
    ]
    assume = ["guests", "replication", "ceph", "witness"]
    result = run("cluster_member", steps, check=True, node="pve2", state="absent", shutdown=True, assume=assume)
    assert "without pve2 there are 1 votes of the 2 needed" in result["msg"]
    assert "pve2 has Ceph metadata servers (pve2)" in result["msg"]
    assert "monitors" not in result["msg"]
