# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where faults are ordered: the supervisor's list of them, kept in `STATE/faults.json` for those who make them happen.

Requests: {"do": "fault", "kind": "network", "target": ["ring1"], "settings": {"loss": 0.05}}   settings null: it ends
          {"do": "faults"}                                     {"faults": [{kind, target, settings}]}
          {"do": "clear faults", "kind": "network" or null}    all of a kind, or all
          {"do": "advance clock", "seconds": 86400}            all hosts, from then on: kept in `STATE/clock.json`
All but the second are answered when the switch and every running host have taken the change into account.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstack.faults.kinds import Fault, check, kind_of
from agentstack.reader import StackError
from agentstack.stack import Stack

FILE = "faults.json"
CLOCK = "clock.json"

REQUESTS = ("fault", "faults", "clear faults", "advance clock")
"""What it is asked to do."""

PATIENCE = 5.0
"""Real seconds after which a change is answered although somebody has not taken it yet (a host that just ends)."""


@dataclass
class Waiting:
    """An answer that is owed."""

    version: int
    names: set[str]
    until: float
    reply: Callable[[dict[str, Any]], None]


class FaultDesk:
    """The faults of a stack. `tell`: lets everybody who runs know of a new version, and says who they are."""

    def __init__(self, stack: Stack, state: Path, tell: Callable[[int], Collection[str]]) -> None:
        self.stack = stack
        self.path = state / FILE
        self.tell = tell
        self.state = state
        self.faults: dict[tuple[str, tuple[str, ...]], Fault] = {}
        self.version = 0
        self._waiting: list[Waiting] = []
        # faults end with the stack
        self.path.unlink(missing_ok=True)

    def answer(self, request: dict[str, Any], reply: Callable[[dict[str, Any]], None]) -> None:
        """Carry out a request; `reply` is called once, now or later."""
        try:
            match request:
                case {"do": "fault", "kind": str(kind), "target": list(target), "settings": settings}:
                    self._set(kind, tuple(str(name) for name in target), settings)
                case {"do": "clear faults", "kind": kind}:
                    self.faults = {key: fault for key, fault in self.faults.items() if kind not in (None, fault.kind)}
                case {"do": "advance clock", "seconds": float(seconds) | int(seconds)}:
                    _advance(self.state, float(seconds))
                case _:
                    reply(self.status())
                    return
        except StackError as error:
            reply({"error": str(error)})
            return
        self.version += 1
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps({"version": self.version, **self.status()}))
        draft.replace(self.path)
        told = set(self.tell(self.version))
        self._waiting.append(Waiting(self.version, told, time.monotonic() + PATIENCE, reply))
        self.tick()

    def status(self) -> dict[str, Any]:
        """All faults, and how many seconds the clocks of the stack were advanced."""
        return {"faults": [fault.describe() for fault in self.faults.values()], "advanced": advanced(self.state)}

    def taken(self, name: str, version: int) -> None:
        """A host (or the switch) has taken this version into account."""
        for waiting in self._waiting:
            if waiting.version <= version:
                waiting.names.discard(name)
        self.tick()

    def gone(self, name: str) -> None:
        """A host has ended: nothing is to be waited for."""
        self.taken(name, self.version)

    def deadlines(self) -> list[float]:
        """When `tick` has to be called next."""
        return [waiting.until for waiting in self._waiting]

    def tick(self) -> None:
        """Give the answers that are due."""
        now = time.monotonic()
        due = [waiting for waiting in self._waiting if not waiting.names or waiting.until <= now]
        self._waiting = [waiting for waiting in self._waiting if waiting not in due]
        for waiting in due:
            waiting.reply(self.status())

    def _set(self, name: str, target: tuple[str, ...], settings: dict[str, Any] | None) -> None:
        kind = kind_of(name)
        check(self.stack, Fault(name, target, settings or {}))
        key = (name, target)
        if settings is None:
            self.faults.pop(key, None)
            return
        if kind.names is not None and not settings.get(kind.names):
            raise StackError(f"a fault of kind {name} needs {kind.names}")
        before = self.faults[key].settings if key in self.faults else {}
        merged = {option: value for option, value in {**before, **settings}.items() if value not in (0, None, False)}
        if merged:
            self.faults[key] = Fault(name, target, merged)
        else:
            self.faults.pop(key, None)


def advanced(state: Path) -> float:
    """Seconds by which all clocks of a stack are ahead of this machine's: they stay so when it is started again."""
    try:
        return float(json.loads((state / CLOCK).read_text())["advanced"])
    except FileNotFoundError:
        return 0.0


def _advance(state: Path, seconds: float) -> None:
    if seconds <= 0:
        raise StackError(f"the clocks of a stack are advanced, by more than 0 seconds, not by {seconds:g}")
    path = state / CLOCK
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"advanced": advanced(state) + seconds}))
    draft.replace(path)


def read(state: Path) -> tuple[int, list[Fault]]:
    """The faults of a stack and the version of their list, for its processes."""
    try:
        kept = json.loads((state / FILE).read_text())
    except FileNotFoundError:
        return 0, []
    return int(kept["version"]), [Fault.read(fault) for fault in kept["faults"]]
