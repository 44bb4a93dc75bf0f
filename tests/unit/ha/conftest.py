# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small clusters in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentstack.sim.scenario import Scenario
from agentstack.sim.simulator import SimResult, Simulator

Run = Callable[..., SimResult]


def cluster(nodes: int) -> list[str]:
    return [f"node{number}" for number in range(1, nodes + 1)]


@pytest.fixture
def run() -> Run:
    """Run batches of commands on `nodes` nodes that are switched on first; more keywords are fields of the scenario."""

    def simulate(
        *batches: list[str], services: dict[str, dict[str, Any]], nodes: int = 3, release: int = 9, **fields: Any
    ) -> SimResult:
        names = cluster(nodes)
        hardware = {
            name: {
                "power": "off",
                "network": "off",
                "maxcpu": 24,
                "maxmem": 128 << 30,
                **fields.get("sizes", {}).get(name, {}),
            }
            for name in names
        }
        fields.pop("sizes", None)
        scenario = Scenario([[f"power {name} on" for name in names], *batches], hardware, services=services, **fields)
        scenario.running = {**{name: {} for name in names}, **scenario.running}
        return Simulator(scenario, release).run()

    return simulate


def messages(result: SimResult, *parts: str) -> list[str]:
    """`SECOND MESSAGE` of the lines that contain one of the parts."""
    return [f"{line.time} {line.message}" for line in result.lines if any(part in line.message for part in parts)]
