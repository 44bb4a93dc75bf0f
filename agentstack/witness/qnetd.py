# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""corosync-qnetd: votes for one part of each cluster whose nodes are connected. `host.qnetd` of a witness.

Lines of JSON over TLS on port 5403. A node says {"cluster", "node", "algorithm", "nodes": [ids]} first, then
{"ring": [node id, sequence], "members": [ids]} after every change of its membership, and {} now and then. It hears
{"ring": …, "vote": bool} whenever its vote is decided, and {} for every {}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentstack.stack import QNETD_PORT
from agentstack.witness import certificates
from agentstack.witness.split import Report, settled, winners

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

PACKAGE = "corosync-qnetd"
SILENCE = 12.0
"""Seconds without a word from a node until it counts as gone (its heart beats every 8 s)."""
GRACE = 3.0
"""Real seconds on top: how busy this machine is does not shrink with the stack's scale."""


@dataclass
class Client:
    """A connected node."""

    node: int
    nodes: list[int]
    algorithm: str
    address: str
    writer: asyncio.StreamWriter
    report: Report | None = None
    vote: bool = False
    told: tuple[Report, bool] | None = None

    def send(self, message: dict[str, Any]) -> None:
        if not self.writer.is_closing():
            self.writer.write(json.dumps(message).encode() + b"\n")


class QNetd:
    """The daemon; runs when its package is installed."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.root / certificates.QNETD
        self.clusters: dict[str, dict[int, Client]] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Run if the package is there."""
        if self.host.packages.has(PACKAGE):
            await self.begin()

    async def stop(self) -> None:
        """End, and with it all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for clients in self.clusters.values():
            for client in clients.values():
                client.writer.close()
        self.clusters.clear()

    @property
    def running(self) -> bool:
        return self._server is not None

    async def begin(self) -> None:
        """Make the certificates if there are none, and listen."""
        if self._server is not None:
            return
        if not (self.directory / certificates.CA_CERTIFICATE).exists():
            self.init_certificates()
        context = await asyncio.to_thread(certificates.server_context, self.directory)
        self._server = await asyncio.start_server(self._serve, self.host.address, QNETD_PORT, ssl=context)
        self.host.network.guard()

    def init_certificates(self) -> None:
        """What installing the package does, and `corosync-qnetd-certutil -i`."""
        addresses = list(self.host.addresses.values())
        certificates.init_witness(self.directory, self.host.fqdn, addresses, self.host.clock.now())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client: Client | None = None
        name = ""
        patience = self.host.clock.real(SILENCE) + GRACE
        try:
            hello = json.loads(await asyncio.wait_for(reader.readline(), patience))
            name = str(hello["cluster"])
            address = "{}:{}".format(*writer.get_extra_info("peername")[:2])
            client = Client(int(hello["node"]), list(hello["nodes"]), str(hello["algorithm"]), address, writer)
            log.info("qnetd: node %d of cluster %s is connected", client.node, name)
            self.clusters.setdefault(name, {})[client.node] = client
            while line := await asyncio.wait_for(reader.readline(), patience):
                self._hear(name, client, json.loads(line))
        except (TimeoutError, OSError, ssl.SSLError, ValueError, KeyError) as error:
            log.info("qnetd: connection of %s ended: %r", client.node if client else "nobody", error)
        finally:
            with contextlib.suppress(OSError):
                writer.close()
            clients = self.clusters.get(name, {})
            if client is not None and clients.get(client.node) is client:
                del clients[client.node]
                self._decide(name)

    def _hear(self, name: str, client: Client, message: dict[str, Any]) -> None:
        if "ring" in message:
            client.report = Report((message["ring"][0], message["ring"][1]), frozenset(message["members"]))
            self._decide(name)
        else:
            client.send({})

    def _decide(self, name: str) -> None:
        """Give the vote anew if the nodes agree on their memberships."""
        clients = self.clusters.get(name, {})
        reports = {node: client.report for node, client in clients.items() if client.report is not None}
        if not settled(reports):
            return
        chosen = winners(reports)
        for node, report in reports.items():
            client = clients[node]
            client.vote = node in chosen
            if client.told != (report, client.vote):
                client.told = (report, client.vote)
                client.send({"ring": list(report.ring), "vote": client.vote})
        if not clients:
            self.clusters.pop(name, None)
