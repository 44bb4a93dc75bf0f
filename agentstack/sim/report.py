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
STARTED = re.compile(r"service status (?P<name>\S+) started")
STOPPED = re.compile(r"service status (?P<name>\S+) stopped")
MOVED = re.compile(r"service (?P<name>\S+) - end (?:migrate|relocate) to node '(?P<node>[^']+)'")
POWER_OFF = re.compile(r"execute power (?P<node>\S+) off")
NETWORK = re.compile(r"execute network (?P<node>\S+) (?P<state>on|off)")
WANTED_OFF = re.compile(r"execute service (?P<name>\S+) (?:stopped|disabled|ignored|delete|stop \d+)")

STEPS = (20, 60, 120, 300, 600, 1200, 3600)
MOST_TICKS = 12
COLOURS = 8
"""How many nodes have a colour of their own before they repeat; names stand beside them."""


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


@dataclass(frozen=True)
class Outage:
    """A service whose node went off, or off the network: nobody reached it. ``end`` None: so it was to the end."""

    service: str
    node: str
    start: int
    end: int | None


def outages(lines: Iterable[LogLine]) -> list[Outage]:
    """What the loss of nodes meant for those who use the services, as the log tells it."""
    running: dict[str, str] = {}
    down: dict[str, tuple[str, int]] = {}
    cut: dict[str, int] = {}
    found: list[Outage] = []
    for line in lines:
        if match := STARTED.fullmatch(line.message):
            name = match["name"]
            running[name] = line.who.partition("/")[0]
            if name in down:
                found.append(Outage(name, *down.pop(name), line.time))
        elif match := STOPPED.fullmatch(line.message):
            running.pop(match["name"], None)
        elif match := MOVED.fullmatch(line.message):
            if match["name"] in running:
                running[match["name"]] = match["node"]
        elif match := POWER_OFF.fullmatch(line.message):
            begin = cut.pop(match["node"], line.time)
            for name in [name for name, node in running.items() if node == match["node"]]:
                del running[name]
                down[name] = (match["node"], begin)
        elif (match := NETWORK.fullmatch(line.message)) and match["state"] == "off":
            cut.setdefault(match["node"], line.time)
        elif match and match["node"] in cut:
            begin = cut.pop(match["node"])
            names = sorted(name for name, node in running.items() if node == match["node"])
            found += [Outage(name, match["node"], begin, line.time) for name in names]
        elif match := WANTED_OFF.fullmatch(line.message):
            down.pop(match["name"], None)
    found += [Outage(name, node, start, None) for name, (node, start) in down.items()]
    return sorted(found, key=lambda outage: (outage.start, outage.service))


def clock(seconds: int) -> str:
    """`2:05` for 125 seconds."""
    return f"{seconds // 60}:{seconds % 60:02}"


def ticks(end: int) -> list[int]:
    """Moments for the axis: at most twelve, at round numbers of seconds."""
    step = next(step for step in STEPS if end / step <= MOST_TICKS)
    return list(range(0, end + 1, step))


def render(result: SimResult, title: str) -> str:
    """The page."""
    nodes, services = lanes(result.lines)
    decisions = [line for line in result.lines if DECISION.search(line.message)]
    template = resources.files("agentstack.sim").joinpath("report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["clock"] = clock
    end = max((line.time for line in result.lines), default=0) or 1
    names = sorted(result.world.nodes)
    lost = outages(result.lines)
    return environment.from_string(template).render(
        title=title,
        nodes=nodes,
        services=services,
        colours={name: index % COLOURS for index, name in enumerate(names)},
        decisions=decisions,
        commands=[line for line in result.lines if line.message.startswith("execute ") and line.who != "run-loop"],
        outages=lost,
        longest=max((outage.end - outage.start for outage in lost if outage.end is not None), default=None),
        ticks=ticks(end),
        end=end,
        states=sorted({span.state for lane in services for span in lane.spans} - {"started"}),
        error=result.error,
    )
