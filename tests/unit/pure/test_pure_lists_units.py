# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack._shared import lists, units
from agentstack._shared.time_span import parse_time_span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b;c d\0e", ["a", "b", "c", "d", "e"]),
        (" a, b ,,c;", ["a", "b", "c"]),
        ("b,a,b", ["b", "a", "b"]),
        ("", []),
        (None, []),
    ],
)
def test_split_list(text: str | None, expected: list[str]) -> None:
    assert lists.split_list(text) == expected


def test_join_list() -> None:
    assert lists.join_list(["vm:10", "vm:9"]) == "vm:10,vm:9"
    assert lists.join_list(["vm:10", "vm:9"], sort=True) == "vm:9,vm:10"
    for bad in ("a b", "", "a,b"):
        with pytest.raises(ValueError, match="cannot be an element"):
            lists.join_list([bad])


def test_natural_order() -> None:
    assert lists.natural_sorted(["pve10", "pve2", "pve", "2", "a", "10", "vm:09", "vm:9"]) == [
        "2", "10", "a", "pve", "pve2", "pve10", "vm:09", "vm:9",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=6)))
def test_natural_order_is_an_order(items: list[str]) -> None:
    assert lists.natural_sorted(items) == lists.natural_sorted(sorted(items))


def test_node_list() -> None:
    nodes = lists.parse_node_list("pve2, pve10:1;pve1:20")
    assert nodes == {"pve2": 0, "pve10": 1, "pve1": 20}
    assert lists.format_node_list(nodes) == "pve1:20,pve2,pve10:1"
    for bad in ("pve1:x", "-pve", "pve1:", "pve1:1:2", "pve1,pve1:2", "pve_1", "pve1:-1"):
        with pytest.raises(ValueError, match="node"):
            lists.parse_node_list(bad)


def test_sid() -> None:
    assert lists.parse_sid("vm:100") == ("vm", "100")
    for bad in ("100", "vm:", "VM:100", "vm: 1", ""):
        with pytest.raises(ValueError, match="value does not look like a valid ha resource id"):
            lists.parse_sid(bad)


@pytest.mark.parametrize(
    ("text", "size"),
    [("32G", 32 << 30), ("1T", 1 << 40), ("1.5K", 1536), ("4096", 4096), ("0", 0), (7, 7), ("528M", 528 << 20)],
)
def test_size(text: str | int, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "32g", "32 G", "32GB", "-1", "1e3", ".5G", "1P"])
def test_size_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        units.parse_size(text)


@given(st.integers(0, 1 << 60))
def test_size_round_trip(size: int) -> None:
    assert units.parse_size(units.format_size(size)) == size


def test_format_size() -> None:
    assert [units.format_size(size) for size in (0, 1500, 2048, 32 << 30, 1 << 50)] == [
        "0",
        "1500",
        "2K",
        "32G",
        "1024T",
    ]
    with pytest.raises(ValueError, match="negative"):
        units.format_size(-1)


def test_byte_counts() -> None:
    for text, size in {
        "10 MB": 10**7,
        "1GiB": 1 << 30,
        "1.5 KiB": 1536,
        "512": 512,
        "512 B": 512,
        "2K": 2000,
        "2Ki": 2048,
    }.items():
        assert units.parse_bytes(text) == size
    for bad in ("", "MB", "1 XB", "1 iB", "-1"):
        with pytest.raises(ValueError, match="invalid byte count"):
            units.parse_bytes(bad)
    assert units.format_bytes(1536) == "1.5 KiB"
    assert units.format_bytes(1_610_612_736, decimal=True) == "1.61 GB"
    assert [units.format_bytes(size) for size in (0, 1023, (1 << 20) - 1)] == ["0 B", "1023 B", "1 MiB"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("180s", 180),
        ("5m", 300),
        ("1h 30m", 5400),
        ("1h30min", 5400),
        ("0.3ms", 0.0003),
        ("45", 45),
        ("1.5", 1.5),
        (7, 7),
        ("2d", 172_800),
    ],
)
def test_duration(text: str | float, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5x", "-5s", "5 s 3", "1e3", "1h,30m"])
def test_duration_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0003, "0.3 ms"),
        (42, "42 s"),
        (6.1, "6.1 s"),
        (136, "2 min 16 s"),
        (59.96, "1 min"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
        (-90, "-1 min 30 s"),
    ],
)
def test_format_duration(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


def test_time_spans_of_the_reference(reference_cases: dict[str, Any]) -> None:
    for case in reference_cases["timespan"]:
        assert parse_time_span(case["span"]) == case["seconds"], case["span"]


def test_time_span() -> None:
    assert parse_time_span("1M 1m") == 2_630_016 + 60
    assert parse_time_span("1y") == 31_557_600
    for bad in ("", " ", "x", "2x", "-1s", "1.5h", "s"):
        with pytest.raises(ValueError, match="unable to parse time span"):
            parse_time_span(bad)
