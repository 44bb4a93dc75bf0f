# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time spans as systemd and Proxmox Backup Server write them: ``1h 30min``, ``55s500ms``, ``2`` (seconds)."""

from __future__ import annotations

import re

_NANOSECONDS = 1_000_000_000

# a month is 30.44 days, a year 365.25 days
_UNITS: dict[str, int] = {
    name: nanoseconds
    for names, nanoseconds in (
        ("nsec ns", 1),
        ("usec us µs μs", 1_000),
        ("msec ms", 1_000_000),
        ("seconds second sec s", _NANOSECONDS),
        ("minutes minute min m", 60 * _NANOSECONDS),
        ("hours hour hr h", 3_600 * _NANOSECONDS),
        ("days day d", 86_400 * _NANOSECONDS),
        ("weeks week w", 7 * 86_400 * _NANOSECONDS),
        ("months month M", 2_630_016 * _NANOSECONDS),
        ("years year y", 31_557_600 * _NANOSECONDS),
    )
    for name in names.split()
}

_PART = re.compile(r"\s*(\d+)\s*([A-Za-zµμ]*)\s*", re.ASCII)


def parse_time_span(text: str) -> float:
    """Parse a time span into seconds.

    Parts (an unsigned integer with an optional unit, seconds without one) add up. ``m`` is minutes, ``M`` months.
    Raises ``ValueError`` for anything else, the empty text included.
    """
    position, total = 0, 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or (match[2] and match[2] not in _UNITS):
            break
        total += int(match[1]) * _UNITS[match[2] or "s"]
        position = match.end()
    if position < len(text) or not text.strip():
        raise ValueError(f"invalid time span '{text}' - unable to parse time span")
    return total / _NANOSECONDS
