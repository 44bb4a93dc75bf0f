# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster-wide locks: directories under priv/lock that exactly one host can make (facts §2)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable

from agentstack.clock import Clock
from agentstack.cluster.replica import ReadOnly, Replica
from agentstack.cluster.tree import LOCKS, Operation
from agentstack.errors import AgentError, NoQuorum

log = logging.getLogger(__name__)

EXPIRY = 120.0
"""Stack seconds after which a lock that nobody renewed may be taken over."""
WORK = 60.0
"""Stack seconds that work under a lock may take."""
RETRY = 1.0
BUSY_MACHINE = 3.0
"""Real seconds that waiting and work are granted at least: computing does not get faster with the stack's time."""


class NoLock(AgentError):
    """The lock was not had: `cfs-lock 'NAME' error: …`."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cfs-lock '{name}' error: {reason}")


class NoLockWithoutQuorum(NoLock, NoQuorum):
    """The same because of missing quorum."""

    def __init__(self, name: str) -> None:
        NoLock.__init__(self, name, "no quorum!")


class Locks:
    """The locks of one host. `stamp` adds writer and mtime to an operation."""

    def __init__(self, replica: Replica, clock: Clock, owner: str, stamp: Callable[[Operation], Operation]) -> None:
        self.replica = replica
        self.clock = clock
        self.owner = owner
        self._stamp = stamp
        self._serial = itertools.count(1)
        self._seen: dict[str, tuple[int, float]] = {}
        """Lock -> its version, and when this host saw that for the first time (stack seconds)."""
        self._local: dict[str, asyncio.Lock] = {}
        self._released = asyncio.Event()

    def changed(self, paths: Iterable[str]) -> None:
        """The tree has changed at these paths."""
        locks = [path for path in paths if path.startswith(f"{LOCKS}/")]
        for path in locks:
            self._look(path.removeprefix(f"{LOCKS}/"))
        if locks:
            self._released.set()
            self._released = asyncio.Event()

    def _look(self, name: str) -> tuple[int, float] | None:
        entry = self.replica.store.tree.entries.get(f"{LOCKS}/{name}")
        if entry is None:
            self._seen.pop(name, None)
            return None
        seen = self._seen.get(name)
        if seen is None or seen[0] != entry.version:
            seen = self._seen[name] = (entry.version, self.clock.elapsed())
        return seen

    async def hold(self, name: str, owner: str | None = None) -> bool:
        """Take or renew a lock without waiting; False if another has it (or there is no quorum). `owner`: this host
        as a whole unless a part of it is named."""
        operation: Operation = {"op": "lock", "name": name, "owner": owner or self.owner}
        seen = self._look(name)
        if seen is not None and self.clock.elapsed() - seen[1] > EXPIRY:
            operation["stale"] = seen[0]
        try:
            await self.replica.propose(self._stamp(operation))
        except (FileExistsError, ReadOnly):
            return False
        return True

    async def release(self, name: str, owner: str | None = None) -> None:
        """Give a lock back. Without quorum it stays until it expires."""
        operation: Operation = {"op": "unlock", "name": name, "owner": owner or self.owner}
        try:
            await self.replica.propose(self._stamp(operation))
        except ReadOnly:
            log.warning("cfs-lock '%s': cannot be released without quorum", name)

    def holder(self, name: str) -> str | None:
        """Who has the lock, None if nobody."""
        entry = self.replica.store.tree.entries.get(f"{LOCKS}/{name}")
        return None if entry is None else entry.owner

    @contextlib.asynccontextmanager
    async def lock(self, name: str, timeout: float = 10.0) -> AsyncIterator[None]:
        """Have the lock around a block of work; `timeout` in stack seconds. Raises NoLock, NoLockWithoutQuorum."""
        owner = f"{self.owner}/{next(self._serial)}"
        begin = asyncio.get_running_loop().time()
        local = self._local.setdefault(name, asyncio.Lock())
        patience = max(self.clock.real(timeout), BUSY_MACHINE)
        try:
            async with asyncio.timeout(patience):
                await local.acquire()
        except TimeoutError:
            raise NoLock(name, "got lock request timeout") from None
        try:
            await self._wait_for(name, owner, begin, timeout)
            try:
                async with asyncio.timeout(max(self.clock.real(WORK), BUSY_MACHINE)) as limit:
                    yield
            except TimeoutError:
                if limit.expired():
                    raise NoLock(name, "got lock timeout - aborting command") from None
                raise
            finally:
                await asyncio.shield(self.release(name, owner))
        finally:
            local.release()

    async def _wait_for(self, name: str, owner: str, begin: float, timeout: float) -> None:
        now = asyncio.get_running_loop().time
        while True:
            released, turn = self._released, self.replica.next_turn()
            if await self.hold(name, owner):
                return
            quorate = self.replica.quorate()
            limit = self.clock.real(timeout)
            if now() - begin >= (max(limit, BUSY_MACHINE) if quorate else limit):
                raise NoLock(name, "got lock request timeout") if quorate else NoLockWithoutQuorum(name)
            waits = [asyncio.ensure_future(event.wait()) for event in (released, turn)]
            pause = min(self.clock.real(RETRY), max(0.001, begin + limit - now()) if not quorate else RETRY)
            await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
