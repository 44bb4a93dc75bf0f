# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's place in the cabling: `host.network`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import itertools
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentstack.cluster import fabric, wire
from agentstack.cluster.cabling import cabling_of
from agentstack.control import unix_address
from agentstack.faults.host import WIRES
from agentstack.network import packet_filter

if TYPE_CHECKING:
    from agentstack.faults.kinds import Fault
    from agentstack.host import Host

log = logging.getLogger(__name__)

NO_NEIGHBOUR = 3.0
"""Seconds until the kernel gives up looking for a neighbour that does not answer: three ARP requests."""
RETRY = 0.1
"""Real seconds between attempts to reach a switch that is not there."""
LONGEST_ANSWER = 10.0
"""Real seconds in which the switch says what became of a ping."""


@dataclass(frozen=True)
class Pong:
    """What became of a ping. `seconds`: there and back, None if nothing came back; `reached`: somebody is there."""

    seconds: float | None
    reached: bool


class Cards:
    """A host's network cards: connections over them are as dead as the cables are."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.cabling = cabling_of(host.stack)
        self._filters: dict[str, bytes] = {}
        """Own address -> what is dropped there."""
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._pings: dict[int, asyncio.Future[Pong]] = {}
        self._idents = itertools.count(1)

    async def start(self) -> None:
        """Plug into the switch, and follow what is wrong with it."""
        self._task = asyncio.get_running_loop().create_task(self._stay_plugged())
        self.host.faults.subscribe(*WIRES, apply=self._rewire)

    async def stop(self) -> None:
        """Unplug."""
        if self._task is not None:
            self._task.cancel()
        if self._writer is not None:
            self._writer.close()

    def source(self, target: str) -> str:
        """The own address from which an address is reached: the one on its network, else the management address."""
        try:
            address = ipaddress.ip_address(target)
        except ValueError:
            # a name: the way there is not ours to know
            return self.host.address
        for own in self.host.addresses.values():
            if address in ipaddress.ip_network(f"{own}/24", strict=False):
                return own
        return self.host.address

    def reaches(self, target: str) -> bool:
        """Whether packets to an address of the stack arrive there, and the answers here."""
        source = self.source(target)
        if target in self.host.addresses.values() or target not in self.cabling.plugs:
            return True
        there = self.cabling.path(source, target)
        return there is not None and there.loss < 1

    async def look_for(self, target: str) -> None:
        """Return when a connection to an address may be tried; OSError `No route to host` if its cable is cut."""
        if not self.reaches(target):
            await self.host.clock.sleep(NO_NEIGHBOUR)
        if not self.reaches(target):
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    async def ping(self, source: str, target: str, size: int) -> Pong:
        """Send an IP packet of `size` bytes that is not to be fragmented, and wait for the answer."""
        if self._writer is None:
            return Pong(None, reached=False)
        ident = next(self._idents)
        answer: asyncio.Future[Pong] = asyncio.get_running_loop().create_future()
        self._pings[ident] = answer
        self._writer.write(wire.encode({"t": "ping", "id": ident, "from": source, "to": target, "size": size}))
        try:
            return await asyncio.wait_for(answer, LONGEST_ANSWER)
        except TimeoutError:
            return Pong(None, reached=False)
        finally:
            self._pings.pop(ident, None)

    def guard(self) -> None:
        """Apply what is cut to every connection, and to all servers, that this process has at this moment."""
        if self._filters:
            self._attach({address: self._filters.get(address) for address in self.host.addresses.values()})

    def _rewire(self, faults: list[Fault]) -> None:
        self.cabling.break_by(faults)
        before, self._filters = self._filters, {}
        for address in self.host.addresses.values():
            if (found := self._filter_of(address)) is not None:
                self._filters[address] = found
        self._attach({address: self._filters.get(address) for address in {*before, *self._filters}})

    def _filter_of(self, address: str) -> bytes | None:
        plugs, own = self.cabling.plugs, list(self.host.addresses.values())
        if plugs[address] in self.cabling.down:
            return packet_filter.only_from(own)
        network = plugs[address].network
        others = [other for other, plug in plugs.items() if plug.network == network and other not in own]
        dead = [other for other in others if (way := self.cabling.path(other, address)) is None or way.loss >= 1]
        return packet_filter.not_from(dead) if dead else None

    def _attach(self, programs: dict[str, bytes | None]) -> None:
        if not programs:
            return
        for connection in packet_filter.tcp_sockets():
            own = str(connection.getsockname()[0])
            if own in programs:
                packet_filter.attach(connection, programs[own])

    async def _stay_plugged(self) -> None:
        path = self.host.state.parent.parent / fabric.SOCKET
        while True:
            try:
                with unix_address(path) as address:
                    reader, self._writer = await asyncio.open_unix_connection(address)
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            self._writer.write(wire.encode({"t": "plug", "host": self.host.name}))
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    header, _ = await wire.receive(reader)
                    answer = self._pings.get(int(header["id"]))
                    if answer is not None and not answer.done():
                        answer.set_result(Pong(header["seconds"], bool(header["reached"])))
            self._writer = None
