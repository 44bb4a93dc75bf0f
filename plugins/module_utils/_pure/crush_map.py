# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text form of a CRUSH map, as crushtool writes and reads it (docs.ceph.com, "Manually editing the CRUSH Map").

Pure. Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Step = tuple[str, int, str]
"""`choose` or `chooseleaf`, how many (0: as many as there are copies), type of bucket."""

TYPES = {
    **{"osd": 0, "host": 1, "chassis": 2, "rack": 3, "row": 4, "pdu": 5, "pod": 6, "room": 7, "datacenter": 8},
    **{"zone": 9, "region": 10, "root": 11},
}
"""Types of buckets of every new cluster, from the leaves up."""

_TUNABLES = {
    **{"choose_local_tries": 0, "choose_local_fallback_tries": 0, "choose_total_tries": 50},
    **{"chooseleaf_descend_once": 1, "chooseleaf_vary_r": 1, "chooseleaf_stable": 1, "straw_calc_version": 1},
    "allowed_bucket_algs": 54,
}


@dataclass
class Bucket:
    """An inner node of the hierarchy. `items`: names of what is below it, with weights."""

    name: str
    type: str
    id: int = 0
    items: dict[str, float] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        """All that is below it."""
        return sum(self.items.values())


@dataclass
class Rule:
    """A replicated rule: take `root` (restricted to a device class), the steps, emit."""

    name: str
    id: int = -1
    root: str = ""
    device_class: str | None = None
    steps: list[Step] = field(default_factory=list)


@dataclass
class CrushMap:
    """What a text says. `devices`: name -> device class, "" for none."""

    devices: dict[str, str] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)

    def parent(self, name: str) -> Bucket | None:
        """The bucket right above a bucket or device."""
        return next((bucket for bucket in self.buckets.values() if name in bucket.items), None)

    def location(self, name: str) -> dict[str, str]:
        """Type -> name of all that is above a bucket or device."""
        found: dict[str, str] = {}
        above = self.parent(name)
        while above is not None:
            found[above.type] = above.name
            above = self.parent(above.name)
        return found

    def below(self, name: str) -> Iterator[str]:
        """A bucket or device and everything below it."""
        yield name
        if name in self.buckets:
            for item in self.buckets[name].items:
                yield from self.below(item)

    def render(self) -> str:
        """The map's text."""
        lines = ["# begin crush map", *(f"tunable {name} {value}" for name, value in _TUNABLES.items())]
        lines += ["", "# devices"]
        for name, device_class in self.devices.items():
            lines.append(
                f"device {name.rpartition('.')[2]} {name}" + (f" class {device_class}" if device_class else "")
            )
        lines += ["", "# types", *(f"type {number} {name}" for name, number in self.types.items()), "", "# buckets"]
        for bucket in self.buckets.values():
            lines += [f"{bucket.type} {bucket.name} {{", f"\tid {bucket.id}\t\t# do not change unnecessarily"]
            lines += [f"\t# weight {bucket.weight:.5f}", "\talg straw2", "\thash 0\t# rjenkins1"]
            lines += [f"\titem {name} weight {weight:.5f}" for name, weight in bucket.items.items()]
            lines.append("}")
        lines += ["", "# rules", *(line for rule in self.rules.values() for line in rule_lines(rule))]
        return "\n".join([*lines, "", "# end crush map", ""])


def rule_lines(rule: Rule) -> list[str]:
    """A rule's lines in a map."""
    take = rule.root if rule.device_class is None else f"{rule.root} class {rule.device_class}"
    lines = [f"rule {rule.name} {{", f"\tid {rule.id}", "\ttype replicated", f"\tstep take {take}"]
    lines += [f"\tstep {op} firstn {count} type {kind}" for op, count, kind in rule.steps]
    return [*lines, "\tstep emit", "}"]


def parse(text: str) -> CrushMap:
    """Read a text. Raises ValueError with the line that cannot be read."""
    found = CrushMap()
    lines = _lines(text)
    for number, words in lines:
        match words:
            case ["tunable", _, _]:
                continue
            case ["type", ident, name] if ident.isdigit():
                found.types[name] = int(ident)
            case ["device", ident, name, *rest] if ident.isdigit():
                found.devices[name] = rest[1] if rest[:1] == ["class"] else ""
            case ["rule", name, "{"]:
                found.rules[name] = _rule(name, lines)
            case [kind, name, "{"] if kind in found.types:
                found.buckets[name] = _bucket(kind, name, lines)
            case _:
                raise _error(number, words)
    for bucket in found.buckets.values():
        for item in bucket.items:
            if item not in found.buckets and item not in found.devices:
                raise ValueError(f"item '{item}' in bucket '{bucket.name}' is not defined")
    for rule in found.rules.values():
        if rule.root not in found.buckets:
            raise ValueError(f"in rule '{rule.name}' item '{rule.root}' not defined")
    return found


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            yield number, words


def _error(number: int, words: list[str]) -> ValueError:
    return ValueError(f"line {number}: parse error at '{' '.join(words)}'")


def _bucket(kind: str, name: str, lines: Iterator[tuple[int, list[str]]]) -> Bucket:
    bucket = Bucket(name, kind)
    for number, words in lines:
        match words:
            case ["}"]:
                return bucket
            case ["id", ident, *rest] if re.fullmatch(r"-\d+", ident):
                # the ids of the shadows of device classes are given anew
                bucket.id = bucket.id if rest[:1] == ["class"] else int(ident)
            case ["alg", _] | ["hash", _]:
                continue
            case ["item", item, "weight", weight]:
                bucket.items[item] = float(weight)
            case _:
                raise _error(number, words)
    raise ValueError(f"bucket '{name}' does not end")


def _rule(name: str, lines: Iterator[tuple[int, list[str]]]) -> Rule:
    rule = Rule(name)
    for number, words in lines:
        match words:
            case ["}"]:
                return rule
            case ["id", ident] if ident.isdigit():
                rule.id = int(ident)
            case ["type", _] | ["step", "emit"] | ["min_size", _] | ["max_size", _]:
                continue
            case ["step", "set_choose_tries" | "set_chooseleaf_tries", _]:
                continue
            case ["step", "take", root]:
                rule.root = root
            case ["step", "take", root, "class", device_class]:
                rule.root, rule.device_class = root, device_class
            case ["step", "choose" | "chooseleaf" as op, "firstn" | "indep", count, "type", kind]:
                rule.steps.append((op, int(count), kind))
            case _:
                raise _error(number, words)
    raise ValueError(f"rule '{name}' does not end")
