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
from agentstack.interfaces import FILE, Interface, parse_interfaces
from agentstack.network import packet_filter
from agentstack.network.stanzas import addresses_up, cards, carriers

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
        self._faults: list[Fault] = []
        self._cut: set[str] = set()
        """Own addresses at which nothing arrives."""
        self._dead: dict[str, list[packet_filter.Verdict]] = {}
        """Own address -> what does not arrive there."""
        self._walls: dict[int, list[packet_filter.Verdict]] = {}
        """Port -> whom the firewall lets connect; what is connected stays so."""
        self._filtered: set[str] = set()
        self.interfaces: dict[str, Interface] = {}
        """Those in force, by name, as the file had them when it was last loaded."""
        self.down: set[str] = set()
        """Those that `ip link set … down` has taken down; loading the file brings them up again."""
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._pings: dict[int, asyncio.Future[Pong]] = {}
        self._idents = itertools.count(1)

    async def start(self) -> None:
        """Bring the interfaces up, plug into the switch, and follow what is wrong with it."""
        self.configure(parse_interfaces((self.host.root / FILE).read_text(encoding="utf-8")))
        self._task = asyncio.get_running_loop().create_task(self._stay_plugged())
        self.host.faults.subscribe(*WIRES, apply=self._rewire)

    async def stop(self) -> None:
        """Unplug."""
        if self._task is not None:
            self._task.cancel()
        if self._writer is not None:
            self._writer.close()

    def configure(self, interfaces: dict[str, Interface]) -> None:
        """Put other interfaces in force: addresses that none of them brings up are gone."""
        self.interfaces = interfaces
        self.down.clear()
        self._plug()

    def set_link(self, name: str, *, up: bool) -> None:
        """What `ip link set` does, until the next boot or reload: packets neither leave nor arrive there."""
        (self.down.discard if up else self.down.add)(name)
        self._plug()

    def _plug(self) -> None:
        self.cabling.configure(self.host.name, self._up())
        if self._writer is not None:
            self._tell(self._writer)
        self._rewire(self._faults)

    def has(self, address: str) -> bool:
        """Whether one of the host's addresses is up."""
        return self.cabling.plugs[address] not in self.cabling.unset

    def wall(self, walls: dict[int, list[packet_filter.Verdict]]) -> None:
        """What the firewall says of new connections to the ports of this host's servers."""
        if walls != self._walls:
            self._walls = walls
            self._filtered.update(self.host.addresses.values())
            self.guard()

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
        if not self._filtered:
            return
        for connection in packet_filter.tcp_sockets():
            try:
                own = connection.getsockname()
                if str(own[0]) in self._filtered:
                    packet_filter.attach(connection, self._program(*own, new=packet_filter.listens(connection)))
            except OSError as error:
                # another thread has closed it since it was listed
                if error.errno not in (errno.EBADF, errno.ENOTSOCK):
                    raise
        self._filtered = {*self._cut, *self._dead, *(self.host.addresses.values() if self._walls else ())}

    def _program(self, address: str, port: int, *, new: bool) -> bytes | None:
        """What is dropped at a socket; None: nothing."""
        own = list(self.host.addresses.values())
        if address in self._cut:
            return packet_filter.only_from(own)
        verdicts = self._dead.get(address, [])
        if not new or port not in self._walls:
            return packet_filter.by_source(verdicts, other=True) if verdicts else None
        local = [(ipaddress.IPv4Network(each), True) for each in own]
        return packet_filter.by_source([*verdicts, *local, *self._walls[port]], other=False)

    def _rewire(self, faults: list[Fault]) -> None:
        self._faults = faults
        self.cabling.break_by(faults)
        self._cut, self._dead = set(), {}
        plugs, own = self.cabling.plugs, list(self.host.addresses.values())
        for address in own:
            if plugs[address] in self.cabling.down or plugs[address] in self.cabling.unset:
                self._cut.add(address)
                continue
            others = [other for other, plug in plugs.items() if plug.network == plugs[address].network]
            ways = {other: self.cabling.path(other, address) for other in others if other not in own}
            dead = [other for other, way in ways.items() if way is None or way.loss >= 1]
            if dead:
                self._dead[address] = packet_filter.not_from(dead)
        self._filtered |= {*self._cut, *self._dead}
        self.guard()

    def _up(self) -> dict[str, int]:
        found = addresses_up(self.interfaces, self.host.spec)
        return {address: mtu for address, (name, mtu) in found.items() if self.is_up(name)}

    def is_up(self, name: str) -> bool:
        """Whether neither an interface nor all that it goes out over were taken down."""
        below = {card for card, _ in carriers(self.interfaces, name, cards(self.host.spec))}
        return name not in self.down and not (below and below <= self.down)

    def _tell(self, writer: asyncio.StreamWriter) -> None:
        writer.write(wire.encode({"t": "interfaces", "host": self.host.name, "up": self._up()}))

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
            self._tell(self._writer)
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    header, _ = await wire.receive(reader)
                    answer = self._pings.get(int(header["id"]))
                    if answer is not None and not answer.done():
                        answer.set_result(Pong(header["seconds"], bool(header["reached"])))
            self._writer = None
