# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests write to their disks, for tests that ask whether they go on."""

from __future__ import annotations

from pathlib import Path

from agentstack.guests.process import Record, read_records

from .stacks import wait_until

_LOOKS = 60
"""Looks 20 ms apart without a new record, after which a guest is taken to wait: it writes one every half second."""


def records(path: Path) -> list[Record]:
    """The records on a disk."""
    return list(read_records(str(path)))


def goes_on(path: Path) -> bool:
    """Wait until the guest writes its next record."""
    before = len(records(path))
    return wait_until(lambda: len(records(path)) > before)


def stands(path: Path) -> int:
    """Wait until the guest writes no more; the number of its records then."""
    seen: list[int] = []

    def look() -> bool:
        seen.append(len(records(path)))
        return len(seen) >= _LOOKS and len(set(seen[-_LOOKS:])) == 1

    wait_until(look)
    return seen[-1]
