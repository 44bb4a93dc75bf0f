# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of throughput: of synchronisations, and of everything a traffic rule is about (facts §20.4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from agentstack._shared.units import parse_bytes
from agentstack.clock import Clock
from agentstack.daily_duration import DailyDuration
from agentstack.pbs.sections import TRAFFIC
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

_WINDOW = 1.0
"""Stack seconds over which a rule's current rate is counted."""


class Bucket:
    """Lets `rate` bytes a stack second through, and `burst` bytes at once."""

    def __init__(self, clock: Clock, rate: int, burst: int | None = None) -> None:
        self.clock = clock
        self.rate = rate
        self.burst = burst or rate
        self._left = float(self.burst)
        self._seen = clock.elapsed()
        self._window = (self._seen, 0)
        self.current = 0.0
        """Bytes a second in the last whole window."""

    async def take(self, size: int) -> None:
        """Wait until `size` bytes more may pass."""
        now = self.clock.elapsed()
        self._left = min(self.burst, self._left + (now - self._seen) * self.rate) - size
        self._seen = now
        self._count(now, size)
        if self._left < 0:
            # who comes next waits for this one too: the debt is common
            await self.clock.sleep(-self._left / self.rate)

    def _count(self, now: float, size: int) -> None:
        begun, passed = self._window
        if now - begun >= _WINDOW:
            self.current = passed / (now - begun)
            self._window = now, size
        else:
            self._window = begun, passed + size


def limits(clock: Clock, values: Mapping[str, Any]) -> dict[str, Bucket]:
    """The buckets of `rate-in`, `rate-out` (and their bursts), by direction."""
    found = {}
    for direction in ("in", "out"):
        if f"rate-{direction}" in values:
            burst = values.get(f"burst-{direction}")
            rate = parse_bytes(values[f"rate-{direction}"])
            found[direction] = Bucket(clock, rate, parse_bytes(burst) if burst else None)
    return found


class Traffic:
    """The rules of one server, and what passes through them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._buckets: dict[str, tuple[Mapping[str, Any], dict[str, Bucket]]] = {}

    async def pass_through(self, address: str, user: str, direction: str, size: int) -> None:
        """Wait as long as the rule for a client demands for `size` bytes `in` or `out`."""
        name = self._rule(address, user)
        bucket = self.buckets(name).get(direction) if name else None
        if bucket is not None and size:
            await bucket.take(size)

    def buckets(self, name: str) -> dict[str, Bucket]:
        """The buckets of a rule; new ones once its settings have changed."""
        values = TRAFFIC.read(self.host).of("rule")[name]
        known = self._buckets.get(name)
        if known is None or known[0] != values:
            known = self._buckets[name] = (values, limits(self.host.clock, values))
        return known[1]

    def _rule(self, address: str, user: str) -> str | None:
        """The rule that counts now: with the narrowest network, one for the user before one for everybody."""
        client, best, name = ipaddress.ip_address(address), (-1, -1), None
        for candidate, values in TRAFFIC.read(self.host).of("rule").items():
            users = values.get("users", [])
            if (users and user not in users) or not self._is_now(values.get("timeframe", [])):
                continue
            for text in values["network"]:
                network = ipaddress.ip_network(text, strict=False)
                rank = (int(bool(users)), network.prefixlen)
                if client.version == network.version and client in network and rank > best:
                    best, name = rank, candidate
        return name

    def _is_now(self, timeframes: list[str]) -> bool:
        now = datetime.fromtimestamp(self.host.clock.now(), ZoneInfo(zone(self.host)))
        return not timeframes or any(DailyDuration.parse(text).contains(now) for text in timeframes)
