# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a live cluster names what is planted in it, and a plan to rebalance it can be carried out."""

from __future__ import annotations

from typing import Any

import pytest

from ...stacks import RunningStack, StackFactory, wait_until
from .control_node import Site, good

pytestmark = pytest.mark.long

NAMES = ("pve1", "pve2", "pve3")
GUESTS = {number: {"node": "pve1", "memory": "2G", "disks": [], "running": True} for number in (100, 101, 102)}
GUESTS[103] = {"node": "pve2", "memory": "1G", "disks": ["1G"], "running": True, "ha": "started", "name": "lonely"}


@pytest.fixture(scope="module")
def site(stack_factory: StackFactory) -> Site:
    clustered = {"name": "hatest", "links": ["mgmt", "ring1"], "guests": GUESTS}
    networks: dict[str, Any] = {"mgmt": {}, "ring1": {}}
    stack: RunningStack = stack_factory(3, scale=20, networks=networks, start={"clustered": clustered})
    found = Site(stack, *NAMES)
    wait_until(found.settled, 60)
    wait_until(lambda: len(_running(found)) == len(GUESTS), 60)
    return found


def _running(site: Site) -> list[int]:
    rows = site.client().get("/cluster/resources", type="vm")
    return [int(row["vmid"]) for row in rows if row.get("status") == "running"]


def report(site: Site) -> dict[str, Any]:
    nodes = [
        {"name": each["node"], **{key: each[key] for key in ("address", "host_key")}} for each in site.shells(*NAMES)
    ]
    result = site.run("report_data", nodes=nodes)
    assert not result.get("failed"), result.get("msg")
    answer: dict[str, Any] = result["report"]
    return answer


def texts(model: dict[str, Any], area: str) -> str:
    return "\n".join(one["text"] for one in model["findings"] if one["area"] == area)


def test_what_is_planted_is_found(site: Site) -> None:
    before = report(site)
    assert [link["state"] for link in before["links"]] == ["ok", "ok"]
    assert "guest 103: no backup at all, and no job includes it" in texts(before, "backups")
    assert "guest 103 (lonely): scsi0 is on local" in texts(before, "guests")
    sentence = next(guest["sentence"] for guest in before["guests"] if guest["vmid"] == 103)
    assert "does not survive a host loss: scsi0 is on local" in sentence
    site.stack.fault("link", "pve3", "ring1", "cut")
    try:
        cut = wait_until(lambda: found if "link 1: pve3" in texts(found := report(site), "topology") else None, 60)
    finally:
        site.stack.clear_faults()
    assert cut is not None
    ends = {end["node"]: end["state"] for end in cut["links"][1]["ends"]}
    assert ends == {"pve1": "part", "pve2": "part", "pve3": "cut"}
    assert cut["links"][0]["state"] == "ok"


def test_a_plan_is_carried_out_and_then_there_is_nothing_to_do(site: Site) -> None:
    plan = site.run("rebalance_plan", tolerance=20)
    assert {move["source"] for move in plan["moves"]} == {"pve1"}
    assert "vm:103" in plan["stays"]
    assert plan["balanced"]
    for move in plan["moves"]:
        assert good(site.run("guest_migration", guest=move["guest"], target=move["target"])) == [
            f"update guest {move['guest']}"
        ]
    # what the cluster lists is a few seconds behind: for a moment a guest that has moved runs nowhere
    wait_until(lambda: len(_running(site)) == len(GUESTS), 60)
    wait_until(lambda: site.run("rebalance_plan", tolerance=20)["moves"] == [], 60)
    placed = {move["guest"]: move["target"] for move in plan["moves"]}
    assert _places(site).items() >= placed.items()


def _places(site: Site) -> dict[int, str]:
    return {int(row["vmid"]): str(row["node"]) for row in site.client().get("/cluster/resources", type="vm")}
