# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark hands in: figures, each beside the alternative measured in the same run, if there is one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured value. `against`: what the same work costs done the other way, in the same unit."""

    area: str
    name: str
    value: float
    unit: str
    aim: float | None = None
    against: float | None = None
    alternative: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the alternative costs; None without one."""
        return self.against / self.value if self.against is not None and self.value else None


@dataclass
class Report:
    """Takes the figures of one area. `quick`: the sizes are small, only to see that the benchmark runs; `show`: what is
    done with each at once."""

    area: str
    quick: bool = False
    figures: list[Figure] = field(default_factory=list)
    show: Callable[[Figure], None] = lambda figure: None

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        aim: float | None = None,
        against: tuple[str, float] | None = None,
        note: str = "",
    ) -> None:
        """Hand in a figure; `against`: name and value of the alternative."""
        alternative, other = against or ("", None)
        self.figures.append(Figure(self.area, name, value, unit, aim, other, alternative, note))
        self.show(self.figures[-1])

    def size(self, full: int, quick: int) -> int:
        """How many objects this run takes."""
        return quick if self.quick else full

    def to_json(self) -> list[dict[str, Any]]:
        """The figures with their ratios."""
        return [asdict(figure) | {"ratio": figure.ratio} for figure in self.figures]


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes, in real seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def median_seconds(work: Callable[[], object], times: int) -> float:
    """The median of several calls, in real seconds."""
    return statistics.median(seconds(work) for _ in range(times))
