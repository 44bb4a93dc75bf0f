# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`mon..fri 8:00-18:00`: parts of days, as traffic rules and notification matchers name them (facts §20.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FORM = re.compile(r"(?:(?P<days>[a-zA-Z.,]+)\s+)?(?P<start>[\d:]+)\s*-\s*(?P<end>[\d:]+)")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}))?")


@dataclass(frozen=True)
class DailyDuration:
    """The same hours of some days of the week; `days` counts from Monday (0), the end is no part of it."""

    days: frozenset[int]
    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> DailyDuration:
        """Read a duration; raises ValueError."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"unable to parse daily duration: '{text}'")
        start, end = _clock(found["start"]), _clock(found["end"])
        if end <= start:
            raise ValueError("invalid duration: end before start")
        return cls(_days(found["days"]), start, end)

    def contains(self, moment: datetime) -> bool:
        """Whether a moment, in local time, lies in it."""
        return moment.weekday() in self.days and self.start <= moment.time() < self.end


def _clock(text: str) -> time:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"unable to parse time of day: '{text}'")
    hour, minute, second = (int(part or 0) for part in found.groups())
    return time(hour, minute, second)


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("..")
        begin, end = _day(first), _day(last or first)
        days.update(range(begin, end + 1) if begin <= end else [*range(begin, 7), *range(end + 1)])
    return frozenset(days)


def _day(text: str) -> int:
    name = text.strip().lower()
    for number, names in enumerate(zip(_DAYS, _NAMES, strict=True)):
        if name in names:
            return number
    raise ValueError(f"unknown weekday '{text}'")
