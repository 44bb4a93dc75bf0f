# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch: it carries the links of all hosts, and does for their corosyncs what totem does on a real network.

Every host's corosync is one connection. From the cabling (what is cut) and the stations' own configurations follow
the memberships (`ether`, `topology`); each gets a ring id and one order of messages (`views`).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace

from agentstack.clock import Clock
from agentstack.cluster import wire
from agentstack.cluster.cabling import Cabling
from agentstack.cluster.echo import Echo
from agentstack.cluster.ether import Ether
from agentstack.cluster.topology import Station, memberships
from agentstack.cluster.views import Port, Sequencer, View
from agentstack.cluster.wire import Header
from agentstack.processes import running

GATHER = 0.3
"""Seconds that members take to agree once all hear each other."""
SETTLE = 0.005
"""Real seconds in which what changed together is taken together."""
RING_STEP = 4
"""Ring sequence numbers grow by four a membership (as seen in `Ring ID: 1.70`)."""


class Switch:
    """All ports, pairings and views of one stack."""

    def __init__(self, cabling: Cabling, clock: Clock) -> None:
        self.cabling = cabling
        self.clock = clock
        self.ports: dict[str, Port] = {}
        """By host name: ports with a station."""
        self.ether = Ether(cabling, clock, self.ports, self._turned, self._links_changed)
        self.order = Sequencer(self.ports, self.ether.torn, self.ether.delay)
        self.echo = Echo(cabling)
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
            self.echo.unplug(port)
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
            case "state":
                port.send({"t": "done", "state": self.state()})
            case "plug":
                self.echo.plug(port, str(header["host"]))
            case "interfaces":
                self.cabling.configure(str(header["host"]), header["up"])
                self._survey()
            case "ping":
                port.send(self.echo.answer(header))
            case kind if port.station is not None:
                self._of_station(port, port.station, str(kind), header, payload)

    def _of_station(self, port: Port, station: Station, kind: str, header: Header, payload: bytes) -> None:
        match kind:
            case "send":
                self.order.send(port, header, payload)
            case "ack":
                self.order.acknowledge(port, int(header["conf"]), int(header["seq"]))
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
        if not self.ether.counted(port.station.host):
            self._unregister(port)

    def _unregister(self, port: Port) -> None:
        """A station leaves at once (orderly stop, or taken over by its successor after a restart)."""
        if port.station is None or self.ports.get(port.station.host) is not port:
            return
        host = port.station.host
        del self.ports[host]
        self.ether.forget(host)
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
        self.ether.survey()

    def _turned(self, linked: bool) -> None:
        """Two stations have begun, or ceased, to count each other as reachable."""
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
        votes = {host: port.station.votes for host, port in self.ports.items() if port.station is not None}
        present = [view.members for view in self._views()]
        reachable = self.ether.reachable()
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
        self._compare_versions(reachable)

    def _compare_versions(self, reachable: dict[str, set[str]]) -> None:
        """Tell stations of newer configurations that they hear without being in a membership with them.

        Of two nodes that join at once the first is let in with a list that lacks the second: no membership has room for
        it, but before one is formed it learns from the others that its configuration is old.
        """
        for host, others in reachable.items():
            port = self.ports[host]
            apart = (self.ports[other] for other in others if self.ports[other].view is not port.view)
            newest = max((each.station.config_version for each in apart if each.station is not None), default=0)
            if port.station is not None and newest > port.station.config_version:
                port.send({"t": "newer", "version": newest})

    def _install(self, ring: tuple[int, int], members: frozenset[str]) -> None:
        self._conf += 1
        self.ether.stale()
        group = frozenset(host for host in members if self.ports[host].joined)
        view = View(ring, members, self._conf, group, acked=dict.fromkeys(group, 0))
        for host in members:
            port = self.ports[host]
            if port.view is not None:
                self.order.refuse_waiting(port.view, port)
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

    def _links_changed(self) -> None:
        # what waited for a link that works can go now
        for view in self._views():
            self.order.flush(view)
        for host, port in self.ports.items():
            links = self.ether.links(host)
            if links != port.links:
                port.links = links
                port.send({"t": "links", "links": links})

    # --- faults --------------------------------------------------------------------------------------------------

    def rewired(self) -> None:
        """The cabling has changed."""
        self._survey()

    def state(self) -> Header:
        """What is cut, and the memberships of this moment (for status views)."""
        return {
            "down": sorted([plug.host, plug.network] for plug in self.cabling.down),
            "walls": sorted([network, *sorted(pair)] for network, pair in self.cabling.walls),
            "rings": sorted([f"{view.ring[0]}.{view.ring[1]:x}", sorted(view.members)] for view in self._views()),
        }

    # --- small helpers -------------------------------------------------------------------------------------------

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
        priorities={int(link): int(priority) for link, priority in header["priorities"].items()},
    )


def peer_pid(writer: asyncio.StreamWriter) -> int:
    """The process at the other end of a unix socket."""
    connection = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[0])
