# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether backups fit into the time and the line that there are for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .time_span import parse_time_span
from .units import format_bytes, format_duration, parse_bytes

DAY = 86_400.0
CHANGED_A_DAY = 0.03
"""Share of a disk that is written anew on a day, where nothing is said: file and mail servers are below that."""


@dataclass(frozen=True)
class Forecast:
    """``first`` and ``run``: seconds of the first run and of an ordinary one; ``window``: seconds there are."""

    changed: int
    first: float
    run: float
    window: float

    @property
    def fits(self) -> bool:
        """Whether an ordinary run ends within its window."""
        return self.run <= self.window

    @property
    def first_fits(self) -> bool:
        """Whether the first run, which copies everything, does too."""
        return self.first <= self.window

    def words(self) -> str:
        """In a sentence."""
        fits = "fits into" if self.fits else "DOES NOT FIT INTO"
        first = "" if self.first_fits else f"; the first one takes {format_duration(round(self.first))}"
        return (
            f"{format_bytes(self.changed)} changed a run, {format_duration(round(self.run))}, {fits} "
            f"{format_duration(round(self.window))}{first}"
        )


def forecast(size: int, rate: float, window: float, *, changed: float = CHANGED_A_DAY, runs: float = 1.0) -> Forecast:
    """How long runs take: ``size`` bytes on disks, of which the share ``changed`` is written anew on a day.

    ``rate`` is in bytes a second, ``window`` in seconds, ``runs`` is how many there are on a day. Raises ``ValueError``
    if one of them makes no sense.
    """
    if rate <= 0 or window <= 0 or runs <= 0 or not 0 <= changed <= 1:
        raise ValueError("rate, window and runs must be more than 0, changed between 0 and 1")
    per_run = min(1.0, changed / runs) * size
    return Forecast(round(per_run), size / rate, per_run / rate, window)


def read_window(given: Mapping[str, Any]) -> dict[str, float]:
    """``rate`` (bytes a second, such as 100 MiB), ``window`` (such as 6h), ``changed`` (5% or 0.05), as numbers.

    Raises ``ValueError``.
    """
    found = {"rate": float(parse_bytes(given["rate"])), "window": parse_time_span(str(given["window"]))}
    changed = given.get("changed")
    if changed is not None:
        text = str(changed).strip()
        found["changed"] = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    return found
