# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a log file, and what is added to it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from agentstack.reader import StackError


def lines(path: Path, count: int, *, go_on: bool) -> Iterator[str]:
    """The last `count` lines of the file, then, if asked, each new line as it comes."""
    try:
        stream = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise StackError(f"there is no log {path}") from error
    with stream:
        yield from (line.rstrip("\n") for line in deque(stream, count))
        while go_on:
            if line := stream.readline():
                yield line.rstrip("\n")
            else:
                time.sleep(0.2)
