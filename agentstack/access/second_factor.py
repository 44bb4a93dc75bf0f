# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second step of a login, and the cluster's file of second factors (facts §3.2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from agentstack.access import tfa
from agentstack.access.identity import Unauthorized

if TYPE_CHECKING:
    from agentstack.host import Host

HALF = "!tfa!"
"""What stands in a ticket in place of a user who still has to show a second factor."""


class SecondFactors:
    """A node's view of the second factors; wrong answers are counted by each node for itself."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._failures: dict[str, int] = {}

    def users(self) -> dict[str, tfa.Data]:
        """The factors of all users who have any; not to be changed (see `editing`)."""
        return tfa.parse(self.host.files.read_text(tfa.FILE, default=""))

    def of(self, userid: str) -> tfa.Data:
        """The factors of one user."""
        return self.users().get(userid, {})

    @asynccontextmanager
    async def editing(self, userid: str) -> AsyncIterator[tfa.Data]:
        """Change one user's factors."""
        async with self.host.files.lock(tfa.LOCK):
            users = self.users()
            data = users.setdefault(userid, {})
            yield data
            await self.host.files.write(tfa.FILE, tfa.format_tfa(users))

    def question(self, userid: str) -> str | None:
        """What a half ticket says of the factors that would do; None for a user without any."""
        asked = tfa.challenge(self.of(userid))
        return f"{HALF}{json.dumps(asked, separators=(',', ':'))}" if asked else None

    async def check(self, userid: str, response: str) -> None:
        """Check `totp:123456`, `recovery:KEY`; raises Unauthorized."""
        now = self.host.clock.now()
        data: dict[str, Any] = self.of(userid)
        outcome = tfa.verify(data, response, now)
        if outcome.fits:
            self._failures.pop(userid, None)
            if outcome.changed:
                async with self.editing(userid) as present:
                    # once more: somebody may have used the same key or code meanwhile
                    if not tfa.verify(present, response, now).fits:
                        raise Unauthorized("authentication failure")
            return
        failures = self._failures[userid] = self._failures.get(userid, 0) + 1
        if tfa.lock(data, response.partition(":")[0], failures, now):
            self._failures.pop(userid, None)
            async with self.editing(userid) as present:
                tfa.lock(present, response.partition(":")[0], failures, now)
        raise Unauthorized("authentication failure")
