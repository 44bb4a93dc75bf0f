# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores and imbalance."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agentstack._shared.ha_topsis import NodeLoad, imbalance, start_scores, topsis
from agentstack._shared.ha_types import Load
from agentstack._shared.ha_usage import BasicUsage, LoadUsage, places

GIB = 1 << 30


def service(state: str, node: str = "a", **more: Any) -> Any:
    return {"state": state, "node": node, "uid": "u", **more}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("stopped", (None, None)),
        ("request_start", (None, None)),
        ("started", ("a", None)),
        ("recovery", ("a", None)),
        ("migrate", ("a", "b")),
        ("relocate", ("a", "b")),
        ("request_start_balance", (None, "b")),
    ],
)
def test_where_a_service_counts(state: str, expected: tuple[str | None, str | None]) -> None:
    more = {"target": "b"} if expected[1] else {}
    assert places(service(state, **more)) == expected


def test_basic_counts_each_service_once_whatever_it_is_told() -> None:
    usage = BasicUsage(["a", "b"], identity=True)
    usage.place("vm:1", service("started"))
    usage.place("vm:1", service("started"))
    usage.place("vm:1", service("migrate", target="b"))
    assert usage.scores("vm:2", ["a", "b"]) == {"a": 1, "b": 1}
    usage.place("vm:1", service("started", node="b"))
    assert usage.scores("vm:2", ["a", "b"]) == {"a": 0, "b": 1}


def test_release_8_adds_and_never_takes_away() -> None:
    usage = BasicUsage(["a", "b"], identity=False)
    usage.place("vm:1", service("started"))
    usage.place("vm:1", service("migrate", target="b"))
    usage.place("vm:1", service("started", node="b"))
    assert usage.scores("vm:2", ["a", "b"]) == {"a": 1, "b": 1}


def test_the_emptier_node_is_better_for_a_start() -> None:
    nodes = {"full": NodeLoad(8, 16, 48 * GIB, 64 * GIB), "empty": NodeLoad(1, 16, 4 * GIB, 64 * GIB)}
    scores = start_scores(nodes, Load(maxcpu=2, maxmem=4 * GIB))
    assert scores["empty"] == pytest.approx(1)
    assert scores["full"] == pytest.approx(0)


def test_equal_alternatives_score_zero() -> None:
    assert topsis([(1.0, 1.0, 1.0, 1.0)] * 3) == [0, 0, 0]


def test_without_a_limit_a_service_takes_the_whole_cpu() -> None:
    usage = LoadUsage(
        "static",
        {"a": Load(maxcpu=8, maxmem=GIB)},
        ["a"],
        {"vm:1": Load(maxmem=GIB / 2)},
        measured={},
        identity=True,
    )
    usage.place("vm:1", service("started"))
    assert usage.nodes()["a"] == NodeLoad(8, 8, GIB / 2, GIB)


def test_measured_services_are_not_added_again() -> None:
    limits = Load(cpu=1, maxcpu=4, mem=GIB, maxmem=2 * GIB)
    usage = LoadUsage(
        "dynamic",
        {"a": Load(1, 8, GIB, 8 * GIB)},
        ["a"],
        {"vm:1": limits, "vm:2": limits},
        measured={"vm:1": "a"},
        identity=True,
    )
    usage.place("vm:1", service("started"))
    usage.place("vm:2", service("started"))
    assert usage.nodes()["a"] == NodeLoad(5, 8, 3 * GIB, 8 * GIB)


@pytest.mark.parametrize(
    ("loads", "expected"), [([], 0), ([0.5], 0), ([0, 0], 0), ([0.4, 0.4], 0), ([1, 0, 0], math.sqrt(2)), ([1, 3], 0.5)]
)
def test_imbalance_is_the_coefficient_of_variation(loads: list[float], expected: float) -> None:
    assert imbalance(loads) == pytest.approx(expected)
