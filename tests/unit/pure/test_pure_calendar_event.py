# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentstack._shared.calendar_event import CalendarEvent, CalendarEventError, parse

VIENNA = ZoneInfo("Europe/Vienna")
ZONES = ("UTC", "Europe/Vienna", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Asuncion")


def at(text: str, zone: ZoneInfo | timezone = UTC) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def upcoming(spec: str, start: str, count: int, zone: str = "UTC") -> list[str]:
    """The next occurrences after a UTC time, as UTC times."""
    found = islice(parse(spec).occurrences(at(start), zone), count)
    return [datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S") for epoch in found]


def test_reference_cases(reference_cases: dict[str, Any]) -> None:
    wrong = [
        (case, found)
        for case in reference_cases["calendar"]
        if (found := parse(case["spec"]).next_after(case["last"], case["tz"])) != case["next"]
    ]
    assert wrong == []


def test_reference_texts_parse(reference_cases: dict[str, Any]) -> None:
    for text in reference_cases["calendar_parse"]:
        assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        # after Wednesday 2026-03-04 10:07:30
        ("*/5", ["2026-03-04 10:10:00", "2026-03-04 10:15:00"]),
        ("*/15", ["2026-03-04 10:15:00", "2026-03-04 10:30:00"]),
        ("22:30", ["2026-03-04 22:30:00", "2026-03-05 22:30:00"]),
        ("2,14:00", ["2026-03-04 14:00:00", "2026-03-05 02:00:00"]),
        (
            "mon..fri 22:30",
            ["2026-03-04 22:30:00", "2026-03-05 22:30:00", "2026-03-06 22:30:00", "2026-03-09 22:30:00"],
        ),
        ("fri..mon", ["2026-03-06 00:00:00", "2026-03-07 00:00:00", "2026-03-08 00:00:00", "2026-03-09 00:00:00"]),
        (
            "mon..wed 30/10",
            ["2026-03-04 10:30:00", "2026-03-04 10:40:00", "2026-03-04 10:50:00", "2026-03-04 11:30:00"],
        ),
        ("mon..fri 8..9,22:0/30", ["2026-03-04 22:00:00", "2026-03-04 22:30:00", "2026-03-05 08:00:00"]),
        (
            "fri 12..13:5/20",
            ["2026-03-06 12:05:00", "2026-03-06 12:25:00", "2026-03-06 12:45:00", "2026-03-06 13:05:00"],
        ),
        ("sat *-1..7 15:00", ["2026-03-07 15:00:00", "2026-04-04 15:00:00"]),
        ("*-05", ["2026-03-05 00:00:00", "2026-04-05 00:00:00"]),
        (
            "*-*-29..31 1:00",
            ["2026-03-29 01:00:00", "2026-03-30 01:00:00", "2026-03-31 01:00:00", "2026-04-29 01:00:00"],
        ),
        ("02-29", ["2028-02-29 00:00:00", "2032-02-29 00:00:00"]),
        ("*-*/4-1", ["2026-05-01 00:00:00", "2026-09-01 00:00:00", "2027-01-01 00:00:00"]),
        ("2026-12-31 23:59:59", ["2026-12-31 23:59:59"]),
        ("2030..2032/2-1-1", ["2030-01-01 00:00:00", "2032-01-01 00:00:00"]),
        ("*:*:0/20", ["2026-03-04 10:07:40", "2026-03-04 10:08:00"]),
        ("10..20/5:7,8:30", ["2026-03-04 10:08:30", "2026-03-04 15:07:30"]),
        ("quarterly", ["2026-04-01 00:00:00", "2026-07-01 00:00:00"]),
        ("wed  10:08", ["2026-03-04 10:08:00", "2026-03-11 10:08:00"]),
    ],
)
def test_next(spec: str, expected: list[str]) -> None:
    assert upcoming(spec, "2026-03-04 10:07:30", len(expected)) == expected


@pytest.mark.parametrize("spec", ["2026-02-30", "02-30", "2020-01-01", "2025..2026-01-01", "mon 2026-03-03", "04-31"])
def test_never(spec: str) -> None:
    assert parse(spec).next_after(at("2026-03-04 10:07:30"), "Europe/Vienna") is None


def test_nothing_after_the_last_year() -> None:
    assert parse("minutely").next_after(at("2199-12-31 23:59:30"), "UTC") is None
    assert parse("minutely").next_after(at("2500-01-01"), "UTC") is None


@pytest.mark.parametrize(
    "spec",
    [
        "", " ", "bogus", "bogus!!", "Daily", "mon tue", "moon", "mo", "mon.fri", "a..b", "mon..", "..mon", "mon,",
        "60", "24:00", "1:60", "1:2:60", "1:2:3:4", "1:", ":1", "1.5", "5..3", "9..8:00", "*/0", "5/0", "1..2..3",
        "*..5", "1/2/3", "1,,2", ",1", "1,", "13-01", "0-01", "*-32", "*-0", "1-2-3-4", "-1", "1-", "26-01-01",
        "10000-01-01",
        "mon 1:00 2:00", "1:00 mon", "1:00 2026-01-01", "2026-01-01 daily", "mon ", " mon", "١٢:٣٠",
    ],
)  # fmt: skip
def test_refused(spec: str) -> None:
    with pytest.raises(CalendarEventError) as caught:
        parse(spec)
    assert str(caught.value) == f"invalid calendar event '{spec}' - unable to parse calendar event"


def test_unknown_zone() -> None:
    with pytest.raises(ValueError, match="unknown time zone 'Middle/Earth'"):
        parse("daily").next_after(0, "Middle/Earth")


class TestDaylightSaving:
    """Vienna: 2026-03-29 02:00 → 03:00 (01:00 UTC), 2026-10-25 03:00 → 02:00 (01:00 UTC)."""

    def test_local_time_is_meant(self) -> None:
        assert upcoming("22:30", "2026-03-28 12:00:00", 2, "Europe/Vienna") == [
            "2026-03-28 21:30:00",
            "2026-03-29 20:30:00",
        ]

    def test_skipped_time_does_not_occur(self) -> None:
        assert upcoming("2:30", "2026-03-28 00:00:00", 2, "Europe/Vienna") == [
            "2026-03-28 01:30:00",
            "2026-03-30 00:30:00",
        ]

    def test_interval_runs_on_over_the_gap(self) -> None:
        assert upcoming("*/30", "2026-03-29 00:15:00", 3, "Europe/Vienna") == [
            "2026-03-29 00:30:00",
            "2026-03-29 01:00:00",
            "2026-03-29 01:30:00",
        ]

    def test_repeated_time_occurs_once(self) -> None:
        assert upcoming("2:30", "2026-10-24 12:00:00", 2, "Europe/Vienna") == [
            "2026-10-25 00:30:00",
            "2026-10-26 01:30:00",
        ]

    def test_interval_runs_on_through_the_repetition(self) -> None:
        assert upcoming("*/30", "2026-10-25 00:15:00", 4, "Europe/Vienna") == [
            "2026-10-25 00:30:00",
            "2026-10-25 01:00:00",
            "2026-10-25 01:30:00",
            "2026-10-25 02:00:00",
        ]

    def test_search_may_start_in_the_repetition(self) -> None:
        assert upcoming("2,3:30", "2026-10-25 01:10:00", 1, "Europe/Vienna") == ["2026-10-25 02:30:00"]

    def test_day_that_ends_twice(self) -> None:
        """Asunción set the clock back at midnight: 23:00 to 24:00 of 2021-03-27 came twice (03:00 to 04:00 UTC)."""
        assert upcoming("2021-03-27 *:30", "2021-03-28 02:00:00", 3, "America/Asuncion") == [
            "2021-03-28 02:30:00",
            "2021-03-28 03:30:00",
        ]


def values(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted).map(lambda pair: f"{pair[0]}..{pair[1]}")
    step = st.tuples(number, st.integers(1, 40)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    spaced = st.tuples(span, st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.one_of(
        st.just("*"),
        st.lists(st.one_of(number.map(str), span, step, spaced), min_size=1, max_size=3).map(",".join),
    )


WEEKDAY = st.sampled_from(["mon", "Tuesday", "wed", "thu", "FRI", "sat", "sun"])
WEEKDAYS = st.lists(st.one_of(WEEKDAY, st.tuples(WEEKDAY, WEEKDAY).map("..".join)), min_size=1, max_size=2).map(
    ",".join
)
DATES = st.one_of(
    st.tuples(values(1, 12), values(1, 31)).map("-".join),
    st.tuples(st.sampled_from(["*", "2026", "2026,2027", "2020/2"]), values(1, 12), values(1, 31)).map("-".join),
)
TIMES = st.one_of(
    values(0, 59),
    st.tuples(values(0, 23), values(0, 59)).map(":".join),
    st.tuples(values(0, 23), values(0, 59), values(0, 59)).map(":".join),
)
SPECS = st.tuples(st.none() | WEEKDAYS, st.none() | DATES, TIMES).map(lambda parts: " ".join(filter(None, parts)))
# around both clock changes of the northern hemisphere, and anywhere in the two years
STARTS = st.one_of(
    st.integers(at("2026-03-28 12:00"), at("2026-03-29 12:00")),
    st.integers(at("2026-10-24 12:00"), at("2026-10-25 12:00")),
    st.integers(at("2026-01-01 00:00"), at("2027-12-31 00:00")),
)


def brute_force(event: CalendarEvent, epoch: int, zone: str, horizon: int) -> int | None:
    return next((second for second in range(epoch + 1, epoch + 1 + horizon) if event.matches(second, zone)), None)


@given(SPECS, STARTS, st.sampled_from(ZONES))
@settings(max_examples=150, deadline=None)
def test_next_is_later_and_matches(spec: str, start: int, zone: str) -> None:
    event = parse(spec)
    found = event.next_after(start, zone)
    if found is not None:
        assert found > start
        assert event.matches(found, zone)


@given(TIMES, STARTS, st.sampled_from(ZONES))
@settings(max_examples=60, deadline=None)
def test_next_is_the_first_match(spec: str, start: int, zone: str) -> None:
    event = parse(spec)
    horizon = 2 * 3_600
    found = event.next_after(start, zone)
    expected = brute_force(event, start, zone, horizon)
    assert found == expected if expected is not None else found is None or found > start + horizon


@given(SPECS, STARTS)
@settings(max_examples=40, deadline=None)
def test_no_matching_day_is_passed_over(spec: str, start: int) -> None:
    """Independent of the search: every day between is wrong by date, or is the first or last one."""
    event = parse(spec)
    found = event.next_after(start, "UTC")
    first = datetime.fromtimestamp(start, UTC).date() + timedelta(days=1)
    last = datetime.fromtimestamp(min(found or start + 400 * 86_400, start + 400 * 86_400), UTC).date()
    for number in range((last - first).days):
        day = first + timedelta(days=number)
        midnight = at(day.isoformat())
        moment = event.hours[0] * 3_600 + event.minutes[0] * 60 + event.seconds[0]
        assert not event.matches(midnight + moment, "UTC")


@given(st.text(max_size=20) | st.text("*0123/.-:, monfri", max_size=12))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(CalendarEventError):
        assert parse(text).text == text
