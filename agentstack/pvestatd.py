# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells the others about itself every ten seconds: load, guests, storages (facts §5, §21)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.rrd import History

if TYPE_CHECKING:
    from agentstack.host import Host

PERIOD = 10.0
"""Stack seconds between two broadcasts."""

SHORTEST = 0.25
"""Real seconds: however fast a stack's time runs, this machine need not hear more often."""

NODE, GUESTS, STORAGES = "node-status", "guest-status", "storage-status"
"""Keys of the broadcasts."""

BASE_MEMORY = 3 << 29
"""Bytes that an idle node uses."""

IDLE_CPU = 0.01

SAMPLE = 10.0
"""Wall-clock seconds between two figures that are kept: guests are many, and a row stands for a minute at least."""

_NO_FIGURES = frozenset({"vmid", "pid", "template"})


class Statd:
    """The status daemon of a node; remembers what offline nodes said last, as the round-robin files do."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._last: dict[str, dict[str, Any]] = {}
        self._loop: asyncio.Task[None] | None = None
        self.history = History()
        """What the nodes said over time."""
        self._keep_at = 0.0
        self._booted = host.clock.elapsed()

    async def start(self) -> None:
        """Tell once, then regularly."""
        await self.tell()
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Say no more."""
        if self._loop is not None:
            self._loop.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(max(self.host.clock.real(PERIOD), SHORTEST))
            if self.host.files.mounted:
                await self.tell()
                # what comes of a lost quorum meanwhile can wait: the present key goes on being good
                with contextlib.suppress(AgentError, OSError):
                    await self.host.access.rotate_key()

    async def tell(self) -> None:
        """Broadcast the present state; needed out of turn after a change that others should see at once."""
        cluster = self.host.cluster
        guests = self.host.guests.status_rows()
        await cluster.broadcast(NODE, self.node(guests))
        await cluster.broadcast(GUESTS, guests)
        await cluster.broadcast(STORAGES, self.host.storage.statuses())
        due = self.host.clock.now() >= self._keep_at
        for view in cluster.nodes():
            self.status_of(view.name)
            if due:
                self._keep(view.name)

    def _keep(self, node: str) -> None:
        """Take down what a node says of itself at this moment, for whoever asks how it was."""
        now, cluster = self.host.clock.now(), self.host.cluster
        self._keep_at = now + SAMPLE
        self.history.add(f"node/{node}", now, cluster.kv(node, NODE) or {})
        for row in cluster.kv(node, GUESTS) or []:
            figures = {key: value for key, value in row.items() if key not in _NO_FIGURES}
            self.history.add(f"vm/{row['vmid']}", now, figures)
        for name, row in (cluster.kv(node, STORAGES) or {}).items():
            self.history.add(f"storage/{node}/{name}", now, {"total": row["total"], "used": row["used"]})

    def node(self, guests: list[dict[str, Any]]) -> dict[str, Any]:
        """This node's figures: cpu 0..1, bytes, seconds since boot."""
        spec = self.host.spec
        root = self.host.storage.root_filesystem()
        busy = sum(row["cpu"] * row["maxcpu"] for row in guests)
        return {
            "cpu": min(1.0, IDLE_CPU + busy / spec.cpus),
            "maxcpu": spec.cpus,
            "mem": min(spec.memory, BASE_MEMORY + sum(row["mem"] for row in guests)),
            "maxmem": spec.memory,
            "disk": root.used,
            "maxdisk": root.total,
            "uptime": self.uptime,
        }

    @property
    def uptime(self) -> int:
        """Stack seconds since boot."""
        return int(self.host.clock.elapsed() - self._booted)

    def status_of(self, node: str) -> dict[str, Any]:
        """The last figures of a node; empty if it has never been heard of."""
        heard = self.host.cluster.kv(node, NODE)
        if heard is not None:
            self._last[node] = heard
        return self._last.get(node, {})
