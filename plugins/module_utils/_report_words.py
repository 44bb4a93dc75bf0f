# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the report says things: times, sizes, findings. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

ERROR, WARNING, INFO = "error", "warning", "info"
GOOD = "good"
ORDER = (ERROR, WARNING, INFO, GOOD)

MINUTE, HOUR, DAY = 60, 3600, 86400


def span(seconds: float) -> str:
    """A length of time in its largest units: ``151 s``, ``12 min``, ``3 h``, ``2 days``."""
    seconds = max(0, round(seconds))
    if seconds < 3 * MINUTE:
        return f"{seconds} s"
    if seconds < 2 * HOUR:
        return f"{round(seconds / MINUTE)} min"
    if seconds < 2 * DAY:
        return f"{round(seconds / HOUR)} h"
    return f"{round(seconds / DAY)} days"


def moment(stamp: float | None) -> str:
    """A point in time (epoch seconds) as ``2026-11-22 04:42`` in UTC; an empty text for none."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M") if stamp else ""


def size(number: float) -> str:
    """Bytes in binary units, three digits: ``512 MiB``, ``1.5 GiB``."""
    value, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1000 or unit == "PiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 100 or value == int(value) else f"{value:.1f} {unit}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """``a, b and 3 more``."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def finding(severity: str, area: str, subject: str, text: str, fix: str = "") -> dict[str, str]:
    """One finding: ``area`` is the section that it belongs to, ``subject`` the node, guest, pool … it is about."""
    return {"severity": severity, "area": area, "subject": subject, "text": text, "fix": fix}


def worst(findings: Iterable[dict[str, Any]]) -> str:
    """The worst severity among findings; ``good`` without any."""
    return min((str(each["severity"]) for each in findings), key=ORDER.index, default=GOOD)
