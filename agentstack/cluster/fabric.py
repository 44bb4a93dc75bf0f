# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch: it carries the links of all hosts, and does for their corosyncs what totem does on a real network.

Every host's corosync is one connection to `STATE/fabric.sock`. From the cabling (what is cut) and the stations'
own configurations follow the memberships; each gets a ring id and one order of messages. Guarantees that the
replicated files rest upon:

* members of a view receive the same messages in the same order before they get the next view (virtual synchrony);
* a message is ordered in the view in which it was sent, or refused;
* `stable` tells the sender that every member of the view has acknowledged (received and stored) it;
* while members do not hear each other but the token time has not yet passed, nothing is ordered.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.clock import Clock
from agentstack.cluster import wire
from agentstack.cluster.topology import Cabling, Plug, Station, live_links, memberships
from agentstack.cluster.wire import Header
from agentstack.control import unix_address

if TYPE_CHECKING:
    from agentstack.stack import Stack

SOCKET = "fabric.sock"

LINK_UP = 1.5
"""Seconds from the first packet until knet takes a link for connected (two answered pings at half the token)."""
GATHER = 0.3
"""Seconds that members take to agree once all hear each other."""
CONSENSUS = 1.2
"""Consensus timeout as a multiple of the token time (corosync.conf(5))."""
SETTLE = 0.005
"""Real seconds in which what changed together is taken together."""
RING_STEP = 4
"""Ring sequence numbers grow by four a membership (as seen in `Ring ID: 1.70`)."""


def lost_after(token: float) -> float:
    """Seconds from the last sign of life to the new membership (observed: +7 s with three nodes)."""
    return token * (1 + CONSENSUS)


@dataclass
class Sent:
    """A message waiting for its acknowledgements."""

    sender: Port
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

    def send(self, header: Header, payload: bytes = b"") -> None:
        if not self.writer.is_closing():
            self.writer.write(wire.encode(header, payload))


class Pairing:
    """Two stations: on which links they hear each other, and whether they count each other as reachable."""

    def __init__(self) -> None:
        self.physical: set[int] = set()
        self.shown: set[int] = set()
        self.linked = False
        self.timer: asyncio.TimerHandle | None = None
        self.link_timers: dict[int, asyncio.TimerHandle] = {}

    def cancel(self) -> None:
        for timer in [self.timer, *self.link_timers.values()]:
            if timer is not None:
                timer.cancel()
        self.timer = None
        self.link_timers.clear()


class Switch:
    """All ports, pairings and views of one stack."""

    def __init__(self, cabling: Cabling, clock: Clock) -> None:
        self.cabling = cabling
        self.clock = clock
        self.ports: dict[str, Port] = {}
        """By host name: ports with a station."""
        self.pairs: dict[frozenset[str], Pairing] = {}
        self._conf = 0
        self._gathering: asyncio.TimerHandle | None = None

    # --- connections ---------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first frame to its end."""
        port = Port(writer, peer_pid(writer))
        try:
            while True:
                header, payload = await wire.receive(reader)
                self.handle(port, header, payload)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            self._gone(port)
        except asyncio.CancelledError:
            # the loop ends: nobody waits for this connection
            pass
        finally:
            writer.close()

    def handle(self, port: Port, header: Header, payload: bytes) -> None:
        """One frame of a host."""
        match header["t"]:
            case "register":
                self._register(port, header)
            case "control":
                self._control(port, header)
            case kind if port.station is not None:
                self._of_station(port, port.station, str(kind), header, payload)

    def _of_station(self, port: Port, station: Station, kind: str, header: Header, payload: bytes) -> None:
        match kind:
            case "send":
                self._send(port, header, payload)
            case "ack":
                self._ack(port, int(header["conf"]), int(header["seq"]))
            case "update":
                port.station = station_from(header, station.host)
                self._survey()
                self._announce(port.view)
            case "join" | "part":
                port.joined = kind == "join"
                self._regroup(port.view)
            case "leave":
                self._unregister(port)
            case "expected":
                for member in self._members(port.view):
                    if member.station is not None:
                        member.station = replace(member.station, expected=int(header["votes"]))
                self._announce(port.view)
            case "reload":
                for member in self._members(port.view):
                    member.send({"t": "reload"})
            case "kill":
                for member in self._members(port.view):
                    if member.station is not None and member.station.node_id == header["node_id"]:
                        member.send({"t": "kill"})

    def _register(self, port: Port, header: Header) -> None:
        host = str(header["host"])
        old = self.ports.get(host)
        if old is not None:
            self._unregister(old)
        port.station = station_from(header, host)
        port.ring_seq = int(header["ring_seq"])
        self.ports[host] = port
        self._gather()
        self._survey()

    def _gone(self, port: Port) -> None:
        """The process ended or was killed: for the others it is just silent from now on."""
        port.alive = False
        if port.station is None or self.ports.get(port.station.host) is not port:
            return
        self._survey()
        if not any(pair.linked for names, pair in self.pairs.items() if port.station.host in names):
            self._unregister(port)

    def _unregister(self, port: Port) -> None:
        """A station leaves at once (orderly stop, or taken over by its successor after a restart)."""
        if port.station is None or self.ports.get(port.station.host) is not port:
            return
        host = port.station.host
        del self.ports[host]
        for names in [names for names in self.pairs if host in names]:
            self.pairs.pop(names).cancel()
        view, port.station, port.view, port.joined = port.view, None, None, False
        self._survey()
        if view is not None:
            self._gather(0)

    def watch_processes(self) -> None:
        """Take stopped processes for silent ones: a paused host answers nothing."""
        changed = False
        for port in list(self.ports.values()):
            alive = not port.writer.is_closing() and running(port.pid)
            changed = changed or alive != port.alive
            port.alive = alive
        if changed:
            self._survey()

    # --- who hears whom ------------------------------------------------------------------------------------------

    def _survey(self) -> None:
        """Bring all pairings in line with the cabling, start and stop their timers."""
        for one, other in combinations(sorted(self.ports), 2):
            self._survey_pair(one, other)
        for view in self._views():
            self._flush(view)
        for host in self.ports:
            self._show_links(host)

    def _survey_pair(self, one: str, other: str) -> None:
        here, there = self.ports[one], self.ports[other]
        assert here.station is not None
        assert there.station is not None
        pair = self.pairs.setdefault(frozenset((one, other)), Pairing())
        alive = here.alive and there.alive
        links = live_links(self.cabling, here.station, there.station) if alive else set()
        token = max(here.station.token, there.station.token)
        for link in links ^ pair.physical:
            if link in pair.link_timers:
                pair.link_timers.pop(link).cancel()
            if (link in links) != (link in pair.shown):
                delay = LINK_UP if link in links else token / 2
                pair.link_timers[link] = self._later(delay, partial(self._settle, pair, link))
        pair.physical = links
        wanted = bool(links)
        if wanted == pair.linked:
            if pair.timer is not None:
                pair.timer.cancel()
                pair.timer = None
        elif pair.timer is None:
            delay = LINK_UP if wanted else lost_after(token)
            pair.timer = self._later(delay, lambda: self._turn(pair, wanted))

    def _settle(self, pair: Pairing, link: int) -> None:
        """knet has noticed: the link's state as corosync-cfgtool shows it changes."""
        pair.link_timers.pop(link, None)
        pair.shown = pair.shown | {link} if link in pair.physical else pair.shown - {link}
        for host in self.ports:
            self._show_links(host)

    def _turn(self, pair: Pairing, linked: bool) -> None:
        pair.timer = None
        pair.linked = linked
        if linked:
            self._gather()
            return
        for port in list(self.ports.values()):
            if port.writer.is_closing():
                self._gone(port)
        # not at once: the pairings with a lost node run out one after another in the same moment
        self._gather(0)

    def _gather(self, seconds: float = GATHER) -> None:
        """Form memberships anew after `seconds`, or sooner if that is already due."""
        due = asyncio.get_running_loop().time() + self.clock.real(seconds) + SETTLE
        if self._gathering is not None and self._gathering.when() > due:
            self._gathering.cancel()
            self._gathering = None
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_at(due, self._form)

    def _form(self) -> None:
        """Compute the memberships and tell those whose membership changed."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        reachable: dict[str, set[str]] = {host: set() for host in self.ports}
        for names, pair in self.pairs.items():
            one, other = names
            if pair.linked and one in reachable and other in reachable:
                reachable[one].add(other)
                reachable[other].add(one)
        votes = {host: port.station.votes for host, port in self.ports.items() if port.station is not None}
        present = [view.members for view in self._views()]
        for members in memberships(reachable, votes, present):
            ports = [self.ports[host] for host in members]
            views = {id(port.view) for port in ports}
            if len(views) == 1 and ports[0].view is not None and ports[0].view.members == members:
                continue
            sequence = max(port.ring_seq for port in ports) + RING_STEP
            lowest = min(port.station.node_id for port in ports if port.station is not None)
            for port in ports:
                port.ring_seq = sequence
            self._install((lowest, sequence), members)

    def _install(self, ring: tuple[int, int], members: frozenset[str]) -> None:
        self._conf += 1
        group = frozenset(host for host in members if self.ports[host].joined)
        view = View(ring, members, self._conf, group, acked=dict.fromkeys(group, 0))
        for host in members:
            port = self.ports[host]
            if port.view is not None:
                self._refuse_waiting(port.view, port)
            port.view = view
        self._announce(view)

    def _regroup(self, view: View | None) -> None:
        """A member's file system joined or left the group: same ring, new configuration."""
        if view is None:
            return
        if all(host in self.ports and self.ports[host].view is view for host in view.members):
            self._install(view.ring, view.members)
        else:
            self._gather(0)

    def _announce(self, view: View | None) -> None:
        if view is None:
            return
        ports = self._members(view)
        members = {
            port.station.node_id: {
                "host": port.station.host,
                "votes": port.station.votes,
                "expected": port.station.expected,
                "config_version": port.station.config_version,
            }
            for port in ports
            if port.station is not None
        }
        group = [port.station.node_id for port in ports if port.station and port.station.host in view.group]
        for port in ports:
            port.send({"t": "view", "conf": view.conf, "ring": view.ring, "members": members, "group": sorted(group)})

    def _show_links(self, host: str) -> None:
        port = self.ports[host]
        links: dict[int, list[int]] = {number: [] for number in port.station.numbers()} if port.station else {}
        for names, pair in self.pairs.items():
            if host not in names:
                continue
            (peer,) = names - {host}
            station = self.ports[peer].station if peer in self.ports else None
            for link in pair.shown & set(links):
                if station is not None:
                    links[link].append(station.node_id)
        port.send({"t": "links", "links": {number: sorted(peers) for number, peers in links.items()}})

    # --- the order of messages -----------------------------------------------------------------------------------

    def _send(self, port: Port, header: Header, payload: bytes) -> None:
        view, station = port.view, port.station
        if view is None or station is None or view.conf != header["conf"] or station.host not in view.group:
            port.send({"t": "refused", "id": header["id"]})
        elif self._torn(view):
            view.waiting.append((port, header, payload))
        else:
            self._order(view, port, station, header, payload)

    def _order(self, view: View, port: Port, station: Station, header: Header, payload: bytes) -> None:
        view.seq += 1
        view.unstable.append(Sent(port, header["id"], view.seq))
        only = header.get("to")
        frame = {"t": "deliver", "conf": view.conf, "seq": view.seq, "from": station.node_id, "body": header["body"]}
        for host in view.group:
            member = self.ports.get(host)
            if member is None or member.station is None:
                continue
            own = frame | {"id": header["id"]} if member is port else frame
            member.send(own, payload if only is None or member.station.node_id in only else b"")

    def _ack(self, port: Port, conf: int, seq: int) -> None:
        view = port.view
        if view is None or view.conf != conf or port.station is None or port.station.host not in view.acked:
            return
        view.acked[port.station.host] = seq
        everywhere = min(view.acked.values())
        while view.unstable and view.unstable[0].seq <= everywhere:
            sent = view.unstable.popleft()
            sent.sender.send({"t": "stable", "id": sent.ident})

    def _torn(self, view: View) -> bool:
        """Whether members of the view do not hear each other at this moment (the token is lost)."""
        if not all(self._present(host, view) for host in view.members):
            return True
        return not all(self.pairs[frozenset(names)].physical for names in combinations(view.members, 2))

    def _present(self, host: str, view: View) -> bool:
        port = self.ports.get(host)
        return port is not None and port.view is view and port.alive

    def _flush(self, view: View) -> None:
        while view.waiting and not self._torn(view):
            port, header, payload = view.waiting.popleft()
            if port.view is view and port.station is not None:
                self._order(view, port, port.station, header, payload)

    def _refuse_waiting(self, view: View, port: Port) -> None:
        for sender, header, _ in view.waiting:
            if sender is port:
                port.send({"t": "refused", "id": header["id"]})

    # --- control -------------------------------------------------------------------------------------------------

    def _control(self, port: Port, header: Header) -> None:
        """cut/restore a host's plugs, a network's, or one plug; separate sets of hosts; restore without names: all."""
        host, network = header.get("host"), header.get("network")
        try:
            plugs = self.cabling.select(host, network)
        except KeyError as error:
            port.send({"t": "error", "message": str(error.args[0])})
            return
        match header["command"]:
            case "cut":
                self.cabling.down |= plugs
            case "restore":
                self.cabling.down -= plugs
                if host is None:
                    self.cabling.walls = {wall for wall in self.cabling.walls if network not in (None, wall[0])}
            case "separate":
                self.cabling.separate(header["sets"], network)
            case "state":
                pass
            case command:
                port.send({"t": "error", "message": f"unknown command '{command}'"})
                return
        self._survey()
        port.send({"t": "done", "state": self.state()})

    def state(self) -> Header:
        """What is cut, and the memberships of this moment (for status views)."""
        return {
            "down": sorted([plug.host, plug.network] for plug in self.cabling.down),
            "walls": sorted([network, *sorted(pair)] for network, pair in self.cabling.walls),
            "rings": sorted([f"{view.ring[0]}.{view.ring[1]:x}", sorted(view.members)] for view in self._views()),
        }

    # --- small helpers -------------------------------------------------------------------------------------------

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self.clock.real(seconds), call)

    def _views(self) -> list[View]:
        return list({id(port.view): port.view for port in self.ports.values() if port.view is not None}.values())

    def _members(self, view: View | None) -> list[Port]:
        return [port for port in self.ports.values() if view is not None and port.view is view]


def station_from(header: Header, host: str) -> Station:
    """The registration of a corosync; JSON keys are strings, ids and link numbers are not."""
    nodes = {int(node): {int(link): str(to) for link, to in links.items()} for node, links in header["nodes"].items()}
    return Station(
        host=host,
        node_id=int(header["node_id"]),
        cluster=str(header["cluster"]),
        key=str(header["key"]),
        nodes=nodes,
        votes=int(header["votes"]),
        expected=int(header["expected"]),
        config_version=int(header["config_version"]),
        token=float(header["token"]),
    )


def peer_pid(writer: asyncio.StreamWriter) -> int:
    """The process at the other end of a unix socket."""
    connection = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[0])


def running(pid: int) -> bool:
    """Whether the process exists and is neither stopped nor a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "TtZX"


async def serve(state: Path, cabling: Cabling, clock: Clock) -> None:
    """Run a switch on `STATE/fabric.sock` until cancelled."""
    switch = Switch(cabling, clock)
    path = state / SOCKET
    path.unlink(missing_ok=True)
    with unix_address(path) as address:
        server = await asyncio.start_unix_server(switch.serve, address)
    path.chmod(0o600)
    interval = min(0.5, max(0.05, clock.real(0.75)))
    async with server:
        while True:
            await asyncio.sleep(interval)
            switch.watch_processes()


def cabling_of(stack: Stack) -> Cabling:
    """Which address of which host hangs on which network."""
    return Cabling(
        {
            address: Plug(host.name, network)
            for host in stack.hosts.values()
            for network, address in host.addresses.items()
        }
    )


def run(stack: Stack, state: Path) -> int:
    """The fabric's process: blocks; its lease on the supervisor and the state directory is the supervisor's doing."""
    asyncio.run(serve(state, cabling_of(stack), Clock(scale=stack.scale)))
    return 0
