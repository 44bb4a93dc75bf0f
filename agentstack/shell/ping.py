# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ping(8): what the stack's networks do to packets between two hosts."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from agentstack.errors import AgentError
from agentstack.shell.names import ALL, address_of
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

HEADERS = 28
"""Bytes of the IP and ICMP headers around the data."""
USAGE = 2


class Refused(AgentError):
    """What ping says before it sends anything."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(f"ping: {message}")


def _parser() -> _Parser:
    parser = _Parser(prog="ping", add_help=False)
    parser.add_argument("-c", dest="count", type=int)
    parser.add_argument("-i", dest="interval", type=float, default=1.0)
    parser.add_argument("-s", dest="size", type=int, default=56)
    parser.add_argument("-W", dest="patience", type=float, default=10.0)
    parser.add_argument("-M", dest="fragment", choices=("do", "dont", "want", "probe"), default="want")
    parser.add_argument("-I", dest="source")
    parser.add_argument("-q", dest="quiet", action="store_true")
    for ignored in ("-n", "-4", "-D"):
        parser.add_argument(ignored, action="store_true")
    parser.add_argument("target")
    return parser


@command("ping", kinds=ALL)
async def ping(host: Host, argv: list[str], io: CommandIO) -> int:
    try:
        given = _parser().parse_args(argv)
        target = address_of(host, given.target)
        if target is None:
            raise Refused(f"ping: {given.target}: Name or service not known")
        source, mtu = _way_out(host, given.source, target)
    except Refused as error:
        io.err(f"{error.message}\n")
        return USAGE
    size = given.size + HEADERS
    io.out(f"PING {given.target} ({target}) {given.size}({size}) bytes of data.\n")
    times: list[float] = []
    errors = sent = 0
    spent = 0.0
    numbers: Iterator[int] = itertools.count(1) if given.count is None else iter(range(1, given.count + 1))
    for number in numbers:
        if number > 1:
            await host.clock.sleep(given.interval)
            spent += given.interval
        sent += 1
        if size > mtu and given.fragment == "do":
            io.err(f"ping: local error: message too long, mtu={mtu}\n")
            errors += 1
            continue
        # without -M do a large packet goes in pieces, the largest of which is as large as the card lets through
        pong = await host.network.ping(source, target, min(size, mtu))
        if pong.seconds is not None:
            times.append(pong.seconds * 1000)
            if not given.quiet:
                shown = f"64 bytes from {target}" if given.size == 56 else f"{given.size + 8} bytes from {target}"
                io.out(f"{shown}: icmp_seq={number} ttl=64 time={_digits(times[-1])} ms\n")
        elif not pong.reached:
            errors += 1
            if not given.quiet:
                io.out(f"From {source} icmp_seq={number} Destination Host Unreachable\n")
        elif number == given.count:
            await host.clock.sleep(given.patience)
            spent += given.patience
    io.out(_statistics(given.target, sent, times, errors, spent))
    return 0 if times else 1


def _way_out(host: Host, wanted: str | None, target: str) -> tuple[str, int]:
    """The source address, and the MTU of the card that has it."""
    cards = {address: host.spec.nics[network] for network, address in host.addresses.items()}
    source = host.network.source(target)
    if wanted is not None:
        found = (
            own
            for own, nic in cards.items()
            if wanted in (own, nic.interface, *(["vmbr0"] if own == host.address else []))
        )
        source = next(found, "")
        if not source:
            bind = f"bind: Cannot assign requested address: {wanted}"
            raise Refused(f"ping: {bind}" if wanted[:1].isdigit() else f"ping: unknown iface: {wanted}")
    return source, cards[source].mtu if target not in cards else 65536


def _digits(milliseconds: float) -> str:
    """As ping rounds: three digits that say something."""
    if milliseconds >= 100:
        return f"{milliseconds:.0f}"
    return (
        f"{milliseconds:.1f}"
        if milliseconds >= 10
        else f"{milliseconds:.2f}"
        if milliseconds >= 1
        else f"{milliseconds:.3f}"
    )


def _statistics(name: str, sent: int, times: list[float], errors: int, spent: float) -> str:
    lost = 100 * (sent - len(times)) / sent if sent else 0
    failed = f", +{errors} errors" if errors else ""
    text = (
        f"\n--- {name} ping statistics ---\n"
        f"{sent} packets transmitted, {len(times)} received{failed}, {lost:.6g}% packet loss, "
        f"time {spent * 1000:.0f}ms\n"
    )
    if times:
        mean = sum(times) / len(times)
        deviation = math.sqrt(max(0.0, sum(value * value for value in times) / len(times) - mean * mean))
        text += f"rtt min/avg/max/mdev = {min(times):.3f}/{mean:.3f}/{max(times):.3f}/{deviation:.3f} ms\n"
    return text
