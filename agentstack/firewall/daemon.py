# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pve-firewall: puts the rules for the host itself in force, so that who is not let in gets no connection (facts §19).

What guests' rules say has nobody to be said to: guests are not on any network.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from typing import TYPE_CHECKING

from agentstack._shared import packet_rules
from agentstack.firewall.config import FirewallConfig
from agentstack.firewall.scopes import datacenter, read
from agentstack.network.packet_filter import Verdict
from agentstack.stack import API_PORTS, SSH_PORT

if TYPE_CHECKING:
    from agentstack.host import Host

PERIOD = 10.0
"""Seconds between two looks at the configuration."""

PORTS = {API_PORTS["pve"]: 8006, SSH_PORT: 22}
"""Where the host's servers listen, and the port by which rules mean them."""

Walls = dict[int, list[Verdict]]


class Firewall:
    """The daemon of one host: `host.firewall`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._task: asyncio.Task[None] | None = None
        self._applied: Walls = {}

    async def start(self) -> None:
        """Put the rules in force, and follow their changes."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """No rule is in force any more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._task = None
        self._apply({})

    @property
    def running(self) -> bool:
        """Whether the daemon is there."""
        return self._task is not None

    @property
    def pending(self) -> bool:
        """Whether what is configured is not in force yet."""
        return self.running and self._wanted() != self._applied

    @property
    def enabled(self) -> bool:
        """Whether the configuration has it switched on."""
        return _switch(datacenter(self.host), "enable", default=0)

    async def _follow(self) -> None:
        while True:
            self._apply(self._wanted())
            await self.host.clock.sleep(PERIOD)

    def _apply(self, walls: Walls) -> None:
        self._applied = walls
        self.host.network.wall(walls)

    def _wanted(self) -> Walls:
        host, cluster = self.host, datacenter(self.host)
        own, _ = read(host, f"nodes/{host.name}/host.fw")
        if not _switch(cluster, "enable", default=0) or not _switch(own, "enable", default=1):
            return {}
        names = packet_rules.Names(
            {name.lower(): alias.cidr for name, alias in cluster.aliases.items()},
            {name: [(each.cidr, each.nomatch) for each in found.members] for name, found in cluster.ipsets.items()},
            {name: group.rules for name, group in cluster.groups.items()},
        )
        accepts = cluster.options.get("policy_in", "DROP") == "ACCEPT"
        iface = next((name for name, up in host.network.interfaces.items() if up.get("address") == host.address), "")
        walls: Walls = {}
        ports = PORTS | ({host.stack.authority.http_port: 80} if host.stack.authority else {})
        for listens, port in ports.items():
            rules = [*own.rules, *cluster.rules]
            found = packet_rules.verdicts(rules, names, address=host.address, port=port, iface=iface)
            found += packet_rules.management(names, [f"{host.address}/24"], port)
            found.append((ipaddress.IPv4Network("0.0.0.0/0"), accepts))
            walls[listens] = [
                (network, accept) for network, accept in found if isinstance(network, ipaddress.IPv4Network)
            ]
        return walls


def _switch(config: FirewallConfig, name: str, *, default: int) -> bool:
    value = config.options.get(name, str(default))
    return value.isdecimal() and int(value) > 0
