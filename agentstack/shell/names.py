# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name resolution as a host does it: its /etc/hosts, forward and reverse."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from agentstack.shell.registry import CommandIO, command
from agentstack.stack import Kind

if TYPE_CHECKING:
    from agentstack.host import Host

ALL: tuple[Kind, ...] = ("pve", "pbs", "witness")
NOT_FOUND = 2
"""getent(1): one of the keys is not in the database."""


def entries(host: Host) -> list[tuple[str, list[str]]]:
    """The lines of the host's /etc/hosts: address, names."""
    found = []
    path = host.root / "etc/hosts"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        words = line.partition("#")[0].split()
        if len(words) > 1:
            found.append((words[0], words[1:]))
    return found


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def lookup(host: Host, name: str) -> list[tuple[str, list[str]]]:
    """The lines for a name or an address."""
    if is_address(name):
        return [(address, names) for address, names in entries(host) if address == name]
    return [(address, names) for address, names in entries(host) if name in names]


def address_of(host: Host, name: str) -> str | None:
    """The address of a name (an address is its own); None if it cannot be resolved."""
    if is_address(name):
        return name
    return next((address for address, _ in lookup(host, name)), None)


@command("getent", kinds=ALL)
async def getent(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["hosts"]:
            found = entries(host)
        case ["hosts" | "ahosts" | "ahostsv4", name]:
            found = lookup(host, name)
        case [database, *_] if database not in ("hosts", "ahosts", "ahostsv4"):
            io.err(f"Unknown database: {database}\n")
            return 1
        case _:
            io.err("getent: wrong number of arguments\n")
            return 1
    for address, names in found:
        if argv[0] == "hosts":
            io.out(f"{address:<15} {' '.join(names)}\n")
        else:
            rest = "".join(f"{address:<15} {kind}\n" for kind in ("DGRAM", "RAW"))
            io.out(f"{address:<15} {'STREAM':<6} {names[0]}\n{rest}")
    return 0 if found else NOT_FOUND
