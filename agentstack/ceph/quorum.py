# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the maps stay the same everywhere: one ordered group per Ceph cluster over the stack's switch.

Every host on which Ceph is configured joins the group; the hosts of the monmap are its monitors. Commands take effect
in the group's order, and only while more than half of the monitors are in the group; each monitor has a change on disk
before its client hears of it. After every change of the membership the newest state among the monitors is taken by all.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agentstack.ceph.commands import apply
from agentstack.ceph.maps import ClusterMap
from agentstack.clock import Clock
from agentstack.cluster.corosync import Corosync, Identity, Message, Refused, View
from agentstack.durable import write_durably
from agentstack.errors import AgentError

log = logging.getLogger(__name__)

GRACE = 20.0
"""Seconds without a sign of life after which a host's daemons count as gone (osd_heartbeat_grace)."""
TIMEOUT = 5.0
"""Seconds that a client waits for the monitors (facts §11.1)."""
AGREEMENT = 2.0
"""Real seconds on top: the time that computing an agreement takes does not shrink with the scale."""
_LOSS_PER_TOKEN = 2.2
"""The switch notices the loss of a member after token and consensus time together."""


class Unreachable(AgentError):
    """No quorum of monitors can be reached."""

    def __init__(self) -> None:
        super().__init__("got timeout")


class _Waiting:
    """A command of this host on its way. `settled`: True when it took effect for good, False when it has to be sent
    again."""

    def __init__(self) -> None:
        self.applied = False
        self.result: Any = None
        self.failure: AgentError | None = None
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(self, done: bool) -> None:
        if not self.settled.done():
            self.settled.set_result(done)


class MonitorGroup:
    """This host's membership in the group of one Ceph cluster.

    `name`: this host's; `number`: unique in the stack; `addresses`: number -> address in the public network of every
    host that may take part; `file`: where the maps are kept. `changed` hears of every new state.
    """

    def __init__(self, name: str, number: int, socket: Path, file: Path, clock: Clock) -> None:
        self.name = name
        self.number = number
        self.file = file
        self.clock = clock
        self.cluster: ClusterMap | None = None
        self.changed: Callable[[], None] = lambda: None
        self.viewed_members: frozenset[str] = frozenset()
        self._corosync = Corosync(f"{name}/ceph", socket, file.parent, clock)
        self._view: View | None = None
        self._states: dict[int, dict[str, Any]] = {}
        self._synced = asyncio.Event()
        self._commands: dict[int, _Waiting] = {}

    def load(self) -> None:
        """Take the maps that this host kept."""
        if self.file.exists():
            self.cluster = ClusterMap.from_json(json.loads(self.file.read_text()))

    def found(self, cluster: ClusterMap) -> None:
        """Begin a new Ceph cluster: this host is its first monitor."""
        self.cluster = cluster
        self._keep()

    def start(self, fsid: str, addresses: dict[int, str], *, monitor: bool) -> None:
        """Join the group of the cluster `fsid`; `monitor`: a monitor runs on this host."""
        nodes = {number: {0: address} for number, address in addresses.items()}
        self._corosync.events.view.append(self._wake)
        self._corosync.start(
            Identity(self.number, f"ceph:{fsid}", fsid, nodes, int(monitor), 1, 1, GRACE / _LOSS_PER_TOKEN)
        )
        self._corosync.join(self)

    def set_monitor(self, runs: bool) -> None:
        """The monitor of this host was started or stopped."""
        if self._corosync.identity is not None:
            self._corosync.reload(replace(self._corosync.identity, votes=int(runs)))

    async def stop(self) -> None:
        """Leave the group in an orderly way."""
        if self._corosync.running:
            self._corosync.part()
            await self._corosync.stop()

    # --- what clients see -----------------------------------------------------------------------------------------

    def hosts(self) -> frozenset[str]:
        """The hosts in the group at this moment."""
        return self.viewed_members

    def quorum(self) -> frozenset[str]:
        """Names of the monitors that form the quorum; empty without one."""
        if self.cluster is None or not self._synced.is_set():
            return frozenset()
        view = self._corosync.view
        members = view.members.values() if view is not None else ()
        running = {member.host.partition("/")[0] for member in members if member.votes}
        present = {name for name, mon in self.cluster.monitors.items() if mon.host in self.viewed_members & running}
        return frozenset(present) if 2 * len(present) > len(self.cluster.monitors) else frozenset()

    @property
    def leader_host(self) -> str | None:
        """The host of the monitor that acts for the cluster: the one of the lowest rank in quorum."""
        leader = min(self.quorum(), default=None)
        return self.cluster.monitors[leader].host if leader is not None and self.cluster is not None else None

    async def maps(self) -> ClusterMap:
        """The agreed maps; raises Unreachable when there is no quorum within the client's time."""
        try:
            await asyncio.wait_for(self._quorate(), self.clock.real(TIMEOUT) + AGREEMENT)
        except TimeoutError:
            raise Unreachable from None
        assert self.cluster is not None
        return self.cluster

    async def execute(self, command: str, /, **arguments: Any) -> Any:
        """Carry out a command; returns its result. Raises its AgentError, or Unreachable."""
        while True:
            await self.maps()
            if not self.quorum():
                # the membership changed in between: what is sent before its members agree, none of them carries out
                continue
            assert self._view is not None
            waiting = _Waiting()
            ident, stable = self._corosync.send(
                self._view.conf, {"k": "command", "name": command, "arguments": arguments}
            )
            self._commands[ident] = waiting
            stable.add_done_callback(partial(_stable, waiting))
            try:
                done = await waiting.settled
            finally:
                self._commands.pop(ident, None)
            if not done:
                continue
            if waiting.failure is not None:
                raise waiting.failure
            return waiting.result

    async def _quorate(self) -> None:
        while not self.quorum():
            self._turn = asyncio.get_running_loop().create_future()
            await self._turn

    _turn: asyncio.Future[None] | None = None

    def _wake(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)
        self.changed()

    # --- the group (cluster.corosync.Application) -----------------------------------------------------------------

    def viewed(self, view: View) -> None:
        self._view = view
        self._states.clear()
        self._synced.clear()
        self.viewed_members = frozenset(view.members[node].host.partition("/")[0] for node in view.group)
        if self.number in view.group:
            document = self.cluster.to_json() if self.cluster is not None else None
            self._corosync.send(view.conf, {"k": "state"}, json.dumps(document).encode())

    def delivered(self, message: Message) -> None:
        if self._view is None or message.conf != self._view.conf:
            return
        if message.body["k"] == "state":
            self._states[message.sender] = json.loads(message.payload)
            if set(self._states) >= self._view.group:
                self._agree()
        else:
            self._carry_out(message)
        self._corosync.acknowledge(message)

    def disconnected(self) -> None:
        self._view = None
        self._synced.clear()
        self.viewed_members = frozenset()

    def _agree(self) -> None:
        """All states are known: the newest of a monitor wins, of equally new ones that of the lowest number."""
        assert self._view is not None
        known = {number: state for number, state in self._states.items() if state is not None}
        monitors = {
            number: state
            for number, state in known.items()
            if any(
                monitor["host"] == self._view.members[number].host.partition("/")[0]
                for monitor in state["monitors"].values()
            )
        }
        if monitors:
            newest = max(monitors, key=lambda number: (monitors[number]["epoch"], -number))
            if self.cluster is None or monitors[newest] != self.cluster.to_json():
                self.cluster = ClusterMap.from_json(monitors[newest])
                self._keep()
            self._synced.set()
        # the order of the membership before has ended: nobody will say any more that a message of it is stable
        for waiting in self._commands.values():
            waiting.settle(waiting.applied)
        self._wake()

    def _carry_out(self, message: Message) -> None:
        waiting = self._commands.get(message.ident) if message.ident is not None else None
        if not self.quorum() or self.cluster is None:
            failure: AgentError | None = Unreachable()
            result = None
        else:
            failure, result = None, None
            try:
                result = apply(self.cluster, message.body["name"], message.body["arguments"])
                self._keep()
            except AgentError as error:
                failure = error
        if waiting is not None:
            waiting.applied, waiting.result, waiting.failure = True, result, failure
        self._wake()

    def _keep(self) -> None:
        assert self.cluster is not None
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self.file, json.dumps(self.cluster.to_json()).encode(), 0o600)


def _stable(waiting: _Waiting, stable: asyncio.Future[None]) -> None:
    """Every member has the command, or it was not ordered at all."""
    if stable.cancelled() or isinstance(stable.exception(), Refused):
        if not waiting.applied:
            waiting.settle(False)
    else:
        waiting.settle(True)
