# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each task of a playbook took, as lines of JSON in the file that BENCH_DURATIONS names."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: durations
type: aggregate
short_description: Write what each task took
description: One line of JSON a task. BENCH_PIDS names the processes whose processor time is noted besides, BENCH_RELAY
  the socket that tells how long servers were waited for.
"""


def processor_seconds(pids: list[int]) -> float:
    """What processes have used of the processors since they began, their threads included."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def waited(place: str) -> float:
    """What the relay with that socket says: seconds in which clients waited for the server, until now."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(place)
        with asking.makefile("r", encoding="ascii") as answer:
            return float(answer.readline())


class CallbackModule(CallbackBase):
    """A loop is one task, with all its rounds."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "durations"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._pids = [int(word) for word in os.environ["BENCH_PIDS"].split()]
        self._relay = os.environ["BENCH_RELAY"]
        self._begun = self._spent = self._waited = 0.0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """From here the clock runs."""
        self._spent, self._waited = processor_seconds(self._pids), waited(self._relay)
        self._begun = time.perf_counter()

    def v2_runner_on_ok(self, result: Any) -> None:
        """The task has ended."""
        wall = time.perf_counter() - self._begun
        inner = result.result if hasattr(result, "result") else result._result
        rounds = inner.get("results", [inner])
        line = {
            "wall": wall,
            "server": waited(self._relay) - self._waited,
            "processor": processor_seconds(self._pids) - self._spent,
            "changed": sum(bool(each.get("changed")) for each in rounds),
            "calls": sum(int(each.get("calls", 0)) for each in rounds),
        }
        with open(os.environ["BENCH_DURATIONS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
