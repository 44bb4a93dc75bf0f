# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's wires to what stands outside of it: its power supply, its watchdog device, and the stack's status board."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

WATCHDOG_TIMEOUT = 60.0
"""Stack seconds after which an armed watchdog that was not fed resets the host (facts §7)."""


class SupervisorClient:
    """The host's end of a packet socket pair; messages are single JSON packets, none is answered."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        wire.setblocking(False)

    def arm_watchdog(self, timeout: float = WATCHDOG_TIMEOUT) -> None:
        """Start the watchdog: from now on it has to be fed at least every `timeout` stack seconds."""
        self._send({"watchdog": "arm", "timeout": timeout})

    def feed_watchdog(self) -> None:
        """Start the armed watchdog's time anew."""
        self._send({"watchdog": "feed"})

    def disarm_watchdog(self) -> None:
        """Stop the watchdog (the magic close of the device)."""
        self._send({"watchdog": "disarm"})

    async def power_off(self) -> None:
        """End this host in an orderly way and leave it off; returns never in effect."""
        await self._leave("off")

    async def reset(self) -> None:
        """End this host in an orderly way and boot it again."""
        await self._leave("reboot")

    def wake(self, node: str) -> None:
        """Send a wake-up packet to another host: it boots if its power is off."""
        self._send({"wake": node})

    def ready(self, facts: dict[str, Any]) -> None:
        """Say that every service of the host answers; `facts`: what was made at the first start."""
        self._send({"ready": facts})

    def failed(self, reason: str) -> None:
        """Say why the host cannot start."""
        self._send({"failed": reason})

    def report(self, report: dict[str, Any]) -> None:
        """Replace what the status board shows about this host."""
        self._send({"report": report})

    def listen(self, changed: Callable[[], None] | None) -> None:
        """Have `changed` called when the stack's list of faults is another one (`faults.desk.read`); None: no more."""
        loop = asyncio.get_running_loop()
        if changed is None:
            loop.remove_reader(self.wire)
            return

        def hear() -> None:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while self.wire.recv(4096):
                    changed()
                # at the end of the stream; the lease ends this process
                loop.remove_reader(self.wire)

        loop.add_reader(self.wire, hear)

    def took_faults(self, version: int) -> None:
        """Say that this version of the list has been taken into account."""
        self._send({"faults": version})

    async def _leave(self, then: str) -> None:
        self._send({"leave": then})
        await asyncio.Event().wait()

    def _send(self, message: dict[str, Any]) -> None:
        # a supervisor that is paused or gone is no reason for a host to stop working: its lease sees to that
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self.wire.send(json.dumps(message).encode())
