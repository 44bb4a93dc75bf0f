# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a limit of throughput lets through."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentstack.clock import Clock
from agentstack.pbs.traffic import Bucket, Traffic, limits


@dataclass
class Timepiece(Clock):
    """A clock that moves only while somebody sleeps."""

    moment: float = 0.0

    def elapsed(self) -> float:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.moment += seconds


def test_what_exceeds_the_burst_takes_its_time() -> None:
    clock = Timepiece()
    bucket = Bucket(clock, rate=100, burst=50)
    asyncio.run(bucket.take(50))
    assert clock.moment == 0
    asyncio.run(bucket.take(1000))
    assert clock.moment == pytest.approx(10)
    asyncio.run(bucket.take(100))
    assert clock.moment == pytest.approx(11)
    clock.moment += 60
    asyncio.run(bucket.take(50))
    assert clock.moment == pytest.approx(71)


def test_limits_are_read_from_settings() -> None:
    found = limits(Timepiece(), {"rate-in": "1 KiB", "burst-in": "2 KiB", "rate-out": "10 MB"})
    assert (found["in"].rate, found["in"].burst) == (1024, 2048)
    assert (found["out"].rate, found["out"].burst) == (10_000_000, 10_000_000)
    assert limits(Timepiece(), {}) == {}


RULES: dict[str, dict[str, Any]] = {
    "everywhere": {"network": ["0.0.0.0/0"], "rate-in": "1 MiB"},
    "office": {"network": ["10.0.0.0/8"], "rate-in": "1 KiB", "timeframe": ["mon..fri 8-18"]},
    "one-host": {"network": ["10.1.1.1/32", "10.1.1.2"], "rate-in": "2 KiB"},
    "nodes": {"network": ["10.1.0.0/16"], "rate-in": "3 KiB", "users": ["nodes@pbs"]},
}
MONDAY_NOON, MONDAY_NIGHT, SUNDAY_NOON = (datetime(2026, 11, day, hour, tzinfo=UTC) for day, hour in
                                          ((23, 12), (23, 22), (22, 12)))  # fmt: skip


@pytest.mark.parametrize(
    ("address", "user", "moment", "rule"),
    [
        ("10.2.0.1", "root@pam", MONDAY_NOON, "office"),
        ("10.2.0.1", "root@pam", MONDAY_NIGHT, "everywhere"),
        ("10.2.0.1", "root@pam", SUNDAY_NOON, "everywhere"),
        ("10.1.1.1", "root@pam", MONDAY_NOON, "one-host"),
        ("10.1.1.2", "root@pam", MONDAY_NOON, "one-host"),
        ("10.1.2.3", "nodes@pbs", MONDAY_NOON, "nodes"),
        ("10.1.1.1", "nodes@pbs", MONDAY_NOON, "nodes"),
        ("192.168.1.1", "root@pam", MONDAY_NOON, "everywhere"),
        ("fd00::1", "root@pam", MONDAY_NOON, None),
    ],
)
def test_the_rule_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, user: str, moment: datetime, rule: str | None
) -> None:
    """The narrowest network, one for the user before one for everybody, only within its times."""
    found = SimpleNamespace(of=lambda kind: RULES)
    monkeypatch.setattr("agentstack.pbs.traffic.TRAFFIC", SimpleNamespace(read=lambda host: found))
    monkeypatch.setattr("agentstack.pbs.traffic.zone", lambda host: "UTC")
    host: Any = SimpleNamespace(clock=SimpleNamespace(now=moment.timestamp, elapsed=lambda: 0.0))
    assert Traffic(host)._rule(address, user) == rule
