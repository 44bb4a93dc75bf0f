# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HA simulator: seconds and memory for one virtual hour, and how they grow with services and nodes."""

from __future__ import annotations

import multiprocessing
import resource
import time
from multiprocessing.connection import Connection
from typing import NamedTuple

from agentstack.sim.scenario import Scenario
from agentstack.sim.simulator import LOOPS_PER_BATCH, MINIMUM_LOOP, REST, Simulator

from .report import Report

HOUR = 3600


class Cost(NamedTuple):
    """Of one virtual hour: processor seconds, and MiB above those of an empty process."""

    seconds: float
    memory: float


def scenario(nodes: int, services: int, mode: str, *, eventful: bool) -> Scenario:
    """Services spread over the nodes; eventful: every few minutes a node loses power or is emptied, and comes back."""
    names = [f"node{number}" for number in range(1, nodes + 1)]
    size = {"power": "off", "network": "off", "maxcpu": 64, "maxmem": 1 << 40}
    guests = {f"vm:{100 + number}": {"node": names[number % nodes], "state": "started"} for number in range(services)}
    batches = [[f"power {name} on" for name in names]]
    loop = max(MINIMUM_LOOP, 2 * nodes)
    pause = loop * LOOPS_PER_BATCH
    if not eventful:
        batches.append([f"delay {HOUR - REST - 2 * pause}"])
    while eventful and len(batches) * pause < HOUR - REST - 4 * pause:
        name = names[len(batches) % nodes]
        on_off = (f"crm {name} enable-node-maintenance", f"crm {name} disable-node-maintenance")
        if len(batches) % 2:
            on_off = (f"power {name} off", f"power {name} on")
        batches += [[on_off[0]], [], [on_off[1]]]
    return Scenario(batches, dict.fromkeys(names, size), services=guests, datacenter={"crs": {"ha": mode}})


def cost(nodes: int, services: int, mode: str = "basic", *, eventful: bool = False) -> Cost:
    """Run a scenario in a process of its own; what one virtual hour of it costs."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_measure, args=(sender, nodes, services, mode, eventful), daemon=True
    )
    process.start()
    seconds, kilobytes, virtual = receiver.recv()
    process.join()
    return Cost(seconds * HOUR / virtual, kilobytes / 1024)


def _measure(sender: Connection, nodes: int, services: int, mode: str, eventful: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    simulator = Simulator(scenario(nodes, services, mode, eventful=eventful))
    result = simulator.run()
    if result.error is not None:
        raise SystemExit(result.error)
    spent = time.process_time() - begun
    sender.send((spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before + 1, simulator.now))


def run(report: Report) -> None:
    """The two sizes that are promised, busy hours, and growth."""
    many, nodes = report.size(1000, 40), report.size(20, 4)
    small = cost(3, report.size(100, 10))
    large = cost(nodes, many)
    report.add(f"virtual hour, 3 nodes, {report.size(100, 10)} services", small.seconds, "s")
    report.add("its memory", small.memory, "MiB")
    report.add(f"virtual hour, {nodes} nodes, {many} services", large.seconds, "s", aim=5)
    report.add("its memory", large.memory, "MiB")
    for mode in ("basic", "static", "dynamic"):
        busy = cost(nodes, many, mode, eventful=True)
        name = f"the same with a node lost or emptied every {5 * 2 * nodes / 20:.0f} min, {mode}"
        report.add(name, busy.seconds, "s", aim=5)
    double = cost(nodes, 2 * many)
    report.add(
        "a virtual hour for one service (microseconds)",
        large.seconds / many * 1e6,
        "us",
        against=("with twice as many services", double.seconds / (2 * many) * 1e6),
        note="a ratio of 1: linear",
    )
    half = cost(nodes // 2, many)
    report.add(
        f"{nodes} nodes instead of {nodes // 2}",
        large.seconds,
        "s",
        against=(f"{nodes // 2} nodes", half.seconds),
    )
