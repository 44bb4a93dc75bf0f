# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a scenario directory: JSON files and the section texts of rules and groups."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GIB = 1 << 30
DEFAULT_NODES = ("node1", "node2", "node3")
DEFAULT_VERSION = "9.0.0~2"
DEFAULT_HARDWARE = {"power": "off", "network": "off", "maxcpu": 24, "maxmem": 128 * GIB}
DEFAULT_LIMITS: dict[str, float] = {"maxcpu": 4.0, "maxmem": 4 * GIB}
DEFAULT_USAGE: dict[str, float] = {"cpu": 2.0, "mem": 2 * GIB}
DEFAULT_SERVICES = {f"vm:{100 + number}": {"node": f"node{(number - 1) % 3 + 1}"} for number in range(1, 7)}


class ScenarioError(Exception):
    """The directory is not a scenario; the text names the file and what is wrong with it."""


@dataclass
class Scenario:
    """The start of a simulation, and what happens in it."""

    batches: list[list[str]]
    hardware: dict[str, dict[str, Any]]
    manager_status: dict[str, Any] = field(default_factory=dict)
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, dict[str, object]] = field(default_factory=dict)
    groups: dict[str, dict[str, object]] = field(default_factory=dict)
    datacenter: dict[str, Any] = field(default_factory=dict)
    static_stats: dict[str, dict[str, float]] = field(default_factory=dict)
    dynamic_stats: dict[str, dict[str, float]] = field(default_factory=dict)
    running: dict[str, dict[str, int]] = field(default_factory=dict)


def parse_sections(text: str, source: str) -> dict[str, dict[str, object]]:
    """``TYPE: ID`` and indented ``key value`` lines as ID -> {type, key: value}."""
    sections: dict[str, dict[str, object]] = {}
    current: dict[str, object] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        if not line[0].isspace():
            kind, colon, name = content.partition(":")
            if not colon or not name.strip():
                raise ScenarioError(f"{source} line {number}: expected 'TYPE: ID', got '{content}'")
            current = sections[name.strip()] = {"type": kind.strip()}
        elif current is None:
            raise ScenarioError(f"{source} line {number}: '{content}' stands before the first section")
        else:
            key, *value = content.split(None, 1)
            current[key] = value[0] if value else "1"
    return sections


def load(directory: Path) -> Scenario:
    """Read a scenario directory; raises ScenarioError."""
    if not directory.is_dir():
        raise ScenarioError(f"{directory}: no such directory")
    batches = _json(directory / "cmdlist", None)
    if not isinstance(batches, list) or not all(
        isinstance(batch, list) and all(isinstance(command, str) for command in batch) for batch in batches
    ):
        raise ScenarioError(f"{directory / 'cmdlist'}: expected a list of lists of commands")
    hardware = {
        node: {**DEFAULT_HARDWARE, **entry}
        for node, entry in _json(directory / "hardware_status", {node: {} for node in DEFAULT_NODES}).items()
    }
    services = _json(directory / "service_config", DEFAULT_SERVICES)
    return Scenario(
        batches,
        hardware,
        _json(directory / "manager_status", {}),
        {sid: dict(entry) for sid, entry in services.items()},
        _sections(directory / "rules_config"),
        _sections(directory / "groups"),
        _json(directory / "datacenter.cfg", {}),
        _json(directory / "static_service_stats", {}),
        _json(directory / "dynamic_service_stats", {}),
        {node: _json(directory / f"service_status_{node}", {}) for node in hardware},
    )


def _json(path: Path, default: Any) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if default is None and path.name == "cmdlist":
            raise ScenarioError(f"{path}: a scenario needs this file") from None
        return default
    if not text.strip():
        return default
    try:
        return json.loads(text)
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from None


def _sections(path: Path) -> dict[str, dict[str, object]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return parse_sections(text, str(path))
