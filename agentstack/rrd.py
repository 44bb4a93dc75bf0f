# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures over time, as the round-robin files of a node keep them: means and maxima of ever longer steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Consolidation = Literal["AVERAGE", "MAX"]

STEPS = {"hour": 60, "day": 1800, "week": 10800, "month": 43200, "year": 604800, "decade": 604800}
"""Seconds between two rows of a time frame."""

ROWS = 70
KEPT = 90
"""Minutes that are kept of each series."""


@dataclass
class _Minute:
    start: int
    count: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)

    def add(self, values: Mapping[str, Any]) -> None:
        self.count += 1
        for key, value in values.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self.sums[key] = self.sums.get(key, 0.0) + value
                self.peaks[key] = max(self.peaks.get(key, value), value)


class History:
    """The series of a host: nodes, guests and storages by name."""

    def __init__(self) -> None:
        self._series: dict[str, deque[_Minute]] = {}

    def add(self, name: str, moment: float, values: Mapping[str, Any]) -> None:
        """Take down what a thing's figures are at a moment (seconds since the epoch)."""
        series = self._series.setdefault(name, deque(maxlen=KEPT))
        start = int(moment) // 60 * 60
        if not series or series[-1].start != start:
            series.append(_Minute(start))
        series[-1].add(values)

    def rows(self, name: str, frame: str, now: float, how: Consolidation = "AVERAGE") -> list[dict[str, float]]:
        """The rows of a time frame up to now, the oldest first; those of times that nobody saw have only their time."""
        step = STEPS[frame]
        last = int(now) // step * step
        found = []
        for start in range(last - (ROWS - 1) * step, last + step, step):
            minutes = [minute for minute in self._series.get(name, ()) if start - step < minute.start <= start]
            found.append({"time": start, **_merge(minutes, how)})
        return found


def _merge(minutes: list[_Minute], how: Consolidation) -> dict[str, float]:
    keys = {key for minute in minutes for key in minute.sums}
    if how == "MAX":
        return {key: max(minute.peaks[key] for minute in minutes if key in minute.peaks) for key in keys}
    counts = sum(minute.count for minute in minutes)
    return {key: sum(minute.sums.get(key, 0.0) for minute in minutes) / counts for key in keys}
