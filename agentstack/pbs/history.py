# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full datastores are over time: a sample a minute, kept in memory from the server's start on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

STEPS = {"hour": 60, "day": 1800, "week": 10_800, "month": 43_200, "year": 604_800, "decade": 604_800}
"""Seconds between two points of a time frame."""

SPANS = {"hour": 3600, "day": 86_400, "week": 604_800, "month": 2_592_000, "year": 31_536_000, "decade": 315_360_000}
MINUTE = 60
_KEPT = 24 * 60

Sample = Mapping[str, float]


class History:
    """Samples by the minute they were taken in; `subject` names what they are about."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[int, Sample]] = {}

    def note(self, subject: str, now: float, sample: Callable[[], Sample]) -> None:
        """Take a sample unless this minute has one."""
        found, minute = self._samples.setdefault(subject, {}), int(now) // MINUTE
        if minute not in found:
            found[minute] = sample()
            for old in sorted(found)[:-_KEPT]:
                del found[old]

    def points(self, subject: str, frame: str, now: float, *, highest: bool) -> list[dict[str, Any]]:
        """The points of a time frame, the oldest first; one without samples has its time alone."""
        step, found = STEPS[frame], self._samples.get(subject, {})
        last = int(now) // step
        buckets: dict[int, list[Sample]] = {}
        for minute, sample in found.items():
            buckets.setdefault(minute * MINUTE // step, []).append(sample)
        rows = []
        for number in range(last - SPANS[frame] // step + 1, last + 1):
            taken = buckets.get(number, [])
            names = taken[0].keys() if taken else ()
            means = {name: sum(one[name] for one in taken) / len(taken) for name in names}
            rows.append({"time": number * step, **({n: max(o[n] for o in taken) for n in names} if highest else means)})
        return rows
