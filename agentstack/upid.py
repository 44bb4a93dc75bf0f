# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of tasks: `UPID:pve1:0000007A:000226B6:6B01F360:clusterjoin::root@pam:` (facts §4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEXT = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):(?P<pstart>[0-9A-Fa-f]{8,9}):"
    r"(?P<starttime>[0-9A-Fa-f]{8}):(?P<type>[^:\s/]+):(?P<id>[^:\s/]*):(?P<user>[^:\s/]+):"
)


@dataclass(frozen=True)
class Upid:
    """A task's name in parts. `pstart` is in hundredths of a second since boot, `starttime` in epoch seconds.

    `user` is who started it: a user id or a full token id.
    """

    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    user: str

    def __str__(self) -> str:
        return (
            f"UPID:{self.node}:{self.pid:08X}:{self.pstart:08X}:{self.starttime:08X}:{self.type}:{self.id}:{self.user}:"
        )

    @property
    def directory(self) -> str:
        """The subdirectory of the task logs that this task's log is in."""
        return f"{self.starttime:08X}"[-1]


def parse_upid(text: str) -> Upid | None:
    """The parts of a task's name; None if it is not one."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    return Upid(
        match["node"],
        int(match["pid"], 16),
        int(match["pstart"], 16),
        int(match["starttime"], 16),
        match["type"],
        match["id"],
        match["user"],
    )
