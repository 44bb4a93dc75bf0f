# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's copy of /etc/pve among the others': how it stays equal to them, and what a write's return promises.

In every new configuration of the group each member says what state it has; the newest wins, and its holder sends the
whole tree to those that have another. From then on operations are applied in the group's order, made durable and
acknowledged; a write returns when all members have acknowledged it. As every operation is ordered in a quorate
membership and is durable on all its members before its client hears of it, no later quorate membership can be
without a member that knows it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agentstack.cluster.corosync import Corosync, Message, Refused, View
from agentstack.cluster.store import Store
from agentstack.cluster.tree import Entry, Operation

log = logging.getLogger(__name__)

Changes = Mapping[str, Entry | None]


class ReadOnly(Exception):
    """The tree takes no writes: no quorum, or not mounted."""


class Proposal:
    """An operation of this host on its way through the order."""

    def __init__(self) -> None:
        self.applied = False
        self.failure: OSError | None = None
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """True: durable on all members; False: nowhere, to be sent again."""

    def settle(self, durable: bool) -> None:
        if not self.settled.done():
            self.settled.set_result(durable)

    def abandon(self) -> None:
        """Membership or quorum was lost before the fate of the operation was known."""
        if not self.settled.done():
            self.settled.set_exception(ReadOnly())
            # the writer may have been cancelled meanwhile
            self.settled.exception()


class Replica:
    """The state machine. `applied` hears of every change after it is durable, with the operation's writer;
    `broadcast` of every message that is not about the tree; `synchronised` of each completed agreement."""

    def __init__(self, store: Store, node_id: Callable[[], int], quorate: Callable[[], bool]) -> None:
        self.store = store
        self.node_id = node_id
        self.quorate = quorate
        self.corosync: Corosync | None = None
        self.applied: Callable[[Changes, set[int]], None] = lambda changes, writers: None
        self.replaced: Callable[[], None] = lambda: None
        self.broadcast: Callable[[int, dict[str, Any]], None] = lambda sender, body: None
        self.synchronised: Callable[[frozenset[int]], None] = lambda group: None
        self.view: View | None = None
        self.synced = False
        self._adopting = False
        self._adopted = False
        self._states: dict[int, tuple[int, int, str]] = {}
        self._inbox: deque[View | Message] = deque()
        self._held: list[Message] = []
        self._draining = False
        self._changes: dict[str, Entry | None] = {}
        self._writers: set[int] = set()
        self._processed: Message | None = None
        self._proposals: dict[int, Proposal] = {}
        self._unsettled: list[Proposal] = []
        self._turn: asyncio.Event = asyncio.Event()

    # --- for the file system ------------------------------------------------------------------------------------

    def attach(self, corosync: Corosync) -> None:
        """Join the group of a cluster; writes wait until the state has been agreed upon."""
        self.corosync = corosync
        corosync.join(self)

    def detach(self) -> None:
        """Leave the group. What is on its way is lost to its writers."""
        if self.corosync is not None and self.corosync.application is self:
            self.corosync.part()
        self.corosync = None
        self.disconnected()

    def turn(self) -> None:
        """Let everyone who waits for quorum or agreement look again."""
        self._turn.set()
        self._turn = asyncio.Event()

    def next_turn(self) -> asyncio.Event:
        """An event for the next time that quorum or agreement may have changed."""
        return self._turn

    async def writable(self) -> None:
        """Return when a write may be proposed; raises ReadOnly as long as there is no quorum."""
        while True:
            if not self.quorate():
                raise ReadOnly
            if self.corosync is None or self.synced:
                return
            await self._turn.wait()

    async def propose(self, operation: Operation, data: bytes = b"") -> None:
        """Carry out an operation on all members. Raises OSError as the operation does, ReadOnly without quorum."""
        while True:
            await self.writable()
            if self.corosync is None:
                self._apply(operation, data)
                self._commit()
                return
            proposal = self._send(operation, data)
            if await proposal.settled:
                if proposal.failure is not None:
                    raise proposal.failure
                return

    def bring(self, operation: Operation, data: bytes) -> None:
        """Carry out an operation on this host alone, before it joins the group: a first state to bring along."""
        assert self.corosync is None
        self._apply(operation, data)
        self._commit()

    def tell(self, body: dict[str, Any]) -> None:
        """Send a message about something else than the tree to all members, this one included; lost if there is no
        agreement at the moment."""
        if self.corosync is None:
            self.broadcast(self.node_id(), body)
        elif self.view is not None and self.synced:
            self.corosync.send(self.view.conf, body)

    def _send(self, operation: Operation, data: bytes) -> Proposal:
        assert self.corosync is not None
        assert self.view is not None
        proposal = Proposal()
        ident, stable = self.corosync.send(self.view.conf, {"k": "op", **operation}, data)
        self._proposals[ident] = proposal

        def done(future: asyncio.Future[None]) -> None:
            self._proposals.pop(ident, None)
            if future.cancelled() or isinstance(future.exception(), Refused):
                if not proposal.applied:
                    proposal.settle(False)
            else:
                proposal.settle(True)

        stable.add_done_callback(done)
        return proposal

    # --- from the group -----------------------------------------------------------------------------------------

    def viewed(self, view: View) -> None:
        self._receive(view)

    def delivered(self, message: Message) -> None:
        self._receive(message)

    def disconnected(self) -> None:
        self._inbox.clear()
        self._held.clear()
        self._commit()
        self.view = None
        self.synced = self._adopting = False
        self._processed = None
        for proposal in [*self._unsettled, *self._proposals.values()]:
            if proposal.applied:
                proposal.abandon()
        self._unsettled.clear()
        self.turn()

    def _receive(self, item: View | Message) -> None:
        self._inbox.append(item)
        if not self._draining:
            # what arrives in the same moment is made durable in one transaction
            self._draining = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _drain(self) -> None:
        self._draining = False
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, View):
                self._commit()
                self._begin(item)
            elif self.view is not None and item.conf == self.view.conf:
                self._process(item)
        self._commit()

    def _process(self, message: Message) -> None:
        kind = message.body.get("k")
        if kind == "state":
            body = message.body
            self._states[message.sender] = (body["epoch"], body["version"], body["digest"])
            if self.view is not None and set(self._states) >= self.view.group:
                self._decide()
        elif kind == "image" and self._adopting and message.payload:
            self._adopt(message)
            return
        elif kind == "op" and self._adopting:
            self._held.append(message)
            return
        elif kind == "op":
            self._deliver(message)
        elif kind != "image":
            self.broadcast(message.sender, message.body)
        if not self._held:
            self._processed = message

    def _deliver(self, message: Message) -> None:
        proposal = self._proposals.get(message.ident) if message.ident is not None else None
        failure: OSError | None = None
        try:
            self._apply(message.body, message.payload)
        except OSError as error:
            failure = error
        if proposal is not None:
            proposal.applied = True
            proposal.failure = failure

    def _apply(self, operation: Operation, data: bytes) -> None:
        if self.view is not None:
            self.store.tree.epoch = self.view.ring[1]
        self._changes |= self.store.tree.apply(operation, data)
        self._writers.add(int(operation["writer"]))

    def _commit(self) -> None:
        """Make everything processed durable, tell who wants to know, acknowledge."""
        changes, self._changes = self._changes, {}
        writers, self._writers = self._writers, set()
        if changes:
            self.store.commit(changes)
        if self._processed is not None and self.corosync is not None:
            self.corosync.acknowledge(self._processed)
            self._processed = None
        if changes:
            # others wait for the acknowledgement, and for none of this
            self.applied(changes, writers)

    # --- agreement ----------------------------------------------------------------------------------------------

    def _begin(self, view: View) -> None:
        self.view = view
        self.synced = self._adopting = False
        self._held.clear()
        self._states.clear()
        self._processed = None
        for ident, proposal in list(self._proposals.items()):
            if proposal.applied:
                self._unsettled.append(self._proposals.pop(ident))
        if self.corosync is not None and self.node_id() in view.group:
            tree = self.store.tree
            self.corosync.send(
                view.conf, {"k": "state", "epoch": tree.epoch, "version": tree.version, "digest": tree.digest}
            )

    def _decide(self) -> None:
        """All states are known: the newest wins; of equally new ones that of the lowest node id."""
        newest = max(self._states, key=lambda node: (self._states[node][:2], -node))
        behind = [node for node, state in self._states.items() if state != self._states[newest]]
        if self.node_id() in behind:
            log.info("[dcdb] notice: waiting for updates from node %d", newest)
            self._adopting = True
            return
        if behind and newest == self.node_id() and self.corosync is not None and self.view is not None:
            log.info("[dcdb] notice: sending the state to nodes %s", sorted(behind))
            self.corosync.send(self.view.conf, {"k": "image"}, self.store.tree.image(), behind)
        self._agreed(adopted=False)

    def _adopt(self, message: Message) -> None:
        self.store.tree.load_image(message.payload)
        self.store.replace()
        self._adopting = False
        self.replaced()
        held, self._held = self._held, []
        for operation in held:
            self._deliver(operation)
        self._processed = held[-1] if held else message
        self._agreed(adopted=True)

    def _agreed(self, *, adopted: bool) -> None:
        assert self.view is not None
        log.info("[dcdb] notice: all data is up to date")
        self.synced = True
        for proposal in self._unsettled:
            if self.quorate() and not adopted:
                proposal.settle(True)
            else:
                proposal.abandon()
        self._unsettled.clear()
        self.turn()
        self.synchronised(self.view.group)


def denied(path: str) -> OSError:
    """What a program gets that writes to /etc/pve without quorum."""
    return PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"/etc/pve/{path}")
