# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's corosync: its connection to the switch, its view of the membership, and the group its files rest upon."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agentstack.clock import Clock
from agentstack.cluster import wire
from agentstack.cluster.wire import Header
from agentstack.control import unix_address

log = logging.getLogger(__name__)

RETRY = 0.05
"""Real seconds between attempts to reach a switch that is not (yet) there."""


class Refused(Exception):
    """The message was not ordered: the membership changed before it was its turn."""


@dataclass(frozen=True)
class Identity:
    """What a corosync is configured as. `nodes`: node id -> link number -> address; `token` in seconds."""

    node_id: int
    cluster: str
    key: str
    nodes: dict[int, dict[int, str]]
    votes: int
    expected: int
    config_version: int
    token: float
    priorities: dict[int, int] = field(default_factory=dict)
    """knet_link_priority by link number."""


@dataclass(frozen=True)
class Member:
    """A member of the present membership, in votequorum's terms."""

    host: str
    votes: int
    expected: int
    config_version: int


@dataclass(frozen=True)
class View:
    """A membership. `ring`: (lowest node id, sequence); `group`: node ids whose cluster file system has joined."""

    conf: int
    ring: tuple[int, int]
    members: dict[int, Member]
    group: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Message:
    """A message in its place in the view's order. `ident` is set on the sender's own copy only."""

    conf: int
    seq: int
    sender: int
    body: dict[str, Any]
    payload: bytes
    ident: int | None = None


class Application(Protocol):
    """What joins the group: the cluster file system."""

    def viewed(self, view: View) -> None:
        """A new configuration of the group; every message of the one before has been delivered."""

    def delivered(self, message: Message) -> None:
        """The next message in the order."""

    def disconnected(self) -> None:
        """corosync has ended."""


@dataclass
class Events:
    """Who wants to know what of this corosync."""

    view: list[Callable[[], None]] = field(default_factory=list)
    reload: Callable[[], None] = lambda: None
    killed: Callable[[], None] = lambda: None
    newer: Callable[[int], None] = lambda version: None
    """A node that is in another membership has a newer configuration: its version."""


class Corosync:
    """The running daemon of one host. `socket`: the switch's; `directory`: where the ring sequence is kept."""

    def __init__(self, host: str, socket: Path, directory: Path, clock: Clock) -> None:
        self.host = host
        self.socket = socket
        self.directory = directory
        self.clock = clock
        self.events = Events()
        self.identity: Identity | None = None
        self.view: View | None = None
        self.links: dict[int, dict[int, int]] = {}
        """Link number -> id of each node that is connected on it -> the path's MTU in bytes."""
        """Link number -> ids of the nodes that are connected on it."""
        self.application: Application | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._idents = itertools.count(1)
        self._sent: dict[int, asyncio.Future[None]] = {}

    @property
    def running(self) -> bool:
        return self._task is not None

    def start(self, identity: Identity) -> None:
        """Start the daemon; the first view comes by itself."""
        self.identity = identity
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="corosync")

    async def stop(self) -> None:
        """Leave the membership in an orderly way and end."""
        task = self.end()
        if task is not None:
            await asyncio.wait([task])

    def end(self) -> asyncio.Task[None] | None:
        """The same, without waiting for the last of it (the task)."""
        self._transmit({"t": "leave"})
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._lost()
        return task

    def reload(self, identity: Identity) -> None:
        """Take a changed configuration into use."""
        self.identity = identity
        self._transmit({"t": "update", **self._registration(identity)})

    def reload_everywhere(self) -> None:
        """Make every member read its configuration again (corosync-cfgtool -R)."""
        self._transmit({"t": "reload"})

    def expect(self, votes: int) -> None:
        """Set the expected votes of all members, until they are configured anew (corosync-quorumtool -e)."""
        self._transmit({"t": "expected", "votes": votes})

    def kill(self, node_id: int) -> None:
        """End the corosync of another member (corosync-cfgtool -k)."""
        self._transmit({"t": "kill", "node_id": node_id})

    # --- the group -----------------------------------------------------------------------------------------------

    def join(self, application: Application) -> None:
        """Join the group; the application gets the first view that has it as a member."""
        self.application = application
        self._transmit({"t": "join"})

    def part(self) -> None:
        """Leave the group; corosync goes on and keeps its vote."""
        self.application = None
        self._transmit({"t": "part"})
        self._fail_sent()

    def send(
        self, conf: int, body: dict[str, Any], payload: bytes = b"", to: list[int] | None = None
    ) -> tuple[int, asyncio.Future[None]]:
        """Send a message in view `conf`; the future is done when every member has acknowledged it.

        It raises Refused if the message was not ordered (it is then nowhere). `to` restricts who gets the payload.
        """
        ident = next(self._idents)
        future = asyncio.get_running_loop().create_future()
        # a sender that went away must not leave "exception was never retrieved" behind
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self._writer is None:
            future.set_exception(Refused())
            return ident, future
        self._sent[ident] = future
        header: Header = {"t": "send", "id": ident, "conf": conf, "body": body}
        if to is not None:
            header["to"] = to
        self._transmit(header, payload)
        return ident, future

    def acknowledge(self, message: Message) -> None:
        """This message and all before it are stored."""
        self._transmit({"t": "ack", "conf": message.conf, "seq": message.seq})

    # --- the connection ------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                with unix_address(self.socket) as address:
                    reader, self._writer = await asyncio.open_unix_connection(address)
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            assert self.identity is not None
            registration = self._registration(self.identity) | {"host": self.host, "ring_seq": self._ring_sequence()}
            self._transmit({"t": "register", **registration})
            if self.application is not None:
                self._transmit({"t": "join"})
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    header, payload = await wire.receive(reader)
                    self._received(header, payload)
            log.warning("corosync: the switch has gone")
            self._lost()

    def _received(self, header: Header, payload: bytes) -> None:
        match header["t"]:
            case "view":
                self._viewed(header)
            case "deliver":
                message = Message(
                    header["conf"], header["seq"], header["from"], header["body"], payload, header.get("id")
                )
                if self.application is not None:
                    self.application.delivered(message)
                else:
                    self.acknowledge(message)
            case "stable":
                future = self._sent.pop(header["id"], None)
                if future is not None and not future.done():
                    future.set_result(None)
            case "refused":
                future = self._sent.pop(header["id"], None)
                if future is not None and not future.done():
                    future.set_exception(Refused())
            case "links":
                self.links = {
                    int(link): {int(node): int(mtu) for node, mtu in nodes.items()}
                    for link, nodes in header["links"].items()
                }
            case "newer":
                self.events.newer(int(header["version"]))
            case "reload":
                self.events.reload()
            case "kill":
                log.error("corosync: killed by another node")
                self.events.killed()

    def _viewed(self, header: Header) -> None:
        members = {int(node): Member(**member) for node, member in header["members"].items()}
        ring = (int(header["ring"][0]), int(header["ring"][1]))
        old = self.view
        self.view = View(int(header["conf"]), ring, members, frozenset(header["group"]))
        if old is None or old.ring != ring:
            self._keep_ring_sequence(ring[1])
            log.info("corosync: a new membership (%d.%x) was formed. Members: %s", *ring, sorted(members))
        view = self.view
        for callback in self.events.view:
            callback()
        if self.view is not view:
            return
        if self.application is not None and (old is None or old.conf != self.view.conf):
            self.application.viewed(self.view)

    def _lost(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self.view = None
        self.links = {}
        self._fail_sent()
        for callback in self.events.view:
            callback()
        if self.application is not None:
            self.application.disconnected()

    def _fail_sent(self) -> None:
        for future in self._sent.values():
            if not future.done():
                future.set_exception(Refused())
        self._sent.clear()

    def _transmit(self, header: Header, payload: bytes = b"") -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(wire.encode(header, payload))

    @staticmethod
    def _registration(identity: Identity) -> Header:
        return {
            "node_id": identity.node_id,
            "cluster": identity.cluster,
            "key": identity.key,
            "nodes": identity.nodes,
            "votes": identity.votes,
            "expected": identity.expected,
            "config_version": identity.config_version,
            "token": identity.token,
            "priorities": identity.priorities,
        }

    def _ring_file(self) -> Path:
        assert self.identity is not None
        return self.directory / f"ringid_{self.identity.node_id}"

    def _ring_sequence(self) -> int:
        """The highest ring sequence ever seen, so that no ring id comes twice, whatever restarts."""
        try:
            return int(json.loads(self._ring_file().read_text()))
        except (FileNotFoundError, ValueError):
            return 0

    def _keep_ring_sequence(self, sequence: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = self._ring_file().with_suffix(".tmp")
        temporary.write_text(json.dumps(sequence))
        temporary.replace(self._ring_file())
