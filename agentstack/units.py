# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and durations as people write them in a stack file."""

from __future__ import annotations

import re

_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)

_DURATIONS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|m|h|d|)")


def parse_size(value: object) -> int:
    """Bytes from `32G`, `1.5T`, `512 MiB` or a number of bytes (factors of 1024); ValueError says what is allowed."""
    match = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a size like 32G or 512M")
    return int(float(match[1]) * _SIZES[match[2].upper()])


def parse_duration(value: object) -> float:
    """Seconds from `0.3ms`, `5s`, `2min`, `1h` or a number of seconds; ValueError says what is allowed."""
    match = None if isinstance(value, bool) else _DURATION.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a duration like 0.3ms, 5s or 2min")
    return float(match[1]) * _DURATIONS[match[2]]
