# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pings between hosts: what becomes of a packet and its answer on the stack's networks.

The times are those of the networks as the stack file and faults say, plus what a switch and two network cards take: how
busy this machine is does not show.
"""

from __future__ import annotations

import random

from agentstack.cluster.cabling import Cabling, Wire
from agentstack.cluster.views import Port
from agentstack.cluster.wire import Header
from agentstack.processes import running

QUICKEST, SPREAD = 0.00008, 0.00006
"""Seconds that a small packet and its answer take over an idle 10 Gbit/s switch."""


class Echo:
    """Who is plugged in, and what a ping of theirs meets."""

    def __init__(self, cabling: Cabling) -> None:
        self.cabling = cabling
        self._hosts: dict[str, Port] = {}

    def plug(self, port: Port, host: str) -> None:
        """A host has come up; it answers as long as its process runs."""
        self._hosts[host] = port

    def unplug(self, port: Port) -> None:
        """A connection has ended."""
        self._hosts = {host: other for host, other in self._hosts.items() if other is not port}

    def answer(self, header: Header) -> Header:
        """{"t": "ping", "id", "from", "to": addresses, "size": bytes of the IP packet} -> {"t": "pong", "id",
        "seconds": there and back, or null, "reached": whether anybody is there at all}."""
        source, target, size = str(header["from"]), str(header["to"]), int(header["size"])
        answer = {"t": "pong", "id": header["id"], "seconds": None, "reached": False}
        plug = self.cabling.plugs.get(target)
        port = self._hosts.get(plug.host) if plug is not None else None
        if port is None or not running(port.pid):
            return answer
        there, back = self.cabling.path(source, target), self.cabling.path(target, source)
        if there is None or back is None:
            return answer
        answer["reached"] = True
        if size <= min(there.mtu, back.mtu) and not lost(there) and not lost(back):
            own = QUICKEST + SPREAD * random.random()
            answer["seconds"] = own + sum(wire.latency + wire.jitter * random.random() for wire in (there, back))
        return answer


def lost(wire: Wire) -> bool:
    """Whether the next packet on the wire is one that gets lost."""
    return random.random() < wire.loss
