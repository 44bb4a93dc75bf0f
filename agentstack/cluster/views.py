# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of messages within a membership: what the replicated files rest upon.

* members of a view receive the same messages in the same order before they get the next view (virtual synchrony);
* a message is ordered in the view in which it was sent, or refused;
* `stable` tells the sender that every member of the group has acknowledged (received and stored) it;
* while members do not hear each other but the token time has not yet passed, nothing is ordered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agentstack.cluster import wire
from agentstack.cluster.topology import Station
from agentstack.cluster.wire import Header

SHORTEST = 0.0002
"""Real seconds below which a packet's way is not waited for: the loop's clock is not finer."""


@dataclass
class Sent:
    """A message waiting for its acknowledgements."""

    sender: Port
    host: str
    ident: int
    seq: int


@dataclass
class View:
    """One membership: its ring, its members, and the order of messages among those that joined the group."""

    ring: tuple[int, int]
    members: frozenset[str]
    conf: int
    group: frozenset[str] = frozenset()
    seq: int = 0
    acked: dict[str, int] = field(default_factory=dict)
    unstable: deque[Sent] = field(default_factory=deque)
    waiting: deque[tuple[Port, Header, bytes]] = field(default_factory=deque)
    """Sent while members did not hear each other; ordered if they do again before the token time has passed."""


@dataclass
class Port:
    """A connection to the switch; `station` once a corosync has registered on it."""

    writer: asyncio.StreamWriter
    pid: int
    station: Station | None = None
    ring_seq: int = 0
    joined: bool = False
    alive: bool = True
    """The process answers: not gone, not stopped."""
    view: View | None = None
    links: dict[int, dict[int, int]] | None = None
    """The link states that it was told last."""
    on_the_way: deque[tuple[float, bytes]] = field(default_factory=deque)
    """Frames and when they arrive (time of the loop), in order."""

    def send(self, header: Header, payload: bytes = b"", delay: float = 0.0) -> None:
        """Send a frame that arrives `delay` real seconds from now, never before one that was sent earlier."""
        self.forward(wire.encode(header, payload), delay)

    def forward(self, frame: bytes, delay: float = 0.0) -> None:
        """As `send`, for a frame that is encoded already."""
        if not self.on_the_way and delay < SHORTEST:
            self._write(frame)
            return
        loop = asyncio.get_running_loop()
        due = max(loop.time() + delay, self.on_the_way[-1][0] if self.on_the_way else 0.0)
        self.on_the_way.append((due, frame))
        if len(self.on_the_way) == 1:
            loop.call_at(due, self._arrive)

    def _arrive(self) -> None:
        loop = asyncio.get_running_loop()
        while self.on_the_way and self.on_the_way[0][0] <= loop.time() + SHORTEST:
            self._write(self.on_the_way.popleft()[1])
        if self.on_the_way:
            loop.call_at(self.on_the_way[0][0], self._arrive)

    def _write(self, frame: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(frame)


class Sequencer:
    """Orders the messages of all views. `torn`: whether members of a view do not hear each other at this moment;
    `delay`: real seconds that a message needs from one station to another."""

    def __init__(
        self, ports: dict[str, Port], torn: Callable[[View], bool], delay: Callable[[str, str], float]
    ) -> None:
        self.ports = ports
        self.torn = torn
        self.delay = delay

    def send(self, port: Port, header: Header, payload: bytes) -> None:
        view, station = port.view, port.station
        if view is None or station is None or view.conf != header["conf"] or station.host not in view.group:
            port.send({"t": "refused", "id": header["id"]})
        elif self.torn(view):
            view.waiting.append((port, header, payload))
        else:
            self._order(view, port, station, header, payload)

    def _order(self, view: View, port: Port, station: Station, header: Header, payload: bytes) -> None:
        view.seq += 1
        view.unstable.append(Sent(port, station.host, header["id"], view.seq))
        only = header.get("to")
        frame = {"t": "deliver", "conf": view.conf, "seq": view.seq, "from": station.node_id, "body": header["body"]}
        # encoded once for all: there may be many members
        full = wire.encode(frame, payload)
        empty = wire.encode(frame) if only is not None else full
        for host in view.group:
            member = self.ports.get(host)
            if member is None or member.station is None:
                continue
            wanted = only is None or member.station.node_id in only
            if member is port:
                member.send(frame | {"id": header["id"]}, payload if wanted else b"")
            else:
                member.forward(full if wanted else empty, self.delay(station.host, host))

    def acknowledge(self, port: Port, conf: int, seq: int) -> None:
        view = port.view
        if view is None or view.conf != conf or port.station is None or port.station.host not in view.acked:
            return
        view.acked[port.station.host] = seq
        everywhere = min(view.acked.values())
        while view.unstable and view.unstable[0].seq <= everywhere:
            sent = view.unstable.popleft()
            back = 0.0 if sent.sender is port else self.delay(port.station.host, sent.host)
            sent.sender.send({"t": "stable", "id": sent.ident}, delay=back)

    def flush(self, view: View) -> None:
        while view.waiting and not self.torn(view):
            port, header, payload = view.waiting.popleft()
            if port.view is view and port.station is not None:
                self._order(view, port, port.station, header, payload)

    def refuse_waiting(self, view: View, port: Port) -> None:
        for sender, header, _ in view.waiting:
            if sender is port:
                port.send({"t": "refused", "id": header["id"]})
