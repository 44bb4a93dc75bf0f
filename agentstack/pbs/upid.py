# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of a backup server's tasks: one field more than a node's, and the worker id escaped (facts §20.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentstack.upid import Upid

_TEXT = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):(?P<pstart>[0-9A-Fa-f]{8,9}):"
    r"(?P<task_id>[0-9A-Fa-f]{8,16}):(?P<starttime>[0-9A-Fa-f]{8}):(?P<type>[^:\s]+):(?P<id>[^:\s]*):(?P<user>[^:\s]+):"
)
_PLAIN = re.compile(r"[A-Za-z0-9_.]")


@dataclass(frozen=True)
class PbsUpid(Upid):
    """A task's name in parts; `id` is plain, `task_id` counts the tasks of the server's process."""

    task_id: int = 0

    def __str__(self) -> str:
        return (
            f"UPID:{self.node}:{self.pid:08X}:{self.pstart:08X}:{self.task_id:08X}:{self.starttime:08X}:{self.type}:"
            f"{escape(self.id)}:{self.user}:"
        )

    @property
    def directory(self) -> str:
        return f"{self.pstart & 0xFF:02X}"


def parse_upid(text: str) -> PbsUpid | None:
    """The parts of a task's name; None if it is not one."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    numbers = {name: int(match[name], 16) for name in ("pid", "pstart", "starttime", "task_id")}
    return PbsUpid(node=match["node"], type=match["type"], id=unescape(match["id"]), user=match["user"], **numbers)


def escape(text: str) -> str:
    """A worker id as it stands in a UPID, by systemd's rules for unit names: `store1:vm/100` is `store1\\x3avm-100`."""
    return "".join(_escaped(character, position) for position, character in enumerate(text))


def _escaped(character: str, position: int) -> str:
    if character == "/":
        return "-"
    if _PLAIN.match(character) and not (character == "." and position == 0):
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def unescape(text: str) -> str:
    """What `escape` was given."""
    raw = text.replace("-", "/").encode()
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), raw).decode(errors="replace")
