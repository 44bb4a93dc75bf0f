# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that look first: drift.yml says what differs, rebalance.yml plans its moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..api_client import Root
from ..stacks import RunningStack, StackFactory, wait_until
from .conftest import Run
from .inventories import Site

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

NODES = ("pve1", "pve2", "pve3")
TAGS = ("cluster", "options", "guests", "ha")
PINNED = 104


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory({name: {"memory": "16G"} for name in NODES}, scale=20)


@pytest.fixture(scope="module")
def site(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Four guests on the first of three nodes; one of them has its place there by a rule."""
    directory = tmp_path_factory.mktemp("site")
    guest = {"node": "pve1", "memory": 2048, "started": True}
    variables = {
        "pve_records": str(directory / "records"),
        "pve_options": {"ha": {"shutdown_policy": "migrate"}},
        "pve_guests": [{**guest, "vmid": vmid} for vmid in (101, 102, 103, PINNED)],
        "pve_ha_resources": [
            {"sid": "vm:101", "state": "started", "max_restart": 2},
            {"sid": f"vm:{PINNED}", "state": "started"},
        ],
        "pve_ha_affinity": [
            {"name": "pinned", "nodes": {"pve1": 2, "pve2": 1}, "strict": True, "resources": [f"vm:{PINNED}"]}
        ],
    }
    made = Site(stack, directory, variables)
    first = made.run(*TAGS)
    assert first.status == 0, first.output
    wait_until(lambda: len(running(stack)) == 4, 60)
    return made


def running(stack: RunningStack) -> dict[int, str]:
    rows = Root(stack, "pve2")("GET", "/cluster/resources", type="vm")
    return {int(row["vmid"]): str(row["node"]) for row in rows if row.get("status") == "running"}


def written(stack: RunningStack) -> list[str]:
    """What the hosts' own logs say that root has sent, beside reads and logins."""
    logs = sorted(Path(stack.dir).glob("hosts/*/root/var/log/pveproxy/access.log"))
    lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "root@pam" in line and '"GET ' not in line and "/access/ticket" not in line]


def look(site: Site, **more: Any) -> Run:
    """A run that must not write."""
    before = written(site.stack)
    run = site.run(*TAGS, playbook="playbooks/drift.yml", **more)
    assert written(site.stack) == before
    return run


def test_drift_is_told_by_status_and_words_and_nothing_is_written(stack: RunningStack, site: Site) -> None:
    none = look(site)
    assert (none.status, none.changed) == (0, 0), none.output
    assert none.says("No drift: the site is as the inventory describes it.")

    root = Root(stack, "pve3")
    root("PUT", "/cluster/options", ha="shutdown_policy=freeze")
    root("PUT", "/cluster/ha/resources/vm:101", max_restart=3)
    # what a node that has left may leave behind
    root("POST", "/storage", storage="there", type="dir", path="/srv/there", nodes="pve2,pve9")
    file = site.directory / "drift.json"
    some = look(site, said={"drift_file": str(file)})
    assert some.status == 2, some.output
    assert some.says("DRIFT: 2 change(s) would bring the site to what the inventory describes"), some.output
    assert some.says("freeze", "migrate"), some.output
    assert some.says("vm:101", "max_restart"), some.output
    assert some.says("storage there names pve9, no member of test and not listed"), some.output
    assert json.loads(file.read_text())["changes"] == 2
    assert file.stat().st_mode & 0o777 == 0o600


def test_another_failure_is_no_drift(site: Site) -> None:
    wrong = look(site, pve_guests=[{"vmid": 101, "node": "pve9"}])
    assert wrong.status != 0
    assert "DRIFT:" not in wrong.output


def balance(site: Site, **more: Any) -> Run:
    # four guests alike on three nodes cannot be nearer
    return site.run(playbook="playbooks/rebalance.yml", rebalance_tolerance=15, **more)


def test_guests_are_moved_as_planned_and_only_when_asked_to(stack: RunningStack, site: Site) -> None:
    before, sent = running(stack), written(stack)
    assert set(before.values()) == {"pve1"}
    plan = balance(site)
    assert (plan.status, plan.changed) == (0, 0), plan.output
    assert plan.says("pve1 -> pve", "memory for guests that is taken: pve1")
    assert f"vm:{PINNED} " not in plan.output
    inventory = str(site.directory / "hosts.yml")
    foretold = site.lab.playbook("-i", inventory, "playbooks/rebalance.yml", "--check", "-e", "rebalance=apply")
    assert (foretold.status, foretold.changed > 0) == (0, True), foretold.output
    assert (running(stack), written(stack)) == (before, sent)

    moved = balance(site, rebalance="apply")
    assert moved.status == 0, moved.output
    assert moved.changed > 0
    wait_until(lambda: len(set(running(stack).values())) == 3, 60)
    placed = running(stack)
    assert placed[PINNED] == "pve1"
    assert sorted(placed) == sorted(before)

    again = balance(site, rebalance="apply")
    assert (again.status, again.changed) == (0, 0), again.output
    assert again.says("nothing to do: the nodes are taken alike"), again.output
    assert running(stack) == placed


def test_a_planned_reboot_moves_guests_away_and_back(stack: RunningStack, site: Site) -> None:
    """The shutdown policy `migrate` of the inventory (MISSION row 14): live, and nobody asked for maintenance."""
    root = Root(stack, "pve3")
    assert site.run("options").status == 0
    assert root("GET", "/cluster/options")["ha"]["shutdown_policy"] == "migrate"
    assert running(stack)[PINNED] == "pve1"
    root("POST", "/nodes/pve1/status", command="reboot")
    wait_until(lambda: running(stack).get(PINNED) == "pve2", 180)
    wait_until(lambda: stack.host("pve1")["ready"] and running(stack).get(PINNED) == "pve1", 180)
    for node in ("pve1", "pve2"):
        moves = root("GET", f"/nodes/{node}/tasks", vmid=PINNED, typefilter="qmigrate")
        assert [move["status"] for move in moves] == ["OK"], moves
        assert root("GET", f"/nodes/{node}/tasks", vmid=PINNED, typefilter="qmstart", since=moves[0]["starttime"]) == []
