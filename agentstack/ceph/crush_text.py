# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text form of a CRUSH map as crushtool writes and reads it (docs.ceph.com, "Manually editing the CRUSH Map")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from agentstack.ceph.maps import TYPES, ClusterMap, CrushBucket, Osd, Rule, Step
from agentstack.errors import AgentError

_TUNABLES = {
    **{"choose_local_tries": 0, "choose_local_fallback_tries": 0, "choose_total_tries": 50},
    **{"chooseleaf_descend_once": 1, "chooseleaf_vary_r": 1, "chooseleaf_stable": 1, "straw_calc_version": 1},
    "allowed_bucket_algs": 54,
}


@dataclass
class CrushMap:
    """What a text says. `weights`: OSD -> its bucket and weight; `classes`: OSD -> device class."""

    buckets: dict[int, CrushBucket] = field(default_factory=dict)
    rules: dict[int, Rule] = field(default_factory=dict)
    weights: dict[int, tuple[int, float]] = field(default_factory=dict)
    classes: dict[int, str] = field(default_factory=dict)


def render(cluster: ClusterMap) -> str:
    """The map's text."""
    lines = ["# begin crush map", *(f"tunable {name} {value}" for name, value in _TUNABLES.items())]
    lines += ["", "# devices"]
    lines += [f"device {osd.id} osd.{osd.id} class {osd.device_class}" for osd in _sorted_osds(cluster)]
    lines += ["", "# types", *(f"type {number} {name}" for name, number in TYPES.items()), "", "# buckets"]
    tree = cluster.tree()
    for bucket in sorted(cluster.buckets.values(), key=lambda bucket: (TYPES[bucket.type], -bucket.id)):
        lines += [f"{bucket.type} {bucket.name} {{", f"\tid {bucket.id}\t\t# do not change unnecessarily"]
        lines += [f"\t# weight {tree.buckets[bucket.id].weight:.5f}", "\talg straw2", "\thash 0\t# rjenkins1"]
        for item, weight in tree.buckets[bucket.id].items.items():
            name = f"osd.{item}" if item >= 0 else cluster.buckets[item].name
            lines.append(f"\titem {name} weight {weight:.5f}")
        lines.append("}")
    lines += ["", "# rules"]
    for rule in cluster.rules.values():
        take = rule.root if rule.device_class is None else f"{rule.root} class {rule.device_class}"
        lines += [f"rule {rule.name} {{", f"\tid {rule.id}", "\ttype replicated", f"\tstep take {take}"]
        lines += [f"\tstep {step.op} firstn {step.count} type {step.type}" for step in rule.steps]
        lines += ["\tstep emit", "}"]
    return "\n".join([*lines, "", "# end crush map", ""])


def _sorted_osds(cluster: ClusterMap) -> list[Osd]:
    return sorted(cluster.osds.values(), key=lambda osd: osd.id)


def parse(text: str) -> CrushMap:
    """Read a text. Raises AgentError with the line that cannot be read."""
    found = CrushMap()
    parents: dict[str, tuple[int, float]] = {}
    lines = _lines(text)
    for number, words in lines:
        match words:
            case ["tunable", _, _] | ["type", _, _]:
                continue
            case ["device", ident, _, *rest] if ident.isdigit():
                if rest[:1] == ["class"]:
                    found.classes[int(ident)] = rest[1]
            case ["rule", name, "{"]:
                rule = _rule(name, lines)
                found.rules[rule.id] = rule
            case [kind, name, "{"] if kind in TYPES:
                bucket, items = _bucket(kind, name, lines)
                found.buckets[bucket.id] = bucket
                parents |= {item: (bucket.id, weight) for item, weight in items.items()}
            case _:
                raise _error(number, words)
    for bucket in found.buckets.values():
        bucket.parent = parents.pop(bucket.name, (None, 0.0))[0]
    for item, place in parents.items():
        if not re.fullmatch(r"osd\.\d+", item):
            raise AgentError(f"item '{item}' in bucket is not defined")
        found.weights[int(item[4:])] = place
    for rule in found.rules.values():
        if all(bucket.name != rule.root for bucket in found.buckets.values()):
            raise AgentError(f"in rule '{rule.name}' item '{rule.root}' not defined")
    return found


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            yield number, words


def _error(number: int, words: list[str]) -> AgentError:
    return AgentError(f"<stdin>:{number} error: parse error at '{' '.join(words)}'")


def _bucket(kind: str, name: str, lines: Iterator[tuple[int, list[str]]]) -> tuple[CrushBucket, dict[str, float]]:
    bucket, items = CrushBucket(0, name, kind), dict[str, float]()
    for number, words in lines:
        match words:
            case ["}"]:
                return bucket, items
            case ["id", ident, *rest] if re.fullmatch(r"-\d+", ident):
                # the ids of the shadows of device classes are given anew
                bucket.id = bucket.id if rest[:1] == ["class"] else int(ident)
            case ["alg", _] | ["hash", _]:
                continue
            case ["item", item, "weight", weight]:
                items[item] = float(weight)
            case _:
                raise _error(number, words)
    raise AgentError(f"bucket '{name}' does not end")


def _rule(name: str, lines: Iterator[tuple[int, list[str]]]) -> Rule:
    rule = Rule(-1, name, steps=[])
    for number, words in lines:
        match words:
            case ["}"]:
                return rule
            case ["id", ident] if ident.isdigit():
                rule.id = int(ident)
            case ["type", "replicated"] | ["step", "emit"] | ["min_size", _] | ["max_size", _]:
                continue
            case ["step", "set_choose_tries" | "set_chooseleaf_tries", _]:
                continue
            case ["step", "take", root]:
                rule.root = root
            case ["step", "take", root, "class", device_class]:
                rule.root, rule.device_class = root, device_class
            case ["step", "choose" | "chooseleaf" as op, "firstn", count, "type", kind] if kind in TYPES:
                rule.steps.append(Step(op, int(count), kind))
            case _:
                raise _error(number, words)
    raise AgentError(f"rule '{name}' does not end")
