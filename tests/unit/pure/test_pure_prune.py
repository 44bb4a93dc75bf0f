# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentstack._shared.prune import Backup, Mark, PruneOptions, mark_backups

NEWEST = int(datetime(2026, 3, 31, 12, 0, tzinfo=UTC).timestamp())


def at(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def kept(times: list[str], tz: str = "UTC", **options: int) -> list[str]:
    marks = mark_backups([Backup(at(time + "+00:00")) for time in times], PruneOptions(False, **options), tz)
    return [time for time, mark in zip(times, marks, strict=True) if mark == "keep"]


def test_reference_cases(reference_cases: dict[str, Any]) -> None:
    for case in reference_cases["prune"]:
        backups = [
            Backup(at(entry["snapshot"].rpartition("/")[2]), entry["protected"], entry["partial"])
            for entry in case["list"]
        ]
        marks = mark_backups(backups, PruneOptions.from_mapping(case["keep"]), "UTC")
        removed = [entry["snapshot"] for entry, mark in zip(case["list"], marks, strict=True) if mark == "remove"]
        rest = [entry["snapshot"] for entry in case["list"] if entry["snapshot"] not in removed]
        assert (removed if case["which"] == "removed" else rest) == case["expect"], case["keep"]


class TestRules:
    def test_later_rules_pass_over_periods_that_are_covered(self) -> None:
        times = ["2026-03-01T10:00", "2026-03-02T10:00", "2026-03-03T10:00", "2026-03-03T18:00"]
        assert kept(times, keep_last=1, keep_daily=2) == ["2026-03-01T10:00", "2026-03-02T10:00", "2026-03-03T18:00"]

    def test_what_a_rule_passed_over_within_its_period_stays_out_of_later_rules(self) -> None:
        """The week of 2026-03-30 belongs to both months: its March backup is settled by keep-weekly."""
        times = ["2026-03-20T10:00", "2026-03-31T10:00", "2026-04-02T10:00", "2026-04-08T10:00"]
        assert kept(times, keep_weekly=2, keep_monthly=1) == [
            "2026-03-20T10:00",
            "2026-04-02T10:00",
            "2026-04-08T10:00",
        ]

    def test_periods_are_local(self) -> None:
        times = ["2026-06-01T21:30", "2026-06-01T22:30"]
        assert kept(times, "UTC", keep_daily=2) == ["2026-06-01T22:30"]
        assert kept(times, "Europe/Vienna", keep_daily=2) == times

    def test_weeks_are_iso_weeks(self) -> None:
        times = ["2025-12-28T10:00", "2025-12-29T10:00", "2026-01-04T10:00"]
        assert kept(times, keep_weekly=9) == ["2025-12-28T10:00", "2026-01-04T10:00"]

    def test_protected_stay_and_do_not_count(self) -> None:
        backups = [Backup(1), Backup(2, protected=True), Backup(3, protected=True)]
        assert mark_backups(backups, PruneOptions(keep_last=1), "UTC") == ["keep", "protected", "protected"]

    def test_of_unfinished_ones_only_the_newest_of_all_stays(self) -> None:
        unfinished = [Backup(1), Backup(2, partial=True), Backup(3, partial=True)]
        assert mark_backups(unfinished, PruneOptions(keep_last=1), "UTC") == ["keep", "remove", "keep-partial"]
        assert mark_backups([*unfinished, Backup(4)], PruneOptions(keep_last=1), "UTC")[1:] == [
            "remove",
            "remove",
            "keep",
        ]

    def test_no_rule_keeps_everything(self) -> None:
        backups = [Backup(1), Backup(2, protected=True), Backup(3)]
        for options in (PruneOptions(), PruneOptions(keep_all=True)):
            assert mark_backups(backups, options, "UTC") == ["keep", "protected", "keep"]

    def test_unknown_zone(self) -> None:
        with pytest.raises(ValueError, match="unknown time zone"):
            mark_backups([], PruneOptions(), "Middle/Earth")


class TestOptions:
    def test_round_trip(self) -> None:
        options = PruneOptions.from_property_string("keep-last=3,keep-daily=7")
        assert options == PruneOptions(keep_last=3, keep_daily=7)
        assert options.to_property_string() == "keep-daily=7,keep-last=3"
        assert options.to_mapping() == {"keep-last": 3, "keep-daily": 7}

    @pytest.mark.parametrize(
        "text", ["", "keep-all=1", "keep-last=0", "keep-last=0,keep-daily=0", "keep-all=yes", "keep-all=0"]
    )
    def test_all_forms_of_keeping_all(self, text: str) -> None:
        assert PruneOptions.from_property_string(text).to_property_string() == "keep-all=1"

    def test_mapping_as_a_client_sends_it(self) -> None:
        assert PruneOptions.from_mapping({"keep-last": "2", "keep-daily": None, "keep-all": False}) == PruneOptions(
            keep_last=2
        )
        assert PruneOptions.from_mapping({"keep-all": True}).keeps_everything

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("keep-last", "value without key, but schema does not define a default key"),
            ("keep-foo=1", "invalid key in comma-separated list property: keep-foo"),
            ("keep-last=1,keep-last=2", "duplicate key in comma-separated list property: keep-last"),
            ("keep-last=x", "format error\nkeep-last: type check ('integer') failed - got 'x'"),
            ("keep-last=-1", "format error\nkeep-last: value must have a minimum value of 0"),
            ("keep-all=1,keep-last=1", "keep-all cannot be set together with other options."),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            PruneOptions.from_property_string(text)
        assert str(caught.value) == message


def naive(times: list[int], counts: list[tuple[str, int]], zone: ZoneInfo) -> set[int]:
    """The definition, told another way: per rule the newest of each period that no settled backup belongs to."""
    formats = {
        "last": "%s",
        "hourly": "%Y%m%d%H",
        "daily": "%Y%m%d",
        "weekly": "%G-%V",
        "monthly": "%Y%m",
        "yearly": "%Y",
    }
    keep: set[int] = set()
    settled: set[int] = set()
    for rule, count in counts:
        if rule == "last":
            names = {time: str(time) for time in times}
        else:
            names = {time: datetime.fromtimestamp(time, zone).strftime(formats[rule]) for time in times}
        covered = {names[time] for time in keep}
        open_ones = [time for time in sorted(times, reverse=True) if time not in settled and names[time] not in covered]
        periods = list(dict.fromkeys(names[time] for time in open_ones))
        chosen = periods[:count]
        for time in open_ones:
            if len(periods) > count and time <= max(t for t in open_ones if names[t] == periods[count]):
                break
            if names[time] in chosen:
                settled.add(time)
                if time == max(t for t in open_ones if names[t] == names[time]):
                    keep.add(time)
    return keep


RULES = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
BACKUP_TIMES = st.lists(
    st.one_of(
        st.integers(0, 48 * 60).map(lambda minutes: NEWEST - minutes * 60),
        st.integers(0, 800).map(lambda days: NEWEST - days * 86_400),
    ),
    max_size=40,
    unique=True,
)
COUNTS = st.lists(st.integers(0, 5), min_size=6, max_size=6).map(lambda counts: list(zip(RULES, counts, strict=True)))


@given(BACKUP_TIMES, COUNTS, st.sampled_from(["UTC", "Europe/Vienna", "America/New_York"]))
@settings(max_examples=150, deadline=None)
def test_agrees_with_the_definition(times: list[int], counts: list[tuple[str, int]], zone: str) -> None:
    options = PruneOptions(False, **{f"keep_{rule}": count for rule, count in counts})
    marks = mark_backups([Backup(time) for time in times], options, zone)
    found = {time for time, mark in zip(times, marks, strict=True) if mark == "keep"}
    assert found == naive(times, counts, ZoneInfo(zone))
    assert len(found) <= sum(count for _, count in counts)


@given(BACKUP_TIMES, COUNTS, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_of_the_list_does_not_matter(times: list[int], counts: list[tuple[str, int]], random: Any) -> None:
    options = PruneOptions(False, **{f"keep_{rule}": count for rule, count in counts})
    shuffled = list(times)
    random.shuffle(shuffled)

    def decide(order: list[int]) -> dict[int, Mark]:
        return dict(zip(order, mark_backups([Backup(time) for time in order], options, "UTC"), strict=True))

    assert decide(times) == decide(shuffled)


@given(BACKUP_TIMES.filter(bool), COUNTS, st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_the_newest_stays_under_any_rule(times: list[int], counts: list[tuple[str, int]], which: int) -> None:
    counts[which] = (RULES[which], max(1, counts[which][1]))
    options = PruneOptions(False, **{f"keep_{rule}": count for rule, count in counts})
    marks = mark_backups([Backup(time) for time in times], options, "UTC")
    assert marks[times.index(max(times))] == "keep"
