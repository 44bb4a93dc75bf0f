# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host as seen from outside: its process group, its power button and its watchdog."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agentstack.stack import HostSpec

log = logging.getLogger(__name__)

Power = Literal["off", "booting", "on", "paused"]


@dataclass
class Machine:
    """A host's power state. Times are real seconds of the monotonic clock.

    `boot` forks the host's process and returns its id and the supervisor's end of the wire to it.
    """

    spec: HostSpec
    boot: Callable[[Machine], tuple[int, socket.socket]]
    boot_time: float
    scale: float
    stop_time: float = 5.0
    power: Power = "off"
    pid: int | None = None
    wire: socket.socket | None = None
    ready: bool = False
    failure: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    boot_at: float | None = None
    kill_at: float | None = None
    watchdog_timeout: float | None = None
    watchdog_at: float | None = None
    boot_again: bool = False
    cut: bool = False
    for_good: bool = False
    """The stack goes down: whatever else comes, a watchdog too, the host does not boot any more."""
    wake: Callable[[str], None] = lambda name: None
    """Boots another host of the stack."""

    @property
    def name(self) -> str:
        return self.spec.name

    def power_on(self, delay: float | None = None) -> None:
        """Boot the host `delay` real seconds from now (its usual boot time by default); nothing if it is on."""
        if self.cut:
            # its processes have been killed, and their end has not been noticed yet
            self.boot_again = not self.for_good
        elif self.power == "off" and not self.for_good:
            self.power = "booting"
            self.boot_at = time.monotonic() + (self.boot_time if delay is None else delay)

    def cut_power(self) -> None:
        """The power goes: the host's processes end at once, in the middle of whatever they do."""
        self.boot_at = None
        self.boot_again = False
        if self.pid is None:
            self.power = "off"
        else:
            self.cut, self.ready = True, False
            _signal_group(self.pid, signal.SIGKILL)

    def reset(self) -> None:
        """Cut the power and boot again."""
        if self.power != "off":
            self.cut_power()
            self.power_on()

    def pause(self) -> None:
        """Freeze every process of the host; its watchdog goes on counting."""
        if self.pid is not None:
            _signal_group(self.pid, signal.SIGSTOP)
            self.power = "paused"

    def resume(self) -> None:
        """Let a frozen host go on."""
        if self.pid is not None and self.power == "paused":
            _signal_group(self.pid, signal.SIGCONT)
            self.power = "on"

    def leave(self, *, boot_again: bool) -> None:
        """An orderly end, with a limit after which the power is cut."""
        self.boot_again = boot_again
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            self.resume()
            self.kill_at = time.monotonic() + self.stop_time

    def deadlines(self) -> list[float]:
        """When `tick` has to be called next."""
        return [at for at in (self.boot_at, self.kill_at, self.watchdog_at) if at is not None]

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.watchdog_at is not None and now >= self.watchdog_at:
            log.warning("%s: watchdog expired, resetting the host", self.name)
            self.watchdog_at = None
            self.reset()
        if self.kill_at is not None and now >= self.kill_at:
            log.warning("%s: did not end in time, power cut", self.name)
            self.kill_at = None
            if self.pid is not None:
                _signal_group(self.pid, signal.SIGKILL)
        if self.boot_at is not None and now >= self.boot_at:
            self.boot_at = None
            self.power, self.ready, self.failure = "on", False, None
            self.pid, self.wire = self.boot(self)
            log.info("%s: on, process %d", self.name, self.pid)

    def receive(self, message: dict[str, Any]) -> None:
        """Take a message of the host (`SupervisorClient`)."""
        match message:
            case {"watchdog": "arm", "timeout": timeout}:
                self.watchdog_timeout = float(timeout) / self.scale
                self.watchdog_at = time.monotonic() + self.watchdog_timeout
            case {"watchdog": "feed"} if self.watchdog_at is not None and self.watchdog_timeout is not None:
                self.watchdog_at = time.monotonic() + self.watchdog_timeout
            case {"watchdog": "disarm"}:
                self.watchdog_at = None
            case {"ready": facts}:
                self.ready, self.facts = True, facts
            case {"failed": reason}:
                self.failure = str(reason)
            case {"report": report}:
                self.report = report
            case {"wake": name}:
                self.wake(str(name))
            case {"leave": then}:
                self.leave(boot_again=then == "reboot")

    def ended(self, status: int) -> None:
        """The host's first process has ended with the wait status `status`: what it left behind ends too."""
        log.info("%s: off (%s)", self.name, _describe(status))
        if self.pid is not None:
            _signal_group(self.pid, signal.SIGKILL)
        self.pid = self.kill_at = self.watchdog_at = None
        self.power, self.ready, self.cut, self.report = "off", False, False, {}
        if self.boot_again:
            self.boot_again = False
            self.power_on()

    def memory(self) -> float | None:
        """The host's proportional share of memory (PSS) in MiB."""
        if self.pid is None:
            return None
        with contextlib.suppress(OSError):
            match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{self.pid}/smaps_rollup").read_text(), re.MULTILINE)
            return round(int(match[1]) / 1024, 1) if match else None
        return None


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"signal {-code}"
