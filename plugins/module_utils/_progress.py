# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What long tasks of the server say while they run. Private to this collection.

The callback plugin ``progress`` sets :data:`listener` in the controlling process; workers are forked from it and so
have it, too. Without it nothing is read and nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

#: takes one line to be shown
listener: Callable[[str], None] | None = None

#: seconds that a task may take without a word
QUIET = 2.0
#: percent between two lines that say how far it is
STEP = 10

_PERCENT = re.compile(r"(\d{1,3})(?:\.\d+)?\s?%")


class Follower:
    """Tells of one task: every line of its log once, of those with a percentage one a step."""

    def __init__(self, upid: str, begun: float) -> None:
        fields = upid.split(":")
        self._begun = begun
        self._title = " ".join(part for part in (*fields[-4:-2], fields[1]) if part)
        self._shown = -STEP
        #: number of lines of the log that were told of
        self.seen = 0

    def due(self, now: float) -> bool:
        """Whether anything is to be told at all: somebody listens, and the task takes its time."""
        return listener is not None and now - self._begun >= QUIET

    def tell(self, lines: Sequence[str], now: float) -> None:
        """New lines of the log."""
        # so the server says that there is nothing (facts §4)
        lines = [line for line in lines if line != "no content"]
        self.seen += len(lines)
        for line in lines:
            percent = max((int(found) for found in _PERCENT.findall(line)), default=None)
            if percent is not None:
                if percent < self._shown + STEP and percent < 100:
                    continue
                self._shown = percent
            if listener is not None and line.strip():
                shown = f"{'█' * (percent // 10):<10} " if percent is not None else ""
                listener(f"  {self._title}  {shown}{line.strip()}  {now - self._begun:.0f} s")
