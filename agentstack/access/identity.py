# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who makes a call."""

from __future__ import annotations

from dataclasses import dataclass

from agentstack.errors import AgentError

ROOT = "root@pam"


class Unauthorized(AgentError):
    """401; the answer comes after a pause (facts §1.3)."""

    status = 401

    def __init__(self, message: str = "Authentication failed!") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Identity:
    """A user, or one of their API tokens: `token` is the full `user@realm!name`, None with a ticket."""

    userid: str
    token: str | None = None

    @property
    def authid(self) -> str:
        """What ACLs and UPIDs name: the token if there is one, else the user."""
        return self.token or self.userid

    @property
    def is_root(self) -> bool:
        """Whether everything is allowed: root@pam with a ticket, never a token of it (facts §3.3)."""
        return self.userid == ROOT and self.token is None
