# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move of a service means for others: comigrated and blocking resources in API answers (facts §7.1, §14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentstack.ha.motion import motion
from agentstack.ha.resolve import Resolved, resolve
from agentstack.manager import config

if TYPE_CHECKING:
    from agentstack.host import Host

CAUSE = "resource-affinity"


def resolved(host: Host) -> Resolved:
    """The rules that hold now."""
    rules = config.rule_sections(config.RULES_CFG.read(host)[0])
    groups = {entry.id: entry.values for entry in config.GROUPS_CFG.read(host)[0].values()}
    return resolve(rules, groups, host.manager.resource_configs(), {node.name for node in host.cluster.nodes()})


def moves(host: Host, sid: str, target: str) -> tuple[list[str], list[dict[str, str]]]:
    """Services that would come along to the node, and those that forbid the move."""
    services = host.manager.manager_status().get("service_status", {})
    found = motion(resolved(host).affinities, services, sid, target)
    return found.comigrated, [{"sid": other, "cause": CAUSE} for other in found.blocking]


def answer(host: Host, sid: str, target: str) -> dict[str, Any]:
    """Answer of `POST /cluster/ha/resources/{sid}/migrate` in release 9."""
    comigrated, blocking = moves(host, sid, target)
    row: dict[str, Any] = {"sid": sid, "requested-node": target}
    if comigrated:
        row["comigrated-resources"] = comigrated
    if blocking:
        row["blocking-resources"] = blocking
    return row
