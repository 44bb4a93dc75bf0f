# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest as an LRM worker drives it: every action is an ordinary task of root@pam (observed: HA time line)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from agentstack.access.identity import ROOT, Identity
from agentstack.guests import config as configs
from agentstack.guests import operations
from agentstack.guests.config import BY_SERVICE, LXC
from agentstack.guests.migrate import Request, migrate
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

T = TypeVar("T")

ROOT_IDENTITY = Identity(ROOT)


class GuestDriver:
    """Blocking calls, made from a worker thread and carried out in the host's event loop."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop, sid: str) -> None:
        service, _, vmid = sid.partition(":")
        self.host = host
        self.kind = BY_SERVICE[service]
        self.vmid = int(vmid)
        self._loop = loop

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def node(self) -> str | None:
        place = configs.place(self.host, self.vmid)
        return place.node if place is not None and place.kind is self.kind else None

    def running(self) -> bool:
        return self.host.guests.is_running(self.vmid)

    def _task(self, name: str, action: Callable[[Task], Awaitable[None]]) -> bool:
        async def run() -> str:
            upid = self.host.tasks.start(ROOT_IDENTITY, f"{name}", str(self.vmid), action)
            return await self.host.tasks.wait(upid)

        status = self._wait(run())
        return status == "OK" or status.startswith("WARNINGS")

    def start(self) -> None:
        async def action(task: Task) -> None:
            await operations.start(self.host, self.kind, self.vmid, log=task.log)

        self._task(f"{self.kind.prefix}start", action)

    def stop(self, timeout: int | None) -> None:
        async def hard(task: Task) -> None:
            await operations.stop(self.host, self.kind, self.vmid, log=task.log)

        async def soft(task: Task) -> None:
            seconds = operations.DEFAULT_SHUTDOWN_TIMEOUT if timeout is None else timeout
            await operations.shutdown(self.host, self.kind, self.vmid, seconds, force=True, log=task.log)

        if timeout == 0:
            self._task(f"{self.kind.prefix}stop", hard)
        else:
            self._task(f"{self.kind.prefix}shutdown", soft)

    def can_migrate_online(self) -> bool:
        return self.kind is not LXC

    def migrate(self, target: str, online: bool) -> bool:
        if not online and self.running():
            self.stop(None)
            if self.running():
                return False

        async def action(task: Task) -> None:
            request = Request(target, online=online, with_local_disks=True)
            await migrate(self.host, self.kind, self.vmid, request, task.log)

        name = "qmigrate" if self.kind is not LXC else "vzmigrate"
        return self._task(name, action)
