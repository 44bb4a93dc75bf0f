# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""corosync-qdevice of a node: tells the witness of the node's membership, and corosync of the witness's vote."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.stack import QNETD_PORT
from agentstack.witness import certificates
from agentstack.witness.qnetd import GRACE
from agentstack.witness.split import Ring

if TYPE_CHECKING:
    from agentstack._shared.corosync_conf import QDevice as Device
    from agentstack.host import Host

log = logging.getLogger(__name__)

PACKAGE = "corosync-qdevice"
WANTS = Path("etc/systemd/system/multi-user.target.wants/corosync-qdevice.service")
"""The link by which systemd starts the daemon with the host."""
HEARTBEAT = 8.0
"""Seconds between two words to the witness (0.8 of the device's timeout, corosync-qdevice(8))."""
TIMEOUT = 10.0
"""Seconds without an answer after which the connection is given up."""
RETRY = 2.0
FLAGS = "qdevice"
"""The status value by which nodes know of each other whether their device votes."""


class QDevice:
    """The daemon; runs when it is enabled and a device is configured. `host.qdevice` of a node."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.root / certificates.QDEVICE
        self.connected = False
        self._vote: tuple[Ring, bool] | None = None
        self._told: Ring | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        host.cluster.device_casts = self.casts
        host.cluster.subscribe(self._membership_changed)

    async def start(self) -> None:
        """Run if the service is enabled."""
        if self.enabled:
            await self.begin()

    async def stop(self) -> None:
        """End; the vote is gone with the connection."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._disconnect()

    @property
    def enabled(self) -> bool:
        return (self.host.root / WANTS).is_symlink()

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def device(self) -> Device | None:
        """The configured device, of the configuration that corosync runs with."""
        config = self.host.cluster.config
        return config.device if config is not None else None

    def enable(self, on: bool) -> None:
        """Have the service started with the host, or no longer."""
        link = self.host.root / WANTS
        if on and not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/lib/systemd/system/corosync-qdevice.service")
        elif not on:
            link.unlink(missing_ok=True)

    async def begin(self) -> None:
        """Start the daemon."""
        if not self.running:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def casts(self, ring: Ring) -> bool:
        """Whether the witness votes for this node in the membership of that ring."""
        return self._vote == (ring, True)

    def flags(self, node: str) -> str:
        """A node's device as quorumtool shows it: alive, voting, never master wins; NR: not registered."""
        if node == self.host.name:
            return self._own_flags()
        return str(self.host.cluster.kv(node, FLAGS) or "NR")

    def _own_flags(self) -> str:
        if not self.running:
            return "NR"
        view = self.host.cluster.view
        casts = view is not None and self.casts(view.ring)
        return f"{'A' if self.connected else 'NA'},{'V' if casts else 'NV'},NMW"

    async def _run(self) -> None:
        while True:
            device = self.device
            if device is not None and self.host.cluster.view is not None:
                try:
                    await self._talk(device)
                except (OSError, ssl.SSLError, TimeoutError, ValueError) as error:
                    log.warning("qdevice: connection to %s: %s", device.host, error)
                self._disconnect()
            await self.host.clock.sleep(RETRY)

    async def _talk(self, device: Device) -> None:
        """One connection, until it ends."""
        host, cluster = self.host, self.host.cluster
        address = cluster.resolve(device.host)
        await host.network.look_for(address)
        context = await asyncio.to_thread(certificates.client_context, self.directory)
        limit = host.clock.real(TIMEOUT) + GRACE
        reader, self._writer = await asyncio.wait_for(
            asyncio.open_connection(
                address, QNETD_PORT, ssl=context, local_addr=(host.network.source(address), 0), server_hostname=""
            ),
            limit,
        )
        assert cluster.config is not None
        nodes = sorted(node.nodeid for node in cluster.config.nodes)
        hello = {"cluster": cluster.cluster_name, "node": cluster.node_id, "algorithm": device.algorithm}
        self._send({**hello, "nodes": nodes})
        self.connected = True
        self._told = None
        self._membership_changed()
        beat = asyncio.get_running_loop().create_task(self._beat())
        try:
            while (line := await asyncio.wait_for(reader.readline(), limit)) and self.device == device:
                message = json.loads(line)
                if "vote" in message:
                    self._vote = ((message["ring"][0], message["ring"][1]), bool(message["vote"]))
                    cluster.changed()
                    await self._show()
        finally:
            beat.cancel()

    async def _beat(self) -> None:
        while True:
            await self.host.clock.sleep(HEARTBEAT / 2)
            self._send({})
            await self._show()

    async def _show(self) -> None:
        await self.host.cluster.broadcast(FLAGS, self._own_flags())

    def _membership_changed(self) -> None:
        view = self.host.cluster.view
        if self.connected and view is not None and view.ring != self._told:
            self._told = view.ring
            self._send({"ring": list(view.ring), "members": sorted(view.members)})

    def _disconnect(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None
        lost = self._vote is not None
        self.connected, self._vote = False, None
        if lost:
            self.host.cluster.changed()

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")
