# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA rules: reading them, and what follows from the rules that hold (facts §7.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

FALLBACK_PRIORITY = -1
"""Where a rule that is not strict puts the nodes that it does not name."""


@dataclass(frozen=True)
class NodeAffinity:
    """Resources and the nodes they belong on, with priorities (higher is better)."""

    rule: str
    resources: frozenset[str]
    nodes: Mapping[str, int]
    strict: bool = False


@dataclass(frozen=True)
class ResourceAffinity:
    """Resources that belong on one node (positive) or on different nodes."""

    rule: str
    resources: frozenset[str]
    positive: bool


@dataclass(frozen=True)
class RuleSet:
    """Enabled rules by id."""

    node_affinity: Mapping[str, NodeAffinity] = field(default_factory=dict)
    resource_affinity: Mapping[str, ResourceAffinity] = field(default_factory=dict)

    def without(self, dropped: Collection[str]) -> RuleSet:
        return RuleSet(
            {name: rule for name, rule in self.node_affinity.items() if name not in dropped},
            {name: rule for name, rule in self.resource_affinity.items() if name not in dropped},
        )


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return value.replace(",", " ").replace(";", " ").split()
    if isinstance(value, Iterable):
        return [str(word) for word in value]
    return []


def _truth(value: object) -> bool:
    return str(value).lower() in ("1", "true", "yes", "on")


def parse_nodes(value: object) -> dict[str, int]:
    """``node[:priority]`` list, or a mapping, as node -> priority."""
    if isinstance(value, Mapping):
        return {str(node): int(priority or 0) for node, priority in value.items()}
    nodes = {}
    for word in _words(value):
        node, _colon, priority = word.partition(":")
        nodes[node] = int(priority or 0)
    return nodes


def parse_rules(config: Mapping[str, Mapping[str, object]]) -> RuleSet:
    """Read the sections of rules.cfg (id -> properties with ``type``); one that says ``disable`` at all is left out."""
    node_affinity = {}
    resource_affinity = {}
    for name, section in config.items():
        if "disable" in section:
            continue
        resources = frozenset(_words(section.get("resources", "")))
        if section.get("type") == "node-affinity":
            node_affinity[name] = NodeAffinity(
                name, resources, parse_nodes(section.get("nodes", "")), _truth(section.get("strict", 0))
            )
        elif section.get("type") == "resource-affinity":
            resource_affinity[name] = ResourceAffinity(name, resources, section.get("affinity") == "positive")
    return RuleSet(node_affinity, resource_affinity)


@dataclass(frozen=True)
class Affinities:
    """What the rules mean for each resource; a resource that is in no rule is in none of the mappings."""

    nodes: Mapping[str, NodeAffinity] = field(default_factory=dict)
    together: Mapping[str, frozenset[str]] = field(default_factory=dict)
    apart: Mapping[str, frozenset[str]] = field(default_factory=dict)


def derive(rules: RuleSet) -> Affinities:
    """Resolve feasible rules, with what they imply.

    Positive rules that share a resource are one; a resource has the negative partners, and the node affinity, of its
    positive partners.
    """
    together = _merge(rule.resources for rule in rules.resource_affinity.values() if rule.positive)
    bundles = {sid: bundle for bundle in together for sid in bundle}
    apart: dict[str, set[str]] = {}
    for rule in rules.resource_affinity.values():
        if rule.positive:
            continue
        for sid in rule.resources:
            for partner in rule.resources - {sid}:
                for one in bundles.get(sid, (sid,)):
                    for other in bundles.get(partner, (partner,)):
                        if one != other:
                            apart.setdefault(one, set()).add(other)
                            apart.setdefault(other, set()).add(one)
    nodes: dict[str, NodeAffinity] = {}
    for affinity in rules.node_affinity.values():
        for sid in affinity.resources:
            for member in bundles.get(sid, (sid,)):
                nodes.setdefault(member, affinity)
    for affinity in rules.node_affinity.values():
        nodes.update(dict.fromkeys(affinity.resources, affinity))
    return Affinities(
        nodes,
        {sid: bundle - {sid} for sid, bundle in bundles.items()},
        {sid: frozenset(partners) for sid, partners in apart.items()},
    )


def _merge(sets: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    merged: list[frozenset[str]] = []
    for resources in sets:
        touching = [bundle for bundle in merged if bundle & resources]
        merged = [bundle for bundle in merged if not bundle & resources]
        merged.append(resources.union(*touching))
    return merged
