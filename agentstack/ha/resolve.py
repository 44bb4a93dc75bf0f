# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From configuration to the rules that hold: rules.cfg and groups.cfg, without what is infeasible."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from agentstack._shared.ha_rule_checks import infeasible
from agentstack._shared.ha_rules import Affinities, RuleSet, derive, parse_rules
from agentstack.ha.environment import ResourceConfig
from agentstack.ha.groups import as_rules


class Resolved(NamedTuple):
    """What the rules mean, and why some do not count: rule id -> property -> texts."""

    affinities: Affinities
    dropped: dict[str, dict[str, list[str]]]


def resolve(
    config: Mapping[str, Mapping[str, object]],
    groups: Mapping[str, Mapping[str, object]],
    resources: Mapping[str, ResourceConfig],
    nodes: Collection[str],
) -> Resolved:
    """Read the sections of rules.cfg and groups.cfg; groups in use are taken as node-affinity rules."""
    rules = parse_rules(config)
    rules = RuleSet({**rules.node_affinity, **as_rules(groups, resources)}, rules.resource_affinity)
    dropped = infeasible(rules, nodes)
    return Resolved(derive(rules.without(dropped)), dropped)
