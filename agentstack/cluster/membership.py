# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's membership: its corosync.conf, the running corosync, votes and quorum, the state of the links."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack._shared.corosync_conf import CorosyncConf, CorosyncConfError, parse, read_config_version
from agentstack.cluster import fabric, provision
from agentstack.cluster.corosync import Corosync, Identity, View
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.api.endpoint import Json
    from agentstack.host import Host

log = logging.getLogger(__name__)

TOKEN, TOKEN_COEFFICIENT = 3000, 650
"""Milliseconds: corosync's own defaults (corosync.conf(5)); PVE 9.2 writes a coefficient of 125."""
RELOAD_DELAY = 1.0
"""Seconds from a changed /etc/pve/corosync.conf to the reload that its writer causes (facts §6.5)."""


@dataclass(frozen=True)
class NodeView:
    """A configured node as this host sees it. `address`: management address, None if never seen online."""

    name: str
    node_id: int
    votes: int
    address: str | None
    online: bool
    local: bool


@dataclass(frozen=True)
class LinkView:
    """A link of this host, as corosync-cfgtool shows it. `connected`: node id -> state, without this node."""

    number: int
    address: str
    connected: dict[int, bool]
    mtu: dict[int, int]
    """Of the path to each node that is connected, in bytes."""


@dataclass(frozen=True)
class Votes:
    """votequorum's arithmetic at this moment (two_node mode is never used; facts §6.6)."""

    expected: int
    highest_expected: int
    total: int

    @property
    def quorum(self) -> int:
        return max(self.highest_expected // 2 + 1, self.total // 2 + 1)

    @property
    def quorate(self) -> bool:
        return self.total >= self.quorum


class Membership:
    """A host's part in a cluster, or none."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.root / "etc/corosync"
        self.config: CorosyncConf | None = None
        """The configuration that corosync runs with (or would, if it did not run); None: not in a cluster."""
        self.corosync = Corosync(
            host.name, host.state.parent.parent / fabric.SOCKET, host.root / "var/lib/corosync", host.clock
        )
        self.corosync.events.view.append(self._viewed)
        self.corosync.events.reload = self.reload
        self.corosync.events.killed = self._killed
        self.corosync.events.newer = self._heard
        self.attached = False
        """Whether the cluster file system is connected to corosync; without, nobody knows of quorum."""
        self.administration = asyncio.Lock()
        """Creating, joining: one at a time on a host."""
        self.version = 1
        """Counts changes of what `.members` shows."""
        self.device_casts: Callable[[tuple[int, int]], bool] = lambda ring: False
        """Whether a QDevice votes for this node in the membership of a ring."""
        self._subscribers: list[Callable[[], None]] = []
        self._met = False
        """Whether corosync, since its start, has been in a membership with others."""
        self._timers: list[asyncio.TimerHandle] = []

    async def start(self) -> None:
        """Start corosync if the host is configured for a cluster."""
        provision.configure(self.host)
        if self.config_file.exists():
            self.start_corosync()

    async def stop(self) -> None:
        """Leave the membership in an orderly way."""
        for timer in self._timers:
            timer.cancel()
        await self.corosync.stop()

    @property
    def config_file(self) -> Path:
        return self.directory / "corosync.conf"

    @property
    def authkey_file(self) -> Path:
        return self.directory / "authkey"

    def start_corosync(self) -> None:
        """Start corosync with the host's own corosync.conf; a broken one keeps it from starting."""
        self._met = False
        try:
            self.config = parse(self.config_file.read_text())
            self.corosync.start(self._identity(self.config))
        except (OSError, CorosyncConfError) as error:
            log.error("corosync: %s", error)
        self.changed()

    def reload(self) -> None:
        """Take the host's own corosync.conf into use; what cannot be used changes nothing (corosync-cfgtool -R)."""
        if not self.corosync.running:
            return
        try:
            config = parse(self.config_file.read_text())
            identity = self._identity(config)
        except (OSError, CorosyncConfError) as error:
            log.error("corosync: unable to reload: %s", error)
            return
        self.config = config
        self.corosync.reload(identity)
        self.changed()

    def config_written(self, data: bytes, *, by_this_node: bool) -> None:
        """/etc/pve/corosync.conf has changed: take it over unless it is older or unreadable (observed: live change)."""
        text = data.decode("utf-8", "replace")
        try:
            version = read_config_version(text)
        except CorosyncConfError as error:
            log.critical("[dcdb] crit: %s", error)
            return
        present = self.config_file.read_text() if self.config_file.exists() else ""
        try:
            own = read_config_version(present)
        except CorosyncConfError:
            own = 0
        if version < own:
            log.critical("[dcdb] crit: local corosync.conf is newer")
            return
        if text == present:
            return
        self.write_config(text)
        log.info("[dcdb] notice: wrote new corosync config '/etc/corosync/corosync.conf' (version = %d)", version)
        if by_this_node:
            self._later(RELOAD_DELAY, self.corosync.reload_everywhere)

    async def restart_corosync(self) -> None:
        """Stop corosync if it runs, and start it with the host's own corosync.conf if there is one."""
        await self.corosync.stop()
        await self.start()

    async def stop_corosync(self) -> None:
        """Stop corosync; the host stays configured for its cluster."""
        await self.corosync.stop()

    def write_config(self, text: str) -> None:
        """Replace the host's own corosync.conf."""
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = self.config_file.with_suffix(".conf.tmp")
        temporary.write_text(text)
        temporary.replace(self.config_file)

    # --- who is in ----------------------------------------------------------------------------------------------

    @property
    def in_cluster(self) -> bool:
        return self.config is not None

    @property
    def cluster_name(self) -> str:
        """Empty outside of a cluster."""
        return self.config.totem.cluster_name if self.config is not None else ""

    @property
    def config_version(self) -> int:
        return self.config.totem.config_version if self.config is not None else 0

    @property
    def node_id(self) -> int:
        """0 outside of a cluster."""
        if self.config is None:
            return 0
        return next((node.nodeid for node in self.config.nodes if node.name == self.host.name), 0)

    @property
    def view(self) -> View | None:
        """The present membership of corosync; None if it does not run."""
        return self.corosync.view

    def members(self) -> set[str]:
        """Names of the nodes that are online, this one included."""
        return {node.name for node in self.nodes() if node.online}

    def nodes(self) -> list[NodeView]:
        """All configured nodes in the order of their ids; outside of a cluster this host alone, with id 0."""
        if self.config is None:
            return [NodeView(self.host.name, 0, 1, self.host.address, online=True, local=True)]
        online = set(self.view.members) if self.view is not None and self.attached else {self.node_id}
        addresses = self.host.files.kvstore.addresses
        return [
            NodeView(
                node.name,
                node.nodeid,
                node.quorum_votes,
                self.host.address if node.name == self.host.name else addresses.get(node.name),
                online=node.nodeid in online,
                local=node.name == self.host.name,
            )
            for node in sorted(self.config.nodes, key=lambda node: node.nodeid)
        ]

    def address_of(self, node: str) -> str | None:
        """A node's management address; None for a name that is no node's, or that was never seen online."""
        return next((known.address for known in self.nodes() if known.name == node), None)

    def links(self) -> list[LinkView]:
        """The state of this host's links."""
        if self.config is None:
            return []
        own = next((node for node in self.config.nodes if node.nodeid == self.node_id), None)
        peers = sorted(node.nodeid for node in self.config.nodes if node is not own)
        return [
            LinkView(
                number,
                address,
                {peer: peer in self.corosync.links.get(number, ()) for peer in peers},
                self.corosync.links.get(number, {}),
            )
            for number, address in sorted(own.addresses.items() if own is not None else ())
        ]

    # --- votes --------------------------------------------------------------------------------------------------

    @property
    def votes(self) -> Votes:
        """votequorum at this moment; all zero if corosync does not run."""
        if self.view is None:
            return Votes(0, 0, 0)
        members = self.view.members
        own = members[self.node_id].expected if self.node_id in members else 0
        total = sum(member.votes for member in members.values()) + (self.device_votes if self.device_voting else 0)
        # votequorum never expects fewer votes than there are
        return Votes(max(own, total), max(total, *(member.expected for member in members.values())), total)

    @property
    def device_votes(self) -> int:
        """Votes of the QDevice that is configured, 0 if none is."""
        if self.config is None:
            return 0
        return self.config.expected_votes - sum(node.quorum_votes for node in self.config.nodes)

    @property
    def device_voting(self) -> bool:
        """Whether the QDevice has given its votes to this node's part of the cluster."""
        return self.device_votes > 0 and self.view is not None and self.device_casts(self.view.ring)

    @property
    def expected_votes(self) -> int:
        return self.votes.expected

    @property
    def total_votes(self) -> int:
        return self.votes.total

    @property
    def quorum(self) -> int:
        return self.votes.quorum

    @property
    def quorate(self) -> bool:
        """Whether this node may write; a host on its own always may."""
        if self.config is None:
            return True
        return self.attached and self.view is not None and self.votes.quorate

    def expect(self, votes: int) -> None:
        """Set the expected votes until the next configuration change (corosync-quorumtool -e). AgentError if the
        members' votes admit no such quorum."""
        total = self.total_votes
        wanted = Votes(votes, votes, total)
        if votes < 1 or self.view is None or wanted.quorum > total:
            raise AgentError("Unable to set expected votes: CS_ERR_INVALID_PARAM")
        self.corosync.expect(votes)

    # --- changes ------------------------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have `callback` called after every change of membership, votes or quorum."""
        self._subscribers.append(callback)

    def changed(self) -> None:
        """Something that `.members` shows may have changed."""
        self.version += 1
        self.host.files.replica.turn()
        for callback in self._subscribers:
            callback()

    async def broadcast(self, key: str, value: Json) -> None:
        """Tell all members a status value of this node (not kept; gone when the node is)."""
        self.host.files.broadcast(key, value)

    def kv(self, node: str, key: str) -> Json:
        """The last status value that a node has told under `key`, None if there is none."""
        return self.host.files.kvstore.get(node, key)

    def _viewed(self) -> None:
        view = self.view
        if view is not None and len(view.members) > 1 and not self._met:
            self._met = True
            self._check_version(max(member.config_version for member in view.members.values()))
        self.changed()

    def _heard(self, version: int) -> None:
        if not self._met:
            self._check_version(version)

    def _check_version(self, newest: int) -> None:
        """A corosync that at its first meeting finds a newer configuration than its own ends (corosync's cmap)."""
        if newest > self.config_version:
            self.reload()
        if newest > self.config_version:
            log.error(
                "corosync: Received config version (%d) is different than my config version (%d)! Exiting",
                newest,
                self.config_version,
            )
            self._killed()

    def _killed(self) -> None:
        self.corosync.end()

    def _identity(self, config: CorosyncConf) -> Identity:
        own = config.node(self.host.name)
        totem = config.totem.other
        token = _milliseconds(totem.get("token"), TOKEN)
        coefficient = _milliseconds(totem.get("token_coefficient"), TOKEN_COEFFICIENT)
        return Identity(
            node_id=own.nodeid,
            cluster=config.totem.cluster_name,
            key=hashlib.sha256(self.authkey_file.read_bytes()).hexdigest(),
            nodes={
                node.nodeid: {link: self.resolve(address) for link, address in node.addresses.items()}
                for node in config.nodes
            },
            votes=own.quorum_votes,
            expected=config.expected_votes,
            config_version=config.totem.config_version,
            token=(token + max(0, len(config.nodes) - 2) * coefficient) / 1000,
            priorities={
                number: interface.priority
                for number, interface in config.totem.interfaces.items()
                if interface.priority is not None
            },
        )

    def resolve(self, address: str) -> str:
        """An address; a name is looked up in the host's /etc/hosts, an unknown one comes back as it is."""
        try:
            ipaddress.ip_address(address)
        except ValueError:
            for line in (self.host.root / "etc/hosts").read_text().splitlines():
                words = line.partition("#")[0].split()
                if address in words[1:]:
                    return words[0]
        return address

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers = [timer for timer in self._timers if timer.when() > loop.time() and not timer.cancelled()]
        self._timers.append(loop.call_later(self.host.clock.real(seconds), call))


def _milliseconds(value: object, default: int) -> int:
    return int(value) if isinstance(value, str) and value.isdecimal() else default
