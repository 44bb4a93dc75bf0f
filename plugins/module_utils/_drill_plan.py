# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenarios of drills: what each breaks, and what has to come of it. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._drill_faults import LINK, NETWORK, PORTS, POWER, Fault
from ._errors import InputError


@dataclass(frozen=True)
class Expectation:
    """What has to come of a scenario.

    ``failover``: guests of the nodes that go away start elsewhere. ``still``: guests may stand still as long as the
    fault lasts. ``moves``: nodes may be taken for lost, and services move. What is not allowed must not happen.
    """

    failover: bool = False
    still: bool = False
    moves: bool = False


EXPECTATIONS: Mapping[str, Expectation] = {
    "power-loss": Expectation(failover=True, moves=True),
    "all-ports": Expectation(failover=True, moves=True),
    "one-link": Expectation(),
    # HA looks after nodes: on a storage that is away guests wait, and go on when it is back
    "storage-network": Expectation(still=True),
    "data-centre": Expectation(failover=True, moves=True),
    "flapping": Expectation(still=True, moves=True),
    "witness": Expectation(),
    "backup-server": Expectation(),
}
SCENARIOS = tuple(EXPECTATIONS)


@dataclass(frozen=True)
class Plan:
    """What a scenario breaks.

    ``lost``: nodes that go away with their guests; ``votes_of``: nodes whose votes go; ``witness``: so do its own.
    """

    scenario: str
    faults: tuple[Fault, ...]
    lost: tuple[str, ...] = ()
    votes_of: tuple[str, ...] = ()
    witness: bool = False

    @property
    def expected(self) -> Expectation:
        """What has to come of it."""
        return EXPECTATIONS[self.scenario]

    @property
    def touched(self) -> set[str]:
        """Hosts that the fault is about: they are not asked while it lasts."""
        return {fault.node for fault in self.faults}

    def __str__(self) -> str:
        return f"{self.scenario}: {', '.join(map(str, self.faults))}"


def plan(params: Mapping[str, Any]) -> Plan:
    """From the scenario to faults. Raises :class:`InputError` if something is missing."""
    scenario, nodes = str(params["scenario"]), {str(each["node"]): each for each in params["nodes"]}

    def given(name: str) -> str:
        value = params.get(name)
        if value is None or value == "":
            raise InputError(f"the scenario {scenario} needs it", where=f"drill_{name}")
        return str(value)

    def node() -> str:
        name = given("node")
        if name not in nodes:
            raise InputError(f"{name} is none of the nodes ({', '.join(nodes)})", where="drill_node")
        return name

    match scenario:
        case "power-loss":
            return Plan(scenario, (Fault(POWER, node()),), (node(),), (node(),))
        case "all-ports":
            return Plan(scenario, (Fault(PORTS, node()),), (node(),), (node(),))
        case "flapping":
            return Plan(scenario, (Fault(PORTS, node()),), (), (node(),))
        case "one-link":
            return Plan(scenario, (Fault(LINK, node(), given("link")),))
        case "storage-network":
            return Plan(scenario, (Fault(NETWORK, what=given("network")),))
        case "data-centre":
            names = tuple(name for name, each in nodes.items() if each.get("site") == given("site"))
            if not names:
                sites = sorted({str(each["site"]) for each in nodes.values() if each.get("site")})
                known = f"there are: {', '.join(sites)}" if sites else "no node has a pve_site"
                raise InputError(f"no node stands in {params['site']} ({known})", where="drill_site")
            return Plan(scenario, tuple(Fault(POWER, name) for name in names), names, names)
        case _:
            return Plan(scenario, (Fault(POWER, given("host")),), witness=scenario == "witness")
