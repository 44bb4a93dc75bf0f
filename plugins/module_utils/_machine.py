# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is as a machine, asked over SSH: clock, load, memory, cards, watchdog, names.

Private to this collection.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._shell import Shell

CLOCK_SAMPLES = 3
DEFAULT_WATCHDOG = "softdog"
WATCHDOG = "/dev/watchdog"
_MODULE = re.compile(r"^\s*WATCHDOG_MODULE\s*=\s*\"?([\w-]+)", re.MULTILINE)
_SPEED = re.compile(r"Speed:\s*(\d+)\s*Mb/s")


@dataclass
class Machine:
    """Facts of one host. Sizes in bytes, times in seconds, speeds in Mbit/s.

    ``offset``: how far its clock is ahead of this machine's, with the ``uncertainty`` that the network adds;
    ``chrony``: how far it is ahead of its time servers, None if it does not know. ``forward`` and ``reverse``: what it
    resolves names and addresses to.
    """

    offset: float = 0.0
    uncertainty: float = float("inf")
    chrony: float | None = None
    synchronised: bool = True
    load: float = 0.0
    processors: int = 1
    memory: int = 0
    available: int = 0
    swap: int = 0
    swap_used: int = 0
    interfaces: list[dict[str, Any]] = field(default_factory=list)
    speeds: dict[str, int] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    watchdog: str = DEFAULT_WATCHDOG
    watchdog_device: bool = True
    timezone: str = ""
    forward: dict[str, list[str]] = field(default_factory=dict)
    reverse: dict[str, list[str]] = field(default_factory=dict)

    def interface_of(self, address: str) -> Mapping[str, Any] | None:
        """The interface that has an address."""
        return next((each for each in self.interfaces if address in addresses_of(each)), None)

    def cards_of(self, interface: str) -> set[str]:
        """The network cards under an interface: under a VLAN, a bridge, a bond."""
        by_name = {str(each["ifname"]): each for each in self.interfaces}
        own = by_name.get(interface, {})
        below = {str(own["link"])} if own.get("link") else set()
        below |= {name for name, each in by_name.items() if each.get("master") == interface}
        below &= set(by_name)
        return set().union(*(self.cards_of(name) for name in below)) if below else {interface}


def addresses_of(interface: Mapping[str, Any]) -> list[str]:
    """The addresses of an interface as ``ip -j addr`` shows it."""
    return [str(info["local"]) for info in interface.get("addr_info") or [] if info.get("local")]


def read_machine(shell: Shell, names: Iterable[str], addresses: Iterable[str]) -> Machine:
    """Ask a host. Raises :class:`ShellError` if it cannot be asked; what it does not know is left at its default."""
    machine = Machine()
    machine.offset, machine.uncertainty = _clock(shell)
    machine.chrony, machine.synchronised = parse_chrony(shell.attempt(["chronyc", "-c", "tracking"]).text)
    machine.processors = int(shell.run(["nproc"]))
    # one command: each costs the control node as much as all that it reads
    kernel = shell.run(["cat", "/proc/loadavg", "/proc/meminfo"])
    machine.load = float(kernel.split()[1])
    sizes = parse_meminfo(kernel)
    machine.memory, machine.available = sizes.get("MemTotal", 0), sizes.get("MemAvailable", 0)
    machine.swap = sizes.get("SwapTotal", 0)
    machine.swap_used = machine.swap - sizes.get("SwapFree", 0)
    machine.interfaces = json.loads(shell.run(["ip", "-j", "addr"]) or "[]")
    for name in sorted(
        {card for each in machine.interfaces for card in machine.cards_of(str(each["ifname"]))} - {"lo"}
    ):
        if (speed := parse_speed(shell.attempt(["ethtool", name]).text)) is not None:
            machine.speeds[name] = speed
    machine.modules = {line.split()[0] for line in shell.run(["lsmod"]).splitlines()[1:] if line.strip()}
    machine.watchdog = parse_watchdog(shell.attempt(["cat", "/etc/default/pve-ha-manager"]).text)
    machine.watchdog_device = not shell.attempt(["test", "-e", WATCHDOG]).status
    machine.timezone = shell.attempt(["timedatectl", "show", "--property=Timezone", "--value"]).text.strip()
    for name in names:
        machine.forward[name] = [entry[0] for entry in parse_hosts(shell.attempt(["getent", "ahostsv4", name]).text)]
    for address in addresses:
        found = parse_hosts(shell.attempt(["getent", "hosts", address]).text)
        machine.reverse[address] = [name for entry in found for name in entry[1:]]
    return machine


def _clock(shell: Shell) -> tuple[float, float]:
    """The best of some samples: half of the shortest time to and fro is what cannot be known."""
    best = (0.0, float("inf"))
    for _sample in range(CLOCK_SAMPLES):
        before = time.time()
        shown = float(shell.run(["date", "+%s.%N"]))
        after = time.time()
        if (after - before) / 2 < best[1]:
            best = (shown - (before + after) / 2, (after - before) / 2)
    return best


def parse_meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo in bytes."""
    found = (re.fullmatch(r"(\w+):\s+(\d+) kB", line.strip()) for line in text.splitlines())
    return {match[1]: int(match[2]) * 1024 for match in found if match}


def parse_chrony(text: str) -> tuple[float | None, bool]:
    """``chronyc -c tracking``: seconds ahead of the time servers (chronyc shows what would be added), and whether it
    follows any."""
    words = text.strip().split(",")
    try:
        return -float(words[4]), words[13] != "Not synchronised"
    except (IndexError, ValueError):
        return None, True


def parse_speed(text: str) -> int | None:
    """The speed that ethtool shows; None if it is unknown."""
    match = _SPEED.search(text)
    return int(match[1]) if match else None


def parse_watchdog(text: str) -> str:
    """The watchdog module in /etc/default/pve-ha-manager."""
    match = _MODULE.search(text)
    return match[1] if match else DEFAULT_WATCHDOG


def parse_hosts(text: str) -> list[list[str]]:
    """The words of each line that getent prints, each address once."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return list({line[0]: line for line in reversed(lines)}.values())
