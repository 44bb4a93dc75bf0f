# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated guests: a flag that says whether it runs, and the test resource with built-in faults."""

from __future__ import annotations

from collections.abc import Callable

from agentstack.ha.environment import LogLevel
from agentstack.sim.world import Faults, World


class SimGuest:
    """One guest as a worker on ``node`` sees it."""

    def __init__(self, world: World, sid: str, node: str, log: Callable[[LogLevel, str], None]) -> None:
        self._world = world
        self._sid = sid
        self._here = node
        self._log = log
        self._kind, _, self._digits = sid.partition(":")

    @property
    def node(self) -> str | None:
        service = self._world.services.get(self._sid)
        return service["node"] if service is not None else None

    def running(self) -> bool:
        return self._sid in self._world.running[self._here]

    def can_migrate_online(self) -> bool:
        return self._kind != "ct"

    def _locked(self, action: str) -> bool:
        lock = self._world.services[self._sid].get("lock")
        if lock:
            self._log("err", f"service '{self._sid}' locked ({lock}), unable to {action}!")
        return bool(lock)

    # -- actions --------------------------------------------------------------------------------------------------
    def start(self) -> None:
        if not self._locked("start") and not self._fails("start", 1):
            self._world.running[self._here].add(self._sid)

    def stop(self, timeout: int | None) -> None:
        if not self._locked("stop") and not self._never_stops():
            self._world.running[self._here].discard(self._sid)

    def migrate(self, target: str, online: bool) -> bool:
        if self._kind == "fa" and self._fails("migrate", 2):
            return False
        kind = "migrate" if online else "relocate"
        self._log("info", f"service {self._sid} - start {kind} to node '{target}'")
        if self._locked("migrate"):
            return False
        if not online and self.running():
            self._log("info", f"stopping service {self._sid} (relocate)")
            self.stop(None)
            if self.running():
                self._log("info", f"unable to stop service {self._sid} (still running)")
                return False
            self._log("info", f"service status {self._sid} stopped")
        self._world.services[self._sid]["node"] = target
        self._world.resources_changed()
        self._world.running[self._here].discard(self._sid)
        self._log("info", f"service {self._sid} - end {kind} to node '{target}'")
        return True

    # -- faults of the test resource ------------------------------------------------------------------------------
    def _digit(self, position: int) -> int:
        return int(self._digits[position]) if self._kind == "fa" and position < len(self._digits) else 0

    def _never_stops(self) -> bool:
        return self._digit(3) != 0

    def _fails(self, action: str, position: int) -> bool:
        node = self._digit(5)
        if self._kind != "fa" or (node and self._here != f"node{node}"):
            return False
        faults = self._world.faults.setdefault(self._sid, Faults())
        count = getattr(faults, action)
        failed: bool = count < self._digit(position)
        setattr(faults, action, count + 1 if failed else 0)
        return failed
