# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing the node of a service: rules narrow the nodes, then the scheduler's score decides (facts §7.1, §7.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from .ha_rules import FALLBACK_PRIORITY, Affinities
from .ha_types import ServiceStatus
from .ha_usage import Usage, places


class Preference(Enum):
    """STAY: move only if the service may not stay; NEXT: anywhere but where it failed; BEST: by score alone."""

    STAY = "none"
    NEXT = "try-next"
    BEST = "best-score"


def allowed_nodes(affinities: Affinities, sid: str, online: Sequence[str]) -> tuple[set[str], set[str]]:
    """(all nodes that node affinity allows, those of the highest priority) among the online ones."""
    rule = affinities.nodes.get(sid)
    if rule is None:
        everywhere = set(online)
        return everywhere, set(everywhere)
    priorities = {
        node: rule.nodes.get(node, FALLBACK_PRIORITY) for node in online if node in rule.nodes or not rule.strict
    }
    if not priorities:
        return set(), set()
    top = max(priorities.values())
    return set(priorities), {node for node, priority in priorities.items() if priority == top}


def partners(
    affinities: Affinities, sid: str, services: Mapping[str, ServiceStatus], online: Iterable[str]
) -> tuple[Counter[str], set[str]]:
    """(node -> number of positive partners that are, or will be, there; nodes that negative partners use)."""
    available = set(online)
    together: Counter[str] = Counter()
    for other in affinities.together.get(sid, ()):
        if other in services:
            node, target = places(services[other])
            node = node if node in available else None
            target = target if target in available else None
            place = target or node
            if place is not None:
                together[place] += 1
    apart: set[str] = set()
    for other in affinities.apart.get(sid, ()):
        if other in services:
            apart.update(place for place in places(services[other]) if place in available and place is not None)
    return together, apart


def select_node(
    sid: str,
    services: Mapping[str, ServiceStatus],
    affinities: Affinities,
    usage: Usage,
    online: Sequence[str],
    *,
    failback: bool,
    preference: Preference,
) -> str | None:
    """The node where the service belongs now; None: there is none."""
    service = services[sid]
    current = service["node"]
    staying = preference is Preference.STAY
    constrained = sid in affinities.nodes or sid in affinities.together or sid in affinities.apart
    if staying and not constrained and "maintenance_node" not in service and current in online:
        return current
    allowed, preferred = allowed_nodes(affinities, sid, online)
    if not preferred:
        return None
    together, apart = partners(affinities, sid, services, online)
    if staying and not failback and current in allowed and (current in together or current not in apart):
        return current
    if preference is Preference.NEXT:
        preferred -= set(service.get("failed_nodes", ()))
    candidates = _with_partners(preferred - apart, together)
    home = service.get("maintenance_node")
    if home in candidates:
        return home
    if staying and current in candidates:
        return current
    if not candidates:
        return None
    scores = usage.scores(sid, sorted(candidates))
    return min(sorted(candidates), key=lambda node: scores.get(node, 0.0))


def _with_partners(nodes: set[str], together: Counter[str]) -> set[str]:
    """The node where most positive partners are (the first by name of several), if it is among ``nodes``."""
    possible = sorted((node for node in together if node in nodes), key=lambda node: (-together[node], node))
    return {possible[0]} if possible else nodes
