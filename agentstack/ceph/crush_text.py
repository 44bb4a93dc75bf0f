# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's CRUSH map and its text form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from agentstack._shared import crush_map
from agentstack.ceph.maps import TYPES, ClusterMap, CrushBucket, Rule, Step
from agentstack.errors import AgentError


@dataclass
class Taken:
    """What a text says about the cluster. `weights`: OSD -> its bucket and weight; `classes`: OSD -> device class."""

    buckets: dict[int, CrushBucket] = field(default_factory=dict)
    rules: dict[int, Rule] = field(default_factory=dict)
    weights: dict[int, tuple[int, float]] = field(default_factory=dict)
    classes: dict[int, str] = field(default_factory=dict)


def render(cluster: ClusterMap) -> str:
    """The map's text."""
    found = crush_map.CrushMap(types=dict(TYPES))
    for osd in sorted(cluster.osds.values(), key=lambda osd: osd.id):
        found.devices[f"osd.{osd.id}"] = osd.device_class
    tree = cluster.tree()
    for bucket in sorted(cluster.buckets.values(), key=lambda bucket: (TYPES[bucket.type], -bucket.id)):
        items = {
            f"osd.{item}" if item >= 0 else cluster.buckets[item].name: weight
            for item, weight in tree.buckets[bucket.id].items.items()
        }
        found.buckets[bucket.name] = crush_map.Bucket(bucket.name, bucket.type, bucket.id, items)
    for rule in cluster.rules.values():
        steps = [(step.op, step.count, step.type) for step in rule.steps]
        found.rules[rule.name] = crush_map.Rule(rule.name, rule.id, rule.root, rule.device_class, steps)
    return found.render()


def parse(text: str) -> Taken:
    """Read a text. Raises AgentError with the line that cannot be read."""
    try:
        found = crush_map.parse(text)
    except ValueError as error:
        raise AgentError(f"crushtool: {error}") from error
    taken = Taken(classes={int(name[4:]): each for name, each in found.devices.items() if each and _is_osd(name)})
    for bucket in found.buckets.values():
        if bucket.type not in TYPES:
            raise AgentError(f"Error EINVAL: bucket type {bucket.type} is not known here")
        above = found.parent(bucket.name)
        taken.buckets[bucket.id] = CrushBucket(bucket.id, bucket.name, bucket.type, above.id if above else None)
        for item, weight in bucket.items.items():
            if _is_osd(item):
                taken.weights[int(item[4:])] = (bucket.id, weight)
    for rule in found.rules.values():
        steps = [Step(*step) for step in rule.steps]
        taken.rules[rule.id] = Rule(rule.id, rule.name, rule.root, rule.device_class, steps)
    return taken


def _is_osd(name: str) -> bool:
    return re.fullmatch(r"osd\.\d+", name) is not None
