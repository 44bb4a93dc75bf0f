# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for something to come about. Private to this collection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ._errors import ApiError, ConnectError, LoginError, QuorateError, TrustError, WaitError

T = TypeVar("T")

SHORTEST, LONGEST, GROWTH = 0.1, 2.0, 1.4

# What a cluster file system that restarts makes of good requests: 401, 500, 595 and refused connections (facts §22.2)
PASSING = (ApiError, ConnectError, LoginError, TrustError)


class Clock:
    """Seconds, and waiting for them."""

    def monotonic(self) -> float:
        """Seconds since some point in the past."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


CLOCK = Clock()


def wait_until(
    probe: Callable[[], T | None],
    *,
    timeout: float,
    what: str,
    clock: Clock = CLOCK,
    passing: tuple[type[QuorateError], ...] = (),
    describe: Callable[[], str] = lambda: "",
    hint: str = "",
) -> T:
    """Call ``probe`` until it returns something other than None, and return that.

    Errors of the types in ``passing`` count as "not yet". Raises :class:`WaitError` naming ``what`` after ``timeout``
    seconds; ``describe`` adds the state that was last seen.
    """
    end = clock.monotonic() + timeout
    pause, last = SHORTEST, ""
    while True:
        try:
            found = probe()
            last = ""
        except passing as error:
            found, last = None, str(error)
        if found is not None:
            return found
        if clock.monotonic() >= end:
            seen = last or describe()
            raise WaitError(f"{what} did not happen within {timeout:g} s" + (f" ({seen})" if seen else ""), hint=hint)
        clock.sleep(min(pause, max(end - clock.monotonic(), 0.0)))
        pause = min(pause * GROWTH, LONGEST)
