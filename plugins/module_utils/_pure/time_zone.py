# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time zones by name."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def time_zone(tz: str | tzinfo) -> tzinfo:
    """Return the time zone of an IANA name (``Europe/Vienna``); a ``tzinfo`` as it is.

    ``UTC`` needs no time zone database. Raises ``ValueError`` for an unknown name.
    """
    return _named(tz) if isinstance(tz, str) else tz


@lru_cache(maxsize=64)
def _named(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"unknown time zone '{name}'") from error
