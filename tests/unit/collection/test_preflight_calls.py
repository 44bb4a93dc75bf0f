# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How few calls it takes to look at a cluster before a run: nothing is read twice, whatever the cluster has."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _mentions, _preflight
from ansible_collections.quorate.pve.plugins.module_utils._mentions import LISTS

from .scripted import Step, get
from .test_cluster import LOGIN, status

NAMES = ("pve1", "pve2", "pve3")


def looked_at(name: str) -> list[Step]:
    """What is read of one node that is to have a pool."""
    return [
        LOGIN,
        get("/version", {"version": "9.2.11"}),
        status("c1", *NAMES, local=name),
        get(f"/nodes/{name}/disks/list", [], skipsmart=1),
        get(f"/nodes/{name}/disks/zfs", [{"name": "tank"}]),
        get(f"/nodes/{name}/subscription", {"status": "active"}),
        get(f"/nodes/{name}/apt/repositories", {"files": []}),
    ]


def test_six_reads_a_node_and_fifteen_a_cluster(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script is all that may be asked, and all of it is."""
    for module in (_preflight, _mentions):
        monkeypatch.setattr(module, "side_by_side", lambda work, things: [work(thing) for thing in things])
    monkeypatch.setattr(_preflight, "_measure", lambda params, looks: [])
    many = [{"storage": f"s{number}", "nodes": "pve1"} for number in range(500)]
    lists = [get(path, many if path == "/storage" else []) for path in LISTS]
    steps = [step for name in NAMES for step in looked_at(name)]
    steps += [LOGIN, get("/cluster/resources", []), *lists]
    result = run(
        "preflight",
        steps,
        cluster="c1",
        api_password="p",
        nodes=[{"name": name, "address": f"192.0.2.1{name[-1]}"} for name in NAMES],
        zfs_pools=[{"node": "*", "name": "tank", "devices": {"count": 1}}],
        measure=True,
    )
    assert result["calls"] == len(steps) == 7 * len(NAMES) + 2 + len(LISTS)
    assert len(LISTS) == 14
