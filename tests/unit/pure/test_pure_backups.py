# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of guests and their jobs, how old backups may be, and whether they fit into their window."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._pure.backup_age import (
    Demand,
    demands,
    longest_pause,
    shortfall,
    takes,
)
from ansible_collections.quorate.pve.plugins.module_utils._pure.backup_classes import jobs_of, tags_of
from ansible_collections.quorate.pve.plugins.module_utils._pure.backup_window import forecast, read_window

NOW = 1_795_305_600
HOUR = 3600
GUESTS: list[dict[str, Any]] = [
    {"vmid": 101, "name": "web", "tags": "gold;web", "hastate": "started"},
    {"vmid": 102, "tags": "web", "pool": "voip", "hastate": "ignored"},
    {"vmid": 103, "node": "pve1"},
]


def test_classes_come_to_jobs() -> None:
    place = {"storage": "b"}
    classes = [
        {"name": "gold", "schedule": "hourly", **place, "tags": ["gold"], "job": {"mode": "stop", "comment": None}},
        {"name": "voice", "schedule": "*/30", **place, "pool": "voip"},
        {"name": "rest", "schedule": "daily", **place, "all": True},
        {"name": "nobody", "schedule": "daily", **place, "tags": ["silver"]},
        {"name": "two", "schedule": "daily", **place, "guests": [9, 101, 9]},
    ]
    assert jobs_of(classes, GUESTS) == [
        {"id": "gold", "schedule": "hourly", "storage": "b", "mode": "stop", "guests": [101]},
        {"id": "voice", "schedule": "*/30", "storage": "b", "pool": "voip"},
        {"id": "rest", "schedule": "daily", "storage": "b", "all": True, "exclude": [9, 101, 102]},
        {"id": "nobody", "state": "absent"},
        {"id": "two", "schedule": "daily", "storage": "b", "guests": [9, 101]},
    ]


def test_tags_are_text_or_a_list() -> None:
    assert tags_of({"tags": "a;b,c d"}) == tags_of({"tags": ["a", "b", "c", "d"]}) == {"a", "b", "c", "d"}
    assert tags_of({}) == set()


@pytest.mark.parametrize(
    ("schedule", "pause"),
    [("hourly", HOUR), ("2,14:00", 12 * HOUR), ("mon..fri 22:00", 72 * HOUR), ("2020-01-01", None)],
)
def test_the_longest_pause_counts(schedule: str, pause: float | None) -> None:
    assert longest_pause(schedule, NOW) == pause


def test_whom_a_job_takes() -> None:
    assert [guest["vmid"] for guest in GUESTS if takes({"all": 1, "exclude": "101"}, guest)] == [102, 103]
    assert [guest["vmid"] for guest in GUESTS if takes({"pool": "voip"}, guest)] == [102]
    assert [guest["vmid"] for guest in GUESTS if takes({"vmid": "101,103"}, guest)] == [101, 103]
    assert [guest["vmid"] for guest in GUESTS if takes({"all": 1, "node": "pve1"}, guest)] == [103]


def test_the_strictest_promise_counts() -> None:
    jobs = [
        {"id": "daily", "schedule": "daily", "all": 1},
        {"id": "hourly", "schedule": "hourly", "vmid": "101"},
        {"id": "off", "schedule": "*/5", "all": 1, "enabled": 0},
        {"id": "by-hand", "vmid": "103"},
    ]
    found = demands(jobs, GUESTS, {"daily": 2 * HOUR}, NOW)
    assert [(one.vmid, one.ha, one.job, one.max_age) for one in found] == [
        (101, True, "hourly", 1.5 * HOUR),
        (102, False, "daily", 2 * HOUR),
        (103, False, "daily", 2 * HOUR),
    ]
    assert demands([], GUESTS[:1], {}, NOW) == [Demand(101, "web", True)]


@pytest.mark.parametrize(
    ("demand", "newest", "text"),
    [
        (Demand(101, "web"), None, "no backup job takes guest 101 (web), and it has no backup"),
        (Demand(101), NOW - 60, "no backup job takes guest 101, and its newest backup is 1 min old"),
        (Demand(101, "", True, "j", 60.0), None, "guest 101 has no backup yet; job j takes it"),
        (Demand(101, "", True, "j", 60.0), NOW - 61, "newest backup of guest 101 is 1 min 1 s old; job j allows 1 min"),
        (Demand(101, "", True, "j", 60.0), NOW - 60, None),
        (Demand(101, "", True, "j", None), 0, None),
    ],
)
def test_what_falls_short_is_said(demand: Demand, newest: int | None, text: str | None) -> None:
    found = shortfall(demand, newest, NOW)
    assert (text is None and found is None) or text in str(found)


def test_a_window_is_long_enough_or_not() -> None:
    given = read_window({"rate": "100 MiB", "window": "1h", "changed": "5%"})
    assert given == {"rate": 100 * 2**20, "window": 3600.0, "changed": 0.05}
    one = forecast(2**40, runs=2, **given)
    assert (round(one.run), round(one.first), one.fits, one.first_fits) == (262, 10486, True, False)
    assert one.words() == "25.6 GiB changed a run, 4 min 22 s, fits into 1 h; the first one takes 2 h 54 min"
    assert "DOES NOT FIT INTO 1 min" in forecast(2**40, 2**20, 60).words()
    assert forecast(1000, 1, 1, changed=0.5, runs=0.1).changed == 1000


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"window": 0}, {"changed": 2}, {"runs": 0}])
def test_a_window_of_nothing_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        forecast(**{"size": 1, "rate": 1, "window": 1, **wrong})
