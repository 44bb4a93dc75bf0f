# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that reads or spends time.

Two kinds of time exist in a stack. *Durations* (timers, lock lives, task lengths, the pause after a 401) are divided
by the stack's scale, so that a drill of minutes takes seconds. The *wall clock* (tickets, UPIDs, calendar events) is
real time plus the host's own offset, of which `agentstack fault clock` and `agentstack clock advance` are parts; it is
never scaled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Clock:
    """A host's clock. `scale`: stack seconds per real second; `offset`: seconds this host's wall clock is ahead."""

    scale: float = 1.0
    offset: float = 0.0

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""
        return time.time() + self.offset

    def elapsed(self) -> float:
        """A monotonic count of stack seconds: what timers, locks and watchdogs are measured with."""
        return time.monotonic() * self.scale

    def real(self, seconds: float) -> float:
        """How many real seconds a duration of `seconds` stack seconds takes."""
        return seconds / self.scale

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` stack seconds pass."""
        await asyncio.sleep(self.real(seconds))

    async def wait_for(self, awaitable: Awaitable[T], seconds: float) -> T:
        """Await for at most `seconds` stack seconds; raises TimeoutError."""
        return await asyncio.wait_for(awaitable, self.real(seconds))
