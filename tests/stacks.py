# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks as tests handle them: through the command line, as users do."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from agentstack import control, launch, stackfile
from agentstack.commands.fault import clear, set_fault
from agentstack.ports import claim_net
from agentstack.reader import StackError
from agentstack.stack import LAST_NET

T = TypeVar("T")


def agentstack(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `agentstack` with these words, as a user does."""
    command = [sys.executable, "-m", "agentstack", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def wait_until(look: Callable[[], T], timeout: float = 15.0) -> T:
    """The first true answer of `look`; fails after `timeout` real seconds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (answer := look()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        pause.wait(0.02)
    return answer


def ends_within(pids: list[int], timeout: float) -> list[int]:
    """Wait for the ends of processes; gives those that still live after `timeout` real seconds."""
    deadline = time.monotonic() + timeout
    alive = []
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            alive += [] if ready else [pid]
        finally:
            os.close(descriptor)
    return alive


def descendants(pid: int) -> list[int]:
    """A process, and all that it and they have started, whatever session they are in."""
    found, wanted = [], {pid}
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    while wanted:
        found += sorted(wanted)
        wanted = {child for child, parent in parents.items() if parent in wanted}
    return found


@dataclass
class RunningStack:
    """A stack in a directory of its own; up unless a test says otherwise."""

    dir: Path
    file: Path
    definition: dict[str, Any] = field(default_factory=dict)

    def run(self, command: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """`agentstack COMMAND --dir … WORDS`."""
        return agentstack(command, "--dir", self.dir, *words)

    def up(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`agentstack up`, which has to succeed."""
        done = self.run("up", "--file", self.file, *words)
        assert done.returncode == 0, done.stderr
        return done

    def down(self) -> None:
        """As `agentstack down` does; nothing if it is not up."""
        launch.down(self.dir)

    def status(self) -> dict[str, Any]:
        """The document of `agentstack status --json`, asked of the supervisor itself."""
        return control.request(self.dir, {"do": "status"})

    def host(self, name: str) -> dict[str, Any]:
        """A host's part of the status."""
        return next(host for host in self.status()["hosts"] if host["name"] == name)

    def power(self, action: str, host: str) -> None:
        """Press a power button, as `agentstack power` does."""
        control.request(self.dir, {"do": "power", "host": host, "action": action})

    def fault(self, kind: str, *words: str) -> None:
        """Break or restore something, as `agentstack fault KIND WORDS` does."""
        set_fault(self.dir, kind, *words)

    def clear_faults(self, kind: str | None = None) -> None:
        """As `agentstack fault clear [KIND]` does."""
        clear(kind, self.dir)

    def wait_ready(self, host: str, timeout: float = 15.0) -> dict[str, Any]:
        """Wait until a host's services answer."""
        return wait_until(lambda: found if (found := self.host(host))["ready"] else None, timeout) or {}

    def pids(self) -> list[int]:
        """Every process of the stack: supervisor, fabric, hosts, guests."""
        return descendants(self.status()["pid"])

    @property
    def resolved(self) -> dict[str, Any]:
        """`stack.json`: every host's addresses."""
        answer: dict[str, Any] = json.loads((self.dir / "stack.json").read_text())
        return answer

    @property
    def secrets(self) -> dict[str, Any]:
        """`secrets.yml`: root's password, fingerprints, SSH host keys."""
        answer: dict[str, Any] = yaml.safe_load((self.dir / "secrets.yml").read_text())
        return answer


def free_net() -> int:
    """A network number that no stack has, outside of those that stacks choose by themselves: a stack that a test takes
    down for a while would lose its number to the next one that comes up on this machine."""
    # each of the processes that share the tests has numbers of its own: to look whether one is free takes it a moment
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    numbers = list(range(LAST_NET + 1, 255))[own :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    random.shuffle(numbers)
    for net in numbers:
        try:
            _, claim = claim_net(stackfile.loads("hosts: {any: {}}", net=net), Path())
        except StackError:
            continue
        claim.close()
        return net
    raise AssertionError("every network number is taken")


StackFactory = Callable[..., RunningStack]
"""`stack_factory(hosts=2, scale=20, …)`: see the fixture."""
