# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How packets fare between the nodes, on every link and network, measured with ping. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from threading import BoundedSemaphore
from typing import Any

from ._errors import QuorateError
from ._hosts import Hosts
from ._machine import Machine, addresses_of
from ._parallel import WIDTH, side_by_side
from ._shell import Shell

HEADERS = 28
"""Bytes of the IP and ICMP headers around a packet's data."""
INTERVAL, PATIENCE = "0.05", "1"
LARGE = 3
SPREAD = 3
"""Measurements at once, for each host that they are made from."""
SESSIONS = WIDTH
"""Those from one host: sshd allows ten sessions of a connection."""
_SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")
_TIMES = re.compile(r"= ([\d.]+)/([\d.]+)/([\d.]+)/([\d.]+) ms")


@dataclass(frozen=True)
class Path:
    """Two nodes on one link or network, with their addresses there; ``mtu``: the smaller of both ends'."""

    name: str
    source: str
    target: str
    source_address: str
    target_address: str
    link: bool = True
    mtu: int | None = None

    def __str__(self) -> str:
        return f"{self.source} to {self.target} ({self.name})"


@dataclass(frozen=True)
class Measured:
    """What came of it: milliseconds to and fro and their deviation, loss as a fraction, and whether packets of full
    size pass (None: not tried)."""

    path: Path
    average: float | None = None
    deviation: float = 0.0
    loss: float = 0.0
    full_size: bool | None = None


def paths_between(
    nodes: Sequence[Mapping[str, Any]], networks: Sequence[Mapping[str, Any]], machines: Mapping[str, Machine]
) -> list[Path]:
    """Every pair of nodes on every link and in every named network; near neighbours first, so that work spreads."""
    pairs = sorted(combinations(range(len(nodes)), 2), key=lambda pair: pair[1] - pair[0])
    found: list[Path] = []
    for one, other in pairs:
        source, target = nodes[one], nodes[other]
        if source["name"] not in machines or target["name"] not in machines:
            continue
        here, there = machines[source["name"]], machines[target["name"]]
        ends: list[tuple[str, str | None, str | None, bool]] = []
        there_on = {link["number"]: str(link["address"]) for link in target.get("links") or []}
        for link in source.get("links") or []:
            ends.append((f"link {link['number']}", str(link["address"]), there_on.get(link["number"]), True))
        for network in networks:
            name = f"{network['name']} network"
            ends.append((name, address_in(here, network["cidr"]), address_in(there, network["cidr"]), False))
        measured: set[tuple[str, str]] = set()
        for name, own, peer, is_link in ends:
            # one network may serve for several purposes
            if own is None or peer is None or (own, peer) in measured:
                continue
            measured.add((own, peer))
            mtus = [mtu for mtu in (_mtu(here, own), _mtu(there, peer)) if mtu is not None]
            found.append(Path(name, source["name"], target["name"], own, peer, is_link, min(mtus, default=None)))
    return found


def address_in(machine: Machine, cidr: str) -> str | None:
    """The machine's address in a network."""
    network = ipaddress.ip_network(cidr, strict=False)
    for interface in machine.interfaces:
        for address in addresses_of(interface):
            if ipaddress.ip_address(address) in network:
                return address
    return None


def _mtu(machine: Machine, address: str) -> int | None:
    interface = machine.interface_of(address)
    return int(interface["mtu"]) if interface and interface.get("mtu") else None


def measure(hosts: Hosts, paths: Sequence[Path], count: int) -> list[Measured]:
    """Measure all paths, several at once. One whose source cannot be asked is left out."""

    turns = {path.source: BoundedSemaphore(SESSIONS) for path in paths}

    def one(path: Path) -> Measured:
        with turns[path.source]:
            return hosts.do(path.source, lambda shell: measure_path(shell, path, count))

    # what takes the time is the wait between packets
    width = max(WIDTH, SPREAD * len(turns))
    return [result for result in side_by_side(one, paths, width=width) if not isinstance(result, QuorateError)]


def measure_path(shell: Shell, path: Path, count: int) -> Measured:
    """Some small packets for the times, then some of full size that must not be fragmented."""
    base = ["ping", "-n", "-q", "-i", INTERVAL, "-W", PATIENCE, "-I", path.source_address]
    average, deviation, loss = parse_ping(shell.attempt([*base, "-c", str(count), path.target_address]).text)
    full_size = None
    if average is not None and path.mtu is not None:
        size = ["-M", "do", "-s", str(path.mtu - HEADERS)]
        full_size = parse_ping(shell.attempt([*base, "-c", str(LARGE), *size, path.target_address]).text)[0] is not None
    return Measured(path, average, deviation, loss, full_size)


def parse_ping(text: str) -> tuple[float | None, float, float]:
    """Average and deviation in milliseconds, and loss; average None if nothing came back."""
    summary, times = _SUMMARY.search(text), _TIMES.search(text)
    if summary is None or times is None or not int(summary[1]):
        return None, 0.0, 1.0
    return float(times[2]), float(times[4]), 1 - int(summary[2]) / int(summary[1])
