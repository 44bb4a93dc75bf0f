# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same work on several things side by side. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ._errors import QuorateError

T = TypeVar("T")
R = TypeVar("R")

# Twice what a server's pool of API workers takes at once would only queue there (facts §1.4).
WIDTH = 8


def side_by_side(work: Callable[[T], R], things: Iterable[T], *, width: int = WIDTH) -> list[R | QuorateError]:
    """Do ``work`` on every thing; results in their order, with the error in the place of a result that failed."""

    def attempt(thing: T) -> R | QuorateError:
        try:
            return work(thing)
        except QuorateError as error:
            return error

    pending = list(things)
    if len(pending) < 2:
        return [attempt(thing) for thing in pending]
    with ThreadPoolExecutor(max_workers=min(width, len(pending))) as pool:
        return list(pool.map(attempt, pending))


def all_or_error(results: Iterable[R | QuorateError]) -> list[R]:
    """The results, if none of them is an error; else the first error is raised."""
    good: list[R] = []
    for result in results:
        if isinstance(result, QuorateError):
            raise result
        good.append(result)
    return good
