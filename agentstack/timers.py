# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transient timers of systemd-run(1): command lines that a host runs some time from now. A reboot ends them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)


class Timers:
    """The timers of one host, by the name of their unit without its ending: `host.timers`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._services: set[asyncio.Task[None]] = set()
        """Those that are due: their timers are gone, what they run goes on."""

    async def start(self) -> None:
        """There are none after a boot."""

    async def stop(self) -> None:
        """None outlives its host."""
        for task in (*self._tasks.values(), *self._services):
            task.cancel()

    def has(self, name: str) -> bool:
        """Whether a timer of that name waits."""
        return name in self._tasks

    def add(self, name: str, seconds: float, lines: Sequence[tuple[str, bool]]) -> None:
        """Run command lines one after another, in `seconds` stack seconds; one that fails is the last unless it may."""

        async def run() -> None:
            await self.host.clock.sleep(seconds)
            service = self._tasks.pop(name)
            self._services.add(service)
            service.add_done_callback(self._services.discard)
            for line, may_fail in lines:
                io = CommandIO()
                status = await command.run(self.host, line, io)
                if status:
                    said = io.stderr.decode(errors="replace").strip()
                    log.warning("%s.service: %s ended with status %s: %s", name, line, status, said)
                if status and not may_fail:
                    break

        self._tasks[name] = asyncio.get_running_loop().create_task(run())

    def cancel(self, name: str) -> None:
        """Stop a timer before it is due."""
        self._tasks.pop(name).cancel()
