# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watchdog multiplexer of a host: several clients on one device (facts §7.4)."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from agentstack.supervisor_client import WATCHDOG_TIMEOUT

if TYPE_CHECKING:
    from agentstack.host import Host


class Watchdog:
    """Resets the host when any open client was not heard of for 60 stack seconds.

    The device itself is told when the first of them would be due, so that nothing has to feed it in between, and a host
    that does nothing at all any more is reset too.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self._clients: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def open(self) -> str:
        """A new client; its handle."""
        handle = str(next(self._numbers))
        self.update(handle)
        return handle

    def update(self, handle: str) -> None:
        """Hear of a client."""
        with self._lock:
            self._clients[handle] = self.host.clock.elapsed()
            self._arm()

    def close(self, handle: str) -> None:
        """Let a client go in good order."""
        with self._lock:
            self._clients.pop(handle, None)
            self._arm()

    @property
    def active(self) -> bool:
        return bool(self._clients)

    def _arm(self) -> None:
        if self._clients:
            due = min(self._clients.values()) + WATCHDOG_TIMEOUT
            self.host.supervisor.arm_watchdog(max(0.0, due - self.host.clock.elapsed()))
        else:
            self.host.supervisor.disarm_watchdog()
