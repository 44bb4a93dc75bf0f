# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tickets kept between the tasks of one run, so that each host logs in once. Private to this collection.

They lie in a directory of that run alone (mode 0700, removed when ansible-playbook ends), one file of mode 0600
for a login.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

# A ticket lives two hours (facts §3.1).
LIFETIME = 3600


@dataclass(frozen=True)
class Ticket:
    """What a login gave, and when (epoch seconds)."""

    ticket: str
    csrf: str
    issued: float


class TicketStore:
    """Tickets in a directory. Without one it keeps nothing."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory

    def load(self, *login: str) -> Ticket | None:
        """The ticket of a login (address, user, password, …) if there is a fresh one."""
        if self._directory is None:
            return None
        try:
            ticket = Ticket(**json.loads(self._path(login).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return ticket if 0 <= time.time() - ticket.issued < LIFETIME else None

    def save(self, ticket: Ticket, *login: str) -> None:
        """Keep a ticket."""
        if self._directory is None or not self._directory.is_dir():
            return
        path = self._path(login)
        temporary = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(ticket), file)
        temporary.replace(path)

    def _path(self, login: tuple[str, ...]) -> Path:
        digest = hashlib.sha256("\0".join(login).encode()).hexdigest()
        return (self._directory or Path()) / f"quorate-ticket-{digest}"
