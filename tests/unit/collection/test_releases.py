# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between two releases: what keeps a node from the next one, its repositories, and where guests may not go."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _apt
from ansible_collections.quorate.pve.plugins.module_utils._rebalance import _bundles

from ...report_models import raw
from .scripted import Step, get

NODES = get("/nodes", [{"node": name, "status": "online"} for name in ("pve1", "pve2", "pve3")])
HOW: dict[str, Any] = {"node": "pve1", "nodes": [{"node": "pve1", "address": "192.0.2.11"}], "release": "9"}
OLD, NEW = "8.4.21", "9.2.11"

ONE_LINE = """# deb http://download.proxmox.com/debian/pve bookworm pve-enterprise
deb http://deb.debian.org/debian bookworm-updates main
deb [signed-by=/k.gpg] http://download.proxmox.com/debian/pve bookworm pve-no-subscription
deb http://mirror.example/bookwormish bookworm/updates main
"""


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script knows one order only."""
    path = "ansible_collections.quorate.pve.plugins.module_utils._releases.side_by_side"
    monkeypatch.setattr(path, lambda work, items: [work(item) for item in items])


def version(node: str, number: str) -> Step:
    return get(f"/nodes/{node}/version", {"version": number})


def looks(number: str) -> list[Step]:
    """A node's packages, all of them as they should be."""
    rows = [{"Package": "proxmox-kernel-6.8.12-17-pve-signed", "RunningKernel": "6.8.12-17-pve"}]
    return [NODES, get("/nodes/pve1/apt/versions", rows), version("pve1", number), get("/nodes/pve1/apt/update", [])]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (
            [*looks(OLD), version("pve2", "7.4.3"), version("pve3", OLD), get("/cluster/ceph/metadata", {})],
            "pve2 has 7.4.3: no two nodes may be more than one release apart",
        ),
        (
            [
                *(*looks(OLD), version("pve2", OLD), version("pve3", NEW)),
                get("/cluster/ceph/metadata", {"osd": [{"id": 3, "ceph_version_short": "18.2.7"}]}),
            ],
            "osd.3 is of Ceph 18.2.7: Ceph comes first, and has to be 19 (Squid)",
        ),
        (
            [*looks("7.4.3"), version("pve2", OLD), version("pve3", OLD), get("/cluster/ceph/metadata", {})],
            "pve1 has 7.4.3: from there the next release is 8",
        ),
    ],
    ids=["apart", "Ceph", "a step over one"],
)
def test_what_keeps_a_node_from_the_next_release(run: Any, steps: list[Step], words: str) -> None:
    assert run("apt_upgrade", steps, check=True, **HOW)["msg"] == f"release: {words}"


def test_repositories_become_those_of_the_next_release_and_comments_stay() -> None:
    moved = _apt.for_release(ONE_LINE, "8", "9").splitlines()
    assert moved[0] == ONE_LINE.splitlines()[0]
    assert [line.split()[-2] for line in moved[1:]] == ["trixie-updates", "trixie", "trixie/updates"]
    assert "/bookwormish" in moved[3]
    stanza = "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\n"
    assert "Suites: trixie trixie-updates\n" in _apt.for_release(stanza, "8", "9")


def manager(requested: bool, **services: Any) -> Step:
    document = {
        "node_status": {"pve1": "maintenance" if requested else "online"},
        "node_request": {"pve1": {"maintenance": int(requested)}},
        "service_status": services,
    }
    return get("/cluster/ha/status/manager_status", {"manager_status": document})


def test_nothing_leaves_a_node_of_a_newer_release_by_the_manager(run: Any) -> None:
    steps = [
        *(NODES, manager(False, **{"vm:101": {"state": "started", "node": "pve1"}})),
        *(version("pve1", NEW), version("pve2", NEW), version("pve3", OLD)),
    ]
    assert run("node_maintenance", steps, check=True, node="pve1")["msg"] == (
        "node: vm:101 would leave pve1 (9.2.11) and may come to pve3 (8.4.21): a guest that runs never goes to an older"
        " release. Upgrade the others first (playbooks/upgrade.yml)."
    )


def test_nothing_returns_to_a_node_of_an_older_release(run: Any) -> None:
    away = {"state": "started", "node": "pve2", "maintenance_node": "pve1"}
    steps = [
        *(NODES, manager(True, **{"vm:101": away})),
        *(version("pve1", OLD), version("pve2", NEW), version("pve3", OLD)),
    ]
    result = run("node_maintenance", steps, check=True, node="pve1", state="disabled")
    assert result["msg"].startswith(
        "node: vm:101 would go from pve2 (9.2.11) to pve1 (8.4.21): a guest that runs never"
    )


def test_no_move_by_hand_goes_to_an_older_release(run: Any) -> None:
    row = {"vmid": 101, "node": "pve1", "type": "qemu", "status": "running"}
    steps = [
        *(get("/cluster/resources", [row], type="vm"), NODES),
        *(get("/nodes/pve1/qemu/101/status/current", {"status": "running"}), get("/cluster/ha/status/current", [])),
        *(version("pve1", NEW), version("pve2", OLD)),
    ]
    assert run("guest_migration", steps, guest=101, target="pve2")["msg"].startswith(
        "target: guest 101 would go from pve1 (9.2.11) to pve2 (8.4.21): a guest that runs never"
    )


def test_nothing_is_balanced_towards_an_older_release() -> None:
    cluster = raw(3, 6)
    assert cluster.picture is not None
    params = {"exclude": [], "containers": False}
    older = {"pve1": frozenset({"pve2"}), "pve2": frozenset[str]()}
    bundles, stays = _bundles(cluster.facts, cluster.picture, params, older)
    assert {bundle.node: bundle.allowed for bundle in bundles} == {"pve2": frozenset({"pve1", "pve2"})}
    there = [tenant.sid for tenant in cluster.picture.tenants if tenant.node == "pve1"]
    assert {stays[sid] for sid in there if sid != "vm:100"} == {"its other nodes have an older release"}
