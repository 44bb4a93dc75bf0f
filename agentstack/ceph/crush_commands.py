# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that change the CRUSH hierarchy and its rules (docs.ceph.com, "CRUSH maps"); texts are those of `ceph`."""

from __future__ import annotations

from typing import Any

from agentstack.ceph import crush_text
from agentstack.ceph.commands import command, free_bucket
from agentstack.ceph.maps import TYPES, ClusterMap, CrushBucket, Rule, Step
from agentstack.errors import AgentError


def find(cluster: ClusterMap, name: str) -> CrushBucket:
    """The bucket of that name. Raises AgentError."""
    bucket = cluster.bucket(name)
    if bucket is None:
        raise AgentError(f"Error ENOENT: item {name} does not exist")
    return bucket


def _place(cluster: ClusterMap, location: dict[str, str], below: str) -> int | None:
    """The bucket that a location means, those that are missing made; the lowest level above `below` counts."""
    parent: int | None = None
    for kind in sorted(location, key=lambda kind: -TYPES[kind]):
        if TYPES[kind] <= TYPES[below]:
            continue
        present = cluster.bucket(location[kind])
        if present is None:
            present = CrushBucket(free_bucket(cluster), location[kind], kind, parent)
            cluster.buckets[present.id] = present
        elif present.type != kind:
            raise AgentError(f"Error EINVAL: existing bucket {present.name} has type '{present.type}' != '{kind}'")
        elif parent is not None:
            present.parent = parent
        parent = present.id
    return parent


@command
def crush_add_bucket(cluster: ClusterMap, name: str, type: str, location: dict[str, str]) -> str:
    """Make a bucket, without a place or in the one given."""
    if type not in TYPES or type == "osd":
        raise AgentError(f"Error EINVAL: type '{type}' does not exist")
    if cluster.bucket(name) is not None:
        return f"bucket '{name}' already exists"
    place = _place(cluster, location, type)
    number = free_bucket(cluster)
    cluster.buckets[number] = CrushBucket(number, name, type, place)
    return f"added bucket {name} type {type} to crush map"


@command
def crush_move(cluster: ClusterMap, name: str, location: dict[str, str]) -> str:
    """Put a bucket, with all below it, or an OSD in another place."""
    unknown = [kind for kind in location if kind not in TYPES]
    if unknown or not location:
        raise AgentError(f"Error EINVAL: type '{next(iter(unknown), '')}' does not exist")
    if name.startswith("osd.") and name[4:].isdigit() and int(name[4:]) in cluster.osds:
        place = _place(cluster, location, "osd")
        if place is not None:
            cluster.osds[int(name[4:])].bucket = place
        return f"moved item id {name[4:]} name '{name}' to location {_said(location)} in crush map"
    bucket = find(cluster, name)
    if all(TYPES[kind] <= TYPES[bucket.type] for kind in location):
        raise AgentError(f"Error EINVAL: cannot move a {bucket.type} below {_said(location)}")
    bucket.parent = _place(cluster, location, bucket.type)
    return f"moved item id {bucket.id} name '{name}' to location {_said(location)} in crush map"


def _said(location: dict[str, str]) -> str:
    return "{" + ",".join(f"{kind}={name}" for kind, name in location.items()) + "}"


@command
def crush_remove(cluster: ClusterMap, name: str) -> str:
    """Remove an empty bucket that no rule takes."""
    bucket = find(cluster, name)
    if cluster.children(bucket.id):
        raise AgentError(f"Error ENOTEMPTY: (39) Directory not empty: bucket '{name}' is not empty")
    if any(rule.root == name for rule in cluster.rules.values()):
        raise AgentError(f"Error EBUSY: (16) Device or resource busy: bucket '{name}' is taken by a rule")
    del cluster.buckets[bucket.id]
    return f"removed item id {bucket.id} name '{name}' from crush map"


@command
def crush_reweight(cluster: ClusterMap, number: int, weight: float) -> str:
    """Set an OSD's CRUSH weight."""
    if number not in cluster.osds:
        raise AgentError(f"Error ENOENT: device 'osd.{number}' does not appear in the crush map")
    cluster.osds[number].weight = weight
    return f"reweighted item id {number} name 'osd.{number}' to {weight:g} in crush map"


@command
def rule_create(
    cluster: ClusterMap,
    name: str,
    domain: str = "host",
    device_class: str | None = None,
    root: str = "default",
) -> int:
    """Make a replicated rule; the same rule again is no error."""
    if domain not in TYPES:
        raise AgentError(f"Error EINVAL: unknown type {domain}")
    if cluster.bucket(root) is None:
        raise AgentError(f"Error ENOENT: root item {root} does not exist")
    if device_class is not None and all(osd.device_class != device_class for osd in cluster.osds.values()):
        raise AgentError(f"Error EINVAL: device class {device_class} does not exist")
    steps = [Step("choose" if domain == "osd" else "chooseleaf", 0, domain)]
    present = cluster.rule(name)
    if present is not None:
        if present != Rule(present.id, name, root, device_class, steps):
            raise AgentError(f"Error EEXIST: rule {name} already exists")
        return present.id
    number = next(candidate for candidate in range(len(cluster.rules) + 1) if candidate not in cluster.rules)
    cluster.rules[number] = Rule(number, name, root, device_class, steps)
    return number


@command
def rule_remove(cluster: ClusterMap, name: str) -> None:
    """Remove a rule that no pool uses."""
    rule = cluster.rule(name)
    if rule is None:
        return
    user = next((pool for pool in cluster.pools.values() if pool.rule == rule.id), None)
    if user is not None:
        raise AgentError(f"Error EBUSY: crush rule '{name}' is in use by pool '{user.name}'")
    del cluster.rules[rule.id]


@command
def crush_set_map(cluster: ClusterMap, text: str) -> int:
    """Take a whole CRUSH map; returns the epoch. Raises AgentError for one that does not fit the OSDs and pools."""
    taken = crush_text.parse(text)
    unknown = sorted(set(taken.weights) - set(cluster.osds))
    if unknown:
        raise AgentError(f"Error EINVAL: crushmap has devices that do not exist: osd.{unknown[0]}")
    needed = {pool.rule for pool in cluster.pools.values()}
    if needed - set(taken.rules):
        raise AgentError("Error EINVAL: pool has a crush rule that is not in the map")
    if cluster.osds.keys() - taken.weights.keys():
        raise AgentError("Error EINVAL: crushmap leaves out OSDs that exist")
    cluster.buckets, cluster.rules = taken.buckets, taken.rules
    for number, (bucket, weight) in taken.weights.items():
        osd = cluster.osds[number]
        osd.bucket, osd.weight = bucket, weight
        osd.device_class = taken.classes.get(number, osd.device_class)
    return cluster.epoch + 1


def rule_document(rule: Rule, cluster: ClusterMap) -> dict[str, Any]:
    """A rule as `ceph osd crush rule dump` shows it."""
    root = cluster.bucket(rule.root)
    item = f"{rule.root}~{rule.device_class}" if rule.device_class else rule.root
    names = {"choose": "choose_firstn", "chooseleaf": "chooseleaf_firstn"}
    return {
        "rule_id": rule.id,
        "rule_name": rule.name,
        "type": 1,
        "steps": [
            {"op": "take", "item": root.id if root else 0, "item_name": item},
            *({"op": names[step.op], "num": step.count, "type": step.type} for step in rule.steps),
            {"op": "emit"},
        ],
    }
