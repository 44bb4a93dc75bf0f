# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where guests land when a node is lost."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._pure.ha_forecast import (
    Picture,
    Room,
    Tenant,
    forecast,
    tightest,
)

GIB = 2**30


def rooms(number: int, size: int = 16) -> list[Room]:
    return [Room(f"pve{index}", size * GIB, GIB, 8) for index in range(1, number + 1)]


def guest(vmid: int, node: int, size: int = 1, **more: Any) -> Tenant:
    return Tenant(f"vm:{vmid}", f"pve{node}", size * GIB, 2, **more)


def targets(picture: Picture, lost: str) -> dict[str, str | None]:
    loss = next(loss for loss in forecast(picture) if loss.node == lost)
    return {landing.sid: landing.target for landing in loss.landings}


def test_the_scheduler_counts_and_does_not_weigh() -> None:
    guests = [guest(1, 1, 4), guest(2, 2, 14), guest(3, 3), guest(4, 3)]
    losses = {loss.node: loss for loss in forecast(Picture(rooms(3), guests))}
    # pve2 has the fewest guests, and no room
    assert [(each.target, each.fits) for each in losses["pve1"].landings] == [("pve2", False)]
    assert losses["pve1"].text() == "pve1 gone → no room for vm:1 on pve2"
    assert losses["pve3"].text() == "pve3 gone → pve2 100%"
    assert tightest(losses.values()) is losses["pve1"]
    assert targets(Picture(rooms(3), guests, mode="static"), "pve1") == {"vm:1": "pve3"}


def test_each_start_counts_for_the_next() -> None:
    guests = [guest(vmid, 1) for vmid in range(1, 5)]
    assert targets(Picture(rooms(3), guests), "pve1") == {
        "vm:1": "pve2",
        "vm:2": "pve3",
        "vm:3": "pve2",
        "vm:4": "pve3",
    }


def test_rules_come_first() -> None:
    rules: dict[str, dict[str, object]] = {
        "strict": {"type": "node-affinity", "nodes": "pve1", "strict": 1, "resources": "vm:1"},
        "lean": {"type": "node-affinity", "nodes": "pve1:2,pve3:1", "resources": "vm:2"},
        "apart": {"type": "resource-affinity", "affinity": "negative", "resources": "vm:3,vm:4"},
        "off": {"type": "node-affinity", "nodes": "pve1", "strict": 1, "resources": "vm:5", "disable": 1},
    }
    guests = [guest(vmid, 1) for vmid in (1, 2, 3, 5)] + [guest(4, 2)]
    picture = Picture(rooms(3), guests, rules)
    assert targets(picture, "pve1") == {"vm:1": None, "vm:2": "pve3", "vm:3": "pve3", "vm:5": "pve2"}
    loss = forecast(picture)[0]
    assert loss.text() == "pve1 gone → no node may run vm:1"
    assert not loss.fits


def test_only_what_ha_recovers_moves() -> None:
    guests = [guest(1, 1, requested=None), guest(2, 1, requested="ignored"), guest(3, 1, requested="disabled")]
    loss = forecast(Picture(rooms(2), [*guests, guest(4, 1, 99, requested="stopped", running=False)]))[0]
    assert loss.down == ("vm:1", "vm:2", "vm:3")
    # what is not to run takes no memory
    assert [(each.sid, each.target, each.fits) for each in loss.landings] == [("vm:4", "pve2", True)]


@pytest.mark.parametrize(("release", "expected"), [(9, "pve3"), (8, "pve2")])
def test_what_ha_does_not_manage_counts_from_release_9_on(release: int, expected: str) -> None:
    guests = [guest(1, 1), guest(2, 2, requested=None), guest(3, 2, requested=None), guest(4, 3, requested=None)]
    assert targets(Picture(rooms(3), guests, release=release), "pve1") == {"vm:1": expected}


def test_several_nodes_at_once() -> None:
    guests = [guest(1, 1, 8), guest(2, 2, 8), guest(3, 3, 8), guest(4, 4, 1)]
    loss = forecast(Picture(rooms(4), guests), [["pve1", "pve2"]])[0]
    assert (loss.node, [each.target for each in loss.landings]) == ("pve1+pve2", ["pve3", "pve4"])
    assert [each.fits for each in loss.landings] == [False, True]


def test_a_node_that_is_off_takes_nothing_and_cannot_be_lost() -> None:
    three = [*rooms(2), Room("pve3", 16 * GIB, online=False)]
    losses = forecast(Picture(three, [guest(1, 1), guest(2, 2)]))
    assert [(loss.node, loss.landings[0].target) for loss in losses] == [("pve1", "pve2"), ("pve2", "pve1")]


def test_nothing_to_recover() -> None:
    loss = forecast(Picture(rooms(2), []))[0]
    assert loss.fits
    assert loss.text() == "pve1 gone → nothing to recover"
    assert tightest([]) is None


@pytest.mark.parametrize("mode", ["basic", "static"])
def test_a_thousand_guests_on_sixteen_nodes(mode: str) -> None:
    guests = [guest(100 + index, 1 + index % 16) for index in range(1000)]
    begun = time.process_time()
    losses = forecast(Picture(rooms(16, 128), guests, mode=mode))
    taken = time.process_time() - begun
    print(f"{mode}: {taken:.2f} s")
    assert sum(len(loss.landings) for loss in losses) == 1000
    assert all(loss.fits for loss in losses)
