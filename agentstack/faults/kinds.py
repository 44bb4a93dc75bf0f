# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of fault: what each is about, the words of its command, and what they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstack.faults import api
from agentstack.reader import StackError
from agentstack.stack import Stack
from agentstack.units import parse_duration

Settings = dict[str, Any]
"""What is wrong, as JSON: {"cut": true}, {"latency": 0.002}."""


@dataclass(frozen=True)
class Fault:
    """One thing that is broken. `target`: names, as the kind's `target` says."""

    kind: str
    target: tuple[str, ...]
    settings: Settings = field(hash=False)

    def describe(self) -> dict[str, Any]:
        """As it stands in answers and in `STATE/faults.json`."""
        return {"kind": self.kind, "target": list(self.target), "settings": self.settings}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Fault:
        return cls(str(data["kind"]), tuple(data["target"]), dict(data["settings"]))

    def __str__(self) -> str:
        shown = (
            name if value is True else f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in self.settings.items()
        )
        return " ".join((self.kind, *self.target, *shown))


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    `target`: what it is about (host, network, disk: names that `check` knows).
    `actions`: words that stand for settings; None: the fault ends.
    `settings`: what `KEY=VALUE` words may set, and how the value is read (ValueError says what is wrong).
    `value`: the setting that a single word without `=` gives.
    `names`: the setting that a list of further words gives.
    """

    help: str
    target: tuple[str, ...]
    actions: Mapping[str, Settings | None] = field(default_factory=dict)
    settings: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    value: str | None = None
    names: str | None = None

    def usage(self) -> str:
        """The words after the kind's name."""
        words = [name.upper() for name in self.target]
        words += [f"{self.names.upper()} {self.names.upper()}…"] if self.names else []
        choices = [*self.actions, *([self.value.upper()] if self.value else [])]
        words += ["|".join(choices)] if choices else []
        given = [f"{name}=…" for name in self.settings if name not in (self.value, self.names)]
        return " ".join([*words, *(f"[{text}]" for text in given)])


def duration_with_sign(text: str) -> float:
    """Seconds from `+30s`, `-5s`, `1.5s`."""
    return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text.removeprefix("+"))


def share(text: str) -> float:
    """`5%` or 0.05: a part of all, 0 to 1."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a share like 5% or 0.05")
    return value


def packet_size(text: str) -> int:
    """Bytes of the largest packet; 0: as without the fault."""
    if not text.isdecimal() or (int(text) and not 68 <= int(text) <= 65535):
        raise ValueError(f"{text!r} is not a packet size from 68 to 65535")
    return int(text)


def serial_number(text: str) -> str:
    """What is printed on a disk's label."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text):
        raise ValueError(f"{text!r} is not a serial number: at most 32 letters, digits, - and _")
    return text


def names(text: str) -> list[str]:
    """`pve1,pve2`."""
    return [name for name in re.split(r"[,\s]+", text) if name]


WIRE: Mapping[str, Callable[[str], Any]] = {
    "latency": parse_duration,
    "jitter": parse_duration,
    "loss": share,
    "mtu": packet_size,
}
"""What a cable or a switch can do to packets besides losing all of them."""
CUT: Mapping[str, Settings | None] = {"cut": {"cut": True}, "restore": None}

KINDS: dict[str, Kind] = {
    "link": Kind("One host's cable to one network.", ("host", "network"), CUT, WIRE),
    "network": Kind("A network, with all that hang on it.", ("network",), CUT, WIRE),
    "host": Kind("All of a host's cables.", ("host",), CUT, WIRE),
    "partition": Kind(
        "Sets of hosts (a comma between names) that do not hear each other, on one network or all.",
        (),
        {"restore": None},
        {"network": str, "sets": names},
        names="sets",
    ),
    "api": Kind(
        "Calls of a host's API whose path fits a pattern: late, refused, cut off, ignored, or their task fails.",
        ("host", "pattern"),
        {
            "drop": {"drop": True},
            "unanswered": {"unanswered": True},
            "ignore": {"ignored": True},
            "restore": None,
        },
        api.SETTINGS,
    ),
    "clock": Kind(
        "A host's clock: seconds that it is ahead (+30s) or behind (-5s).",
        ("host",),
        {"restore": None},
        {"offset": duration_with_sign},
        value="offset",
    ),
    "array": Kind("An external array's cables.", ("array",), CUT),
    "authority": Kind(
        "The certificate authority: not there, too busy for more (limit), or satisfied with no proof (refuse).",
        ("authority",),
        {**CUT, "limit": {"limited": True}, "refuse": {"refusing": True}},
    ),
    "disk": Kind(
        "A host's disk: pulled out, full of errors, answering nothing (stall), or another one in its place (for good).",
        ("host", "disk"),
        {"remove": {"removed": True}, "fail": {"failing": True}, "stall": {"stalled": True}, "restore": None},
        {"replace": serial_number},
    ),
}
"""By the word of its command: `agentstack fault KIND …`."""


def kind_of(name: str) -> Kind:
    """StackError for a word that is no kind's."""
    if name not in KINDS:
        raise StackError(f"no fault '{name}' (there are {', '.join(KINDS)})")
    return KINDS[name]


def parse(name: str, words: list[str]) -> tuple[tuple[str, ...], Settings | None]:
    """The target and settings that the words after `agentstack fault NAME` mean; settings None: the fault ends."""
    kind = kind_of(name)
    usage = f"usage: agentstack fault {name} {kind.usage()}"
    target, rest = tuple(words[: len(kind.target)]), words[len(kind.target) :]
    if len(target) < len(kind.target) or not rest:
        raise StackError(usage)
    settings: Settings = {}
    for word in rest:
        key, equals, text = word.partition("=")
        if word in kind.actions:
            meant = kind.actions[word]
            if meant is None:
                return target, None
            settings |= meant
        elif equals and key in kind.settings:
            settings[key] = _convert(kind, key, text)
        elif kind.names is not None and not equals:
            settings.setdefault(kind.names, []).append(_convert(kind, kind.names, word))
        elif kind.value is not None and not equals:
            settings[kind.value] = _convert(kind, kind.value, word)
        else:
            raise StackError(f"'{word}' is not understood; {usage}")
    return target, settings


def _convert(kind: Kind, key: str, text: str) -> Any:
    try:
        return kind.settings[key](text)
    except ValueError as error:
        raise StackError(f"{key}: {error}") from error


def check(stack: Stack, fault: Fault) -> None:
    """StackError if a fault names what the stack does not have."""
    kind = kind_of(fault.kind)
    if len(fault.target) != len(kind.target):
        raise StackError(f"a fault of kind {fault.kind} is about {' and '.join(kind.target) or 'sets'}")
    host = None
    for what, name in zip(kind.target, fault.target, strict=True):
        match what:
            case "host":
                host = _known("host", name, stack.hosts)
            case "array":
                _known("array", name, stack.arrays)
            case "authority":
                _known("authority", name, {stack.authority.name: stack.authority} if stack.authority else {})
            case "network":
                _known("network", name, stack.networks)
                if host is not None and name not in stack.hosts[host].addresses:
                    raise StackError(f"host '{host}' has no cable to network '{name}'")
            case "disk":
                assert host is not None
                _known("disk", name, {disk.name: disk for disk in stack.hosts[host].disks})
    for name in fault.settings:
        if name not in kind.settings and not any(name in (meant or {}) for meant in kind.actions.values()):
            raise StackError(f"a fault of kind {fault.kind} has no '{name}'")
    if fault.kind == "partition":
        for name in (name for group in fault.settings.get("sets", ()) for name in group):
            _known("host", name, stack.hosts)
        if network := fault.settings.get("network"):
            _known("network", network, stack.networks)


def _known(what: str, name: str, there: Mapping[str, Any]) -> str:
    if name not in there:
        raise StackError(f"no {what} '{name}' in this stack (there are {', '.join(there)})")
    return name
