# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When jobs run again after failures, and how fast they send (facts §9.3)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentstack.clock import Clock as WallClock
from agentstack.replication import transfer
from agentstack.replication.runner import JobState, Runner
from agentstack.sections import Entry

JOB = Entry("100-0", "local", {"target": "pve2", "schedule": "*/15", "source": "pve1"})
MINUTE = 60
START = 1_800_000_000


class Clock:
    """A clock that stands; `slept` is what it was asked to wait for."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.scale = 1.0

    def now(self) -> float:
        return START

    def elapsed(self) -> float:
        return 0.0

    def real(self, seconds: float) -> float:
        return seconds / self.scale

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def host(tmp_path: Path) -> Any:
    cluster = SimpleNamespace(members=lambda: {"pve1", "pve2"})
    return SimpleNamespace(root=tmp_path, clock=Clock(), cluster=cluster)


@pytest.mark.parametrize(("failures", "minutes"), [(1, 5), (2, 10), (3, 15), (4, 30), (5, 30), (50, 30)])
def test_steps_between_attempts(host: Any, failures: int, minutes: int) -> None:
    runner = Runner(host)
    runner.keep(JOB, JobState(last_sync=START - 999, last_try=START, fail_count=failures, error="gone"))
    assert runner.due(JOB) == START + minutes * MINUTE


def test_pauses_are_as_short_as_the_stack_is_fast(host: Any) -> None:
    host.clock.scale = 20
    runner = Runner(host)
    runner.keep(JOB, JobState(last_sync=START - 999, last_try=START, fail_count=2, error="gone"))
    assert runner.due(JOB) == START + 30


def test_a_job_that_fails_waits_for_its_target(host: Any) -> None:
    runner = Runner(host)
    runner.keep(JOB, JobState(last_sync=1, last_try=START - 3600, fail_count=1, error="gone"))
    assert runner.due(JOB) < START
    host.cluster.members = lambda: {"pve1"}
    assert runner.due(JOB) > START


@pytest.mark.parametrize(("rate", "seconds"), [(1.0, [50.0]), (20.0, [2.5]), (None, [])])
async def test_rates_are_decimal_megabytes(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float | None, seconds: list[float]
) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(b"x")
    monkeypatch.setattr(transfer, "_snapshot_path", lambda host, volid, name: disk)

    class Line:
        async def ask(self, request: dict[str, Any], path: Path, sums: object) -> int:
            return 50_000_000

    copy = transfer.Copy("100-0", 100, "pve2", ["tank:vm-100-disk-0"], rate)
    await transfer._send(host, Line(), copy, "tank:vm-100-disk-0", None, "now")  # type: ignore[arg-type]
    assert host.clock.slept == seconds


async def test_a_run_waits_for_its_guest_for_two_seconds(host: Any, tmp_path: Path) -> None:
    """Whoever else works on the guest (a migration, a backup's beginning) keeps a run from it; that is a failure."""
    told: list[tuple[Any, ...]] = []
    lock = asyncio.Lock()
    host.clock = WallClock(scale=1000)
    host.guests = SimpleNamespace(lock=lambda vmid: lock)
    host.notifications = SimpleNamespace(replication_failed=lambda *given: told.append(given))
    await lock.acquire()
    runner = Runner(host)
    await runner._run(JOB)
    state = runner.state(JOB)
    assert state.error == "can't lock file '/var/lock/pve-manager/pve-migrate-100' - got timeout"
    assert (state.fail_count, state.last_sync) == (1, 0)
    [(ident, target, schedule, moments, count, error)] = told
    assert (ident, target, schedule, count, error) == ("100-0", "pve2", "*/15", 1, state.error)
    assert moments == (0, state.last_try + 1)
    assert runner.log_of("100-0")[-1].endswith(f"end replication job with error: {state.error}")
