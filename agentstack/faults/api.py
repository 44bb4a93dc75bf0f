# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a host's API: answers that are late, refused, cut off, or whose task dies half way.

    agentstack fault api pve2 '/nodes/*/qemu/**' method=POST status=503 count=2
    agentstack fault api pve2 '/cluster/**' delay=5s
    agentstack fault api pve2 '/storage' drop
    agentstack fault api pve2 '/pools/**' method=POST,PUT,DELETE unanswered
    agentstack fault api pve2 '/pools/**' method=PUT ignore
    agentstack fault api pve1 '/nodes/*/disks/zfs' method=POST fail='command failed'
    agentstack fault api pve1 '/nodes/*/disks/zfs' method=POST warn='mind the gap'
    agentstack fault api pve1 '/nodes/*/disks/zfs' die=task after=1s
    agentstack fault api pve1 '/nodes/*/disks/zfs' restore

In a pattern `*` stands for what is between two slashes and `**` for anything. Of several faults that fit a call, the
one that was ordered first counts. `count`: how many calls are hit. `unanswered`: the connection is closed when the
call has been carried out. `ignore`: what answers nothing answers so and does nothing. `fail` is how the call's task
ends instead of doing its work, `warn` what it says after it. `die=task` ends the worker of the call's task without a
last word, `die=host` cuts the host's power while it works.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from agentstack.units import parse_duration

METHODS = ("GET", "POST", "PUT", "DELETE")
VICTIMS = ("task", "host")


def methods(text: str) -> str:
    """The names of API methods, with commas between them."""
    for name in text.upper().split(","):
        if name not in METHODS:
            raise ValueError(f"{name!r} is none of {', '.join(METHODS)}")
    return text.upper()


def status(text: str) -> int:
    """An HTTP status that means failure; a proxy's own go up to 599."""
    if not text.isdecimal() or not 400 <= int(text) <= 599:
        raise ValueError(f"{text!r} is not a status from 400 to 599")
    return int(text)


def count(text: str) -> int:
    """How many calls; 0: all."""
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def victim(text: str) -> str:
    """What dies."""
    if text not in VICTIMS:
        raise ValueError(f"{text!r} is none of {', '.join(VICTIMS)}")
    return text


SETTINGS: Mapping[str, Callable[[str], Any]] = {
    "method": methods,
    "delay": parse_duration,
    "status": status,
    "reason": str,
    "count": count,
    "fail": str,
    "warn": str,
    "die": victim,
    "after": parse_duration,
}


def pattern(text: str) -> re.Pattern[str]:
    """The expression behind a pattern of paths."""
    parts = re.split(r"(\*\*|\*)", text.rstrip("/") or "/")
    words = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(words.get(part) or re.escape(part) for part in parts))
