# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that agents answer with; the HTTP layer, the tasks and the shell each render them in their own way."""

from __future__ import annotations


class AgentError(Exception):
    """A refusal in the server's own words: HTTP 500 (PVE) or 400 (PBS), `TASK ERROR: text`, or a line on stderr."""

    status = 500

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status

    @property
    def text(self) -> str:
        """The error where there is no HTTP around it: in a task's log, on stderr, inside another error."""
        return self.message


class ParameterError(AgentError):
    """400 `Parameter verification failed.` with one text per parameter (facts §1.3)."""

    status = 400

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("Parameter verification failed.")
        self.errors = errors

    @property
    def text(self) -> str:
        """As seen when one call fails inside another: the status, and a line for each parameter (observed: backup)."""
        return "\n".join(
            ["400 Parameter verification failed.", *(f"{name}: {why}" for name, why in self.errors.items())]
        )


class NoQuorum(AgentError):
    """A call that needs a quorate cluster was made without one (facts §2, observed: no-quorum)."""

    def __init__(self, message: str = "cluster not ready - no quorum?") -> None:
        super().__init__(message)
