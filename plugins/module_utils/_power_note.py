# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was running before a whole cluster was shut down, kept on the control node until it runs again.

Private to this collection. The note is made once; a run that goes on where another was cut off adds to how far things
are and never to what was before. It has names and numbers only; the file is its owner's alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ._errors import InputError
from ._run import check_alive
from ._secret_files import prepare_directory, write_secret

QUIET, GOING = "quiet", "going"
"""How far a shutdown is: guests and services are being stopped; nodes are being switched off."""


@dataclass
class Guest:
    """A guest that ran. ``order``: its place in the order of starts, None without one; ``up``, ``down``: seconds.

    ``managed``: HA looks after it.
    """

    vmid: int
    kind: str
    node: str
    managed: bool = False
    order: int | None = None
    up: int = 0
    down: int | None = None


@dataclass
class Note:
    """One shutdown. ``since``: when it began (UTC); ``boots``: by node, the boot that was shut down.

    ``ha``: resource -> the state that was asked for, of those that were switched off for it. ``flags``: Ceph's flags
    that were not set before; ``osds``: number -> node of those that were up; ``monitors``: name -> node.
    ``ha_aside``: HA as a whole was set aside. ``switched_on``: nodes that the start has switched on so far.
    """

    cluster: str
    since: str
    phase: str = QUIET
    boots: dict[str, str] = field(default_factory=dict)
    ha: dict[str, str] = field(default_factory=dict)
    guests: list[Guest] = field(default_factory=list)
    ceph: bool = False
    flags: list[str] = field(default_factory=list)
    osds: dict[str, str] = field(default_factory=dict)
    monitors: dict[str, str] = field(default_factory=dict)
    ha_aside: bool = False
    switched_on: list[str] = field(default_factory=list)

    @property
    def others(self) -> list[Guest]:
        """The guests that HA does not look after."""
        return [guest for guest in self.guests if not guest.managed]


class NoteFile:
    """Where the note is kept."""

    def __init__(self, path: str, cluster: str) -> None:
        self.path = Path(path).expanduser()
        self.cluster = cluster

    def read(self) -> Note | None:
        """The note; None if nothing is shut down. Raises :class:`InputError` if it is not one of this cluster."""
        if not self.path.exists():
            return None
        try:
            content: dict[str, Any] = json.loads(self.path.read_text("utf-8"))
            note = Note(**{**content, "guests": [Guest(**guest) for guest in content["guests"]]})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{self.path} is no note of a shutdown: {error}", where="note") from error
        if note.cluster != self.cluster:
            raise InputError(f"{self.path} is of the shutdown of {note.cluster}, not of {self.cluster}", where="note")
        return note

    def write(self, note: Note) -> None:
        """Keep it, all of it or nothing."""
        check_alive()
        prepare_directory(str(self.path), "note")
        write_secret(str(self.path), json.dumps(asdict(note), indent=1))

    def remove(self) -> None:
        """Everything is as it was."""
        check_alive()
        self.path.unlink(missing_ok=True)
