# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time line of a simulation as one HTML page that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources

import jinja2

from agentstack.sim.simulator import LogLine, SimResult

NODE_STATE = re.compile(r"node '(?P<name>[^']+)': state changed from '[^']+' => '(?P<state>[^']+)'")
SERVICE_STATE = re.compile(
    r"service '(?P<name>[^']+)': state changed from '[^']+' to '(?P<state>[^']+)'(?:\s+\((?P<parameters>.*)\))?"
)
ADDED = re.compile(r"adding new service '(?P<name>[^']+)' on node '(?P<node>[^']+)'")
REMOVED = re.compile(r"removing stale service '(?P<name>[^']+)'")
FROZEN = re.compile(r"disarm: freezing service '(?P<name>[^']+)'")
DECISION = re.compile(
    r"state changed|adding new|removing stale|recover service|fixup|updating node|re-balance|auto rebalance"
    r"|FENCE:|SUCCEED:|stopped by poweroff|disarm|re-arming|execute|failed"
)


@dataclass
class Span:
    """A state that lasted from ``start`` to ``end`` (virtual seconds)."""

    start: int
    end: int
    state: str
    place: str = ""


@dataclass
class Lane:
    """One node or one service over time."""

    name: str
    spans: list[Span] = field(default_factory=list)

    def change(self, time: int, state: str, place: str) -> None:
        self.close(time)
        self.spans.append(Span(time, time, state, place))

    def close(self, time: int) -> None:
        if self.spans:
            self.spans[-1].end = max(self.spans[-1].end, time)


def lanes(lines: Iterable[LogLine]) -> tuple[list[Lane], list[Lane]]:
    """(nodes, services) with their states over time, as the log tells them."""
    nodes: dict[str, Lane] = {}
    services: dict[str, Lane] = {}
    places: dict[str, str] = {}
    end = 0
    for line in lines:
        end = max(end, line.time)
        if match := NODE_STATE.fullmatch(line.message):
            nodes.setdefault(match["name"], Lane(match["name"])).change(line.time, match["state"], "")
        elif match := SERVICE_STATE.fullmatch(line.message):
            name = match["name"]
            for parameter in (match["parameters"] or "").split(", "):
                key, _, value = parameter.partition(" = ")
                if key == "node":
                    places[name] = value
            services.setdefault(name, Lane(name)).change(line.time, match["state"], places.get(name, ""))
        elif match := ADDED.fullmatch(line.message):
            places[match["name"]] = match["node"]
            services.setdefault(match["name"], Lane(match["name"])).change(line.time, "new", match["node"])
        elif match := FROZEN.match(line.message):
            name = match["name"]
            services.setdefault(name, Lane(name)).change(line.time, "freeze", places.get(name, ""))
        elif (match := REMOVED.match(line.message)) and match["name"] in services:
            services[match["name"]].change(line.time, "removed", "")
    for lane in (*nodes.values(), *services.values()):
        lane.close(end)
    return sorted(nodes.values(), key=lambda lane: lane.name), sorted(services.values(), key=lambda lane: lane.name)


def render(result: SimResult, title: str) -> str:
    """The page."""
    nodes, services = lanes(result.lines)
    decisions = [line for line in result.lines if DECISION.search(line.message)]
    template = resources.files("agentstack.sim").joinpath("report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(
        title=title,
        groups=[("Nodes", nodes), ("Services", services)],
        decisions=decisions,
        end=max((line.time for line in result.lines), default=0) or 1,
        states=sorted({span.state for lane in (*nodes, *services) for span in lane.spans}),
        error=result.error,
    )
