# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calendar events: when replication, backup, sync, prune and verification jobs run (facts §9.5).

``[WEEKDAYS] [[YEARS-]MONTHS-DAYS] [[HOURS:]MINUTES[:SECONDS]]``, or a keyword such as ``daily``. Each part is a comma
list of ``*``, ``a``, ``a..b``, ``a/step`` and ``a..b/step``.

An event stands for the instants whose *local* time fits it. So a time that a change to daylight saving leaps over
does not occur on that day, and one that the change back repeats occurs once, unless the event is for every hour.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

from .time_zone import time_zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)

#: events are looked for up to the end of this year
LAST_YEAR = 2199

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY_NUMBERS = {name[:length]: number for number, name in enumerate(_WEEKDAYS) for length in (3, len(name))}

_KEYWORDS = {
    "minutely": "*:*:00",
    "hourly": "*:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "semi-annually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
}

_EVENT = re.compile(
    r"(?:([A-Za-z.,]+)(?:\s+(?=\S)|$))?(?:([\d*.,/]+(?:-[\d*.,/]+){1,2})(?:\s+(?=\S)|$))?([\d*.,/:]+)?", re.ASCII
)
_ITEM = re.compile(r"(?:(\*)|(\d+)(?:\.\.(\d+))?)(?:/(\d+))?", re.ASCII)


class _Bounds(NamedTuple):
    lowest: int
    highest: int
    star: int
    """where ``*/step`` starts"""


_YEARS = _Bounds(1900, LAST_YEAR, 1970)
_MONTHS = _Bounds(1, 12, 1)
_DAYS = _Bounds(1, 31, 1)
_HOURS = _Bounds(0, 23, 0)
_SIXTY = _Bounds(0, 59, 0)


class CalendarEventError(ValueError):
    """A text that is no calendar event, in the server's words.

    ``str()`` gives ``invalid calendar event 'x' - unable to parse calendar event``; Proxmox VE's answer puts
    ``invalid format - `` before it and two line feeds after it (observed: PUT /cluster/replication).
    """

    def __init__(self, text: str) -> None:
        super().__init__(f"invalid calendar event '{text}' - unable to parse calendar event")


@dataclass(frozen=True)
class CalendarEvent:
    """A parsed calendar event. The tuples hold the values that fit, ascending; weekdays count from Monday = 0."""

    text: str = field(compare=False)
    weekdays: frozenset[int]
    years: tuple[int, ...] | None
    """``None``: every year"""
    months: tuple[int, ...]
    days: tuple[int, ...]
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def __str__(self) -> str:
        return self.text

    def matches(self, epoch: int, tz: str | tzinfo) -> bool:
        """Tell whether the event occurs at this second (Unix time) in the time zone."""
        local = _local(epoch, time_zone(tz))
        return (
            self._matches_date(local.date())
            and local.hour in self.hours
            and local.minute in self.minutes
            and local.second in self.seconds
            and not (local.fold and self._skips_repeated_hours)
        )

    def next_after(self, epoch: int, tz: str | tzinfo) -> int | None:
        """First occurrence (Unix time, whole seconds) strictly later than ``epoch``; ``None`` if there is none.

        ``tz`` is the time zone of the host, as IANA name or ``tzinfo``. Raises ``ValueError`` for an unknown name.
        """
        zone = time_zone(tz)
        start = epoch + 1
        while start < _SEARCH_END:
            local = _local(start, zone)
            if local.fold and self._skips_repeated_hours:
                start = _end_of_repetition(start, zone)
                continue
            wall = local.replace(tzinfo=None, fold=0)
            found = self._next_wall(wall)
            candidate = None if found is None else start + (found - wall) // _SECOND
            # after the last fitting time only a clock that is set back can bring it again, within a day
            change = _next_change(start, start + 2 * 86_400 if candidate is None else candidate, zone)
            if change is None:
                return candidate
            start = change
        return None

    def occurrences(self, after: int, tz: str | tzinfo) -> Iterator[int]:
        """Iterate over all occurrences (Unix time) strictly later than ``after``."""
        occurrence = self.next_after(after, tz)
        while occurrence is not None:
            yield occurrence
            occurrence = self.next_after(occurrence, tz)

    @property
    def _skips_repeated_hours(self) -> bool:
        return len(self.hours) < 24

    def _matches_date(self, day: date) -> bool:
        return (
            (self.years is None or day.year in self.years)
            and day.month in self.months
            and day.day in self.days
            and day.weekday() in self.weekdays
        )

    def _next_wall(self, wall: datetime) -> datetime | None:
        """First fitting local time not before ``wall``, taking all days to have 24 hours."""
        if self._matches_date(wall.date()) and (time := self._next_time(wall.hour, wall.minute, wall.second)):
            return wall.replace(hour=time[0], minute=time[1], second=time[2])
        day = self._next_date(wall.date() + _DAY)
        if day is None:
            return None
        return datetime(day.year, day.month, day.day, self.hours[0], self.minutes[0], self.seconds[0])

    def _next_time(self, hour: int, minute: int, second: int) -> tuple[int, int, int] | None:
        if hour in self.hours:
            if minute in self.minutes and (later := _first_from(self.seconds, second)) is not None:
                return hour, minute, later
            if (later := _first_from(self.minutes, minute + 1)) is not None:
                return hour, later, self.seconds[0]
        if (later := _first_from(self.hours, hour + 1)) is not None:
            return later, self.minutes[0], self.seconds[0]
        return None

    def _next_date(self, start: date) -> date | None:
        years = range(start.year, LAST_YEAR + 1) if self.years is None else self.years
        for year in years[bisect_left(years, start.year) :]:
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                for day in self.days:
                    try:
                        candidate = date(year, month, day)
                    except ValueError:  # no such day in this month
                        break
                    if candidate >= start and candidate.weekday() in self.weekdays:
                        return candidate
        return None


@lru_cache(maxsize=1024)
def parse(text: str) -> CalendarEvent:
    """Parse a calendar event. Raises :class:`CalendarEventError` (a ``ValueError``)."""
    match = _EVENT.fullmatch(_KEYWORDS.get(text, text))
    if match is None or not text:
        raise CalendarEventError(text)
    weekdays, day, time = match.groups()
    try:
        years, months, days = _parse_date(day)
        hours, minutes, seconds = _parse_time(time)
        return CalendarEvent(text, _parse_weekdays(weekdays), years, months, days, hours, minutes, seconds)
    except ValueError as error:
        raise CalendarEventError(text) from error


def _parse_date(text: str | None) -> tuple[tuple[int, ...] | None, tuple[int, ...], tuple[int, ...]]:
    parts = (text or "*-*").split("-")
    if len(parts) == 2:
        parts = ["*", *parts]
    years, months, days = parts
    return (
        (None if years == "*" else _parse_values(years, _YEARS)),
        _parse_values(months, _MONTHS),
        _parse_values(days, _DAYS),
    )


def _parse_time(text: str | None) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    parts = ("00:00" if text is None else text).split(":")
    if len(parts) == 1:
        parts = ["*", *parts]
    hours, minutes, seconds = parts if len(parts) == 3 else (*parts, "0")
    return _parse_values(hours, _HOURS), _parse_values(minutes, _SIXTY), _parse_values(seconds, _SIXTY)


def _parse_values(text: str, bounds: _Bounds) -> tuple[int, ...]:
    values: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"'{item}' is no value, range or step")
        star, low, high, step = match.groups()
        if star and step is None:
            first, last = bounds.lowest, bounds.highest
        elif star:
            first, last = bounds.star, bounds.highest
        else:
            first = int(low)
            last = int(high) if high else (bounds.highest if step else first)
        if not bounds.lowest <= first <= last <= bounds.highest or step in ("0", "00"):
            raise ValueError(f"'{item}' is out of range")
        values.update(range(first, last + 1, int(step or 1)))
    return tuple(sorted(values))


def _parse_weekdays(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for item in text.lower().split(","):
        first, dots, last = item.partition("..")
        if first not in _WEEKDAY_NUMBERS or (dots and last not in _WEEKDAY_NUMBERS):
            raise ValueError(f"'{item}' is no weekday")
        start = _WEEKDAY_NUMBERS[first]
        # fri..mon runs over the end of the week
        length = (_WEEKDAY_NUMBERS[last or first] - start) % 7 + 1
        days.update((start + offset) % 7 for offset in range(length))
    return frozenset(days)


def _first_from(values: tuple[int, ...], lowest: int) -> int | None:
    index = bisect_left(values, lowest)
    return values[index] if index < len(values) else None


_SEARCH_END = (datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - _EPOCH) // _SECOND


def _local(epoch: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(seconds=epoch)).astimezone(zone)


def _offset(epoch: int, zone: tzinfo) -> timedelta | None:
    return _local(epoch, zone).utcoffset()


def _next_change(start: int, end: int, zone: tzinfo) -> int | None:
    """First second in (start, end] that has another UTC offset than ``start``; ``None`` if the offset stays."""
    if isinstance(zone, timezone):
        return None
    offset, low = _offset(start, zone), start
    while low < end:
        # no time zone changes its offset twice within a day
        high = min(low + 86_400, end)
        if _offset(high, zone) != offset:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(middle, zone) == offset else (low, middle)
            return high
        low = high
    return None


def _end_of_repetition(start: int, zone: tzinfo) -> int:
    """First second after ``start`` whose local time does not come for the second time."""
    low, high = start, start + 86_400
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _local(middle, zone).fold else (low, middle)
    return high
