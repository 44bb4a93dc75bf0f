# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which HA rules cannot hold, alone or beside each other (facts §7.1; some texts observed: /cluster/ha/rules)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import combinations

from .ha_rules import RuleSet, parse_rules

Finding = tuple[str, str]
"""Rule id and what is wrong with it."""

Check = Callable[[RuleSet, Collection[str]], Iterator[Finding]]


def _one_node_affinity_each(rules: RuleSet, _nodes: Collection[str]) -> Iterator[Finding]:
    used: dict[str, list[str]] = {}
    for name, rule in sorted(rules.node_affinity.items()):
        for sid in rule.resources:
            used.setdefault(sid, []).append(name)
    for sid, names in sorted(used.items()):
        if len(names) > 1:
            for name in names:
                yield name, f"resource '{sid}' is already used in another node affinity rule"


def _at_least_two_resources(rules: RuleSet, _nodes: Collection[str]) -> Iterator[Finding]:
    for name, rule in sorted(rules.resource_affinity.items()):
        if len(rule.resources) < 2:
            yield name, "rule is ineffective as there are less than two resources"


def _room_to_keep_apart(rules: RuleSet, nodes: Collection[str]) -> Iterator[Finding]:
    for name, rule in sorted(rules.resource_affinity.items()):
        if not rule.positive and len(rule.resources) > len(nodes):
            yield name, "rule defines more resources than available nodes"


def _not_together_and_apart(rules: RuleSet, _nodes: Collection[str]) -> Iterator[Finding]:
    for (one, first), (other, second) in combinations(sorted(rules.resource_affinity.items()), 2):
        if first.positive != second.positive and len(first.resources & second.resources) > 1:
            yield one, f"rule shares two or more resources with '{other}'"
            yield other, f"rule shares two or more resources with '{one}'"


def _one_priority_with_resource_affinity(rules: RuleSet, _nodes: Collection[str]) -> Iterator[Finding]:
    for name, rule in sorted(rules.resource_affinity.items()):
        touched = [na for _name, na in sorted(rules.node_affinity.items()) if na.resources & rule.resources]
        if len({priority for na in touched for priority in na.nodes.values()}) > 1:
            yield name, "resources are in node affinity rules with multiple priorities"
            for na in touched:
                yield (
                    na.rule,
                    "resources are in a resource affinity rule and cannot be in a node affinity rule with multiple"
                    " priorities",
                )


def _together_in_one_node_affinity(rules: RuleSet, _nodes: Collection[str]) -> Iterator[Finding]:
    for name, rule in sorted(rules.resource_affinity.items()):
        if rule.positive and sum(bool(na.resources & rule.resources) for na in rules.node_affinity.values()) > 1:
            yield name, "resources are in multiple node affinity rules"


def _apart_on_enough_nodes(rules: RuleSet, _nodes: Collection[str]) -> Iterator[Finding]:
    for name, rule in sorted(rules.resource_affinity.items()):
        if rule.positive:
            continue
        touched = [na for na in rules.node_affinity.values() if na.resources & rule.resources]
        bound = {sid for na in touched for sid in na.resources & rule.resources}
        if len({node for na in touched for node in na.nodes}) < len(bound):
            yield name, "two or more resources are restricted to less nodes than available to the resources"


CHECKS: tuple[Check, ...] = (
    _one_node_affinity_each,
    _at_least_two_resources,
    _room_to_keep_apart,
    _not_together_and_apart,
    _one_priority_with_resource_affinity,
    _together_in_one_node_affinity,
    _apart_on_enough_nodes,
)


def infeasible(rules: RuleSet, nodes: Collection[str]) -> dict[str, dict[str, list[str]]]:
    """Rules that cannot hold in a cluster of ``nodes``: rule id -> property (all are about resources) -> texts."""
    found: dict[str, dict[str, list[str]]] = {}
    for check in CHECKS:
        for name, text in check(rules, nodes):
            found.setdefault(name, {}).setdefault("resources", []).append(text)
    return found


def check_rules(config: Mapping[str, Mapping[str, object]], nodes: Collection[str]) -> dict[str, dict[str, list[str]]]:
    """The same for the sections of a (candidate) rules.cfg: what the API shows as ``errors`` or refuses with."""
    return infeasible(parse_rules(config), nodes)
