# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a limit of throughput lets through."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from agentstack.clock import Clock
from agentstack.pbs.traffic import Bucket, limits


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
