# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, as types. Private to this collection.

Only a module's ``main()`` and the action plugin turn these into failures. A message says what is wrong and where; the
hint says what to do about it. The server's own words are passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Texts by which the server's answers are told apart: it says 500 to nearly everything (facts §1.3, §2, §6, §7.1).
NO_QUORUM = re.compile(r"cluster not ready - no quorum\?|error: no quorum!")
LOCK_TIMEOUT = re.compile(r"got lock request timeout")
CLUSTER_EXISTS = re.compile(r"cluster config '.*' already exists")
NOT_IN_CLUSTER = re.compile(r"node is not in a cluster, no join info available")
GROUPS_MIGRATED = re.compile(r"ha groups have been migrated to rules")

# What to do about a text, in the order in which they are looked for.
HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (NO_QUORUM, "The cluster has lost quorum and takes no changes: bring more of its nodes back first."),
    (LOCK_TIMEOUT, "Somebody else is changing the same part of the cluster; run again."),
    (
        re.compile(r"Permission check failed \(user != root@pam\)"),
        "Only root@pam with its password may do this: no API token, no other user.",
    ),
    (re.compile(r"not available with API token"), "Log in with a password instead of an API token."),
    (
        re.compile(r"Permission check failed \(|^permission check failed"),
        "Give the user (and its token) this privilege on this path.",
    ),
    (
        re.compile(r"certificate verify failed"),
        "Is the fingerprint that of this server, as proxmox-backup-manager cert info shows it there?",
    ),
    (
        re.compile(r"validating challenge '.*' failed"),
        "The authority found no proof: does the domain lead to this node, and is its port 80 open to the authority "
        "(with a plugin: are its credentials right)?",
    ),
    (
        re.compile(r"acme:error:rateLimited"),
        "The authority has had too many orders: wait as long as it says, and try at its staging directory.",
    ),
    (
        re.compile(r"acme:error:externalAccountRequired"),
        "This authority takes accounts of its customers only: give eab_kid and eab_hmac_key.",
    ),
    (
        re.compile(r"Error: \w+ to https?://\S+\s+500 Can't connect"),
        "The node does not reach the authority: look at its route, its name servers, and whether it trusts it.",
    ),
    (re.compile(r"Method '\S+ \S+' not implemented"), "This server is of a version that does not have it."),
    (re.compile(r"cannot use unmanaged resource"), "Put the guests under HA first (ha_resources)."),
    (re.compile(r"detected modified configuration"), "Somebody else changed it in the meantime; run again."),
)


UNKNOWN_SETTING = re.compile(r"schema does not allow additional properties")
OFFLINE = "The member that the call is for is offline, or does not answer the one that was asked."


def hint_for(text: str) -> str:
    """What to do about a text of the server, or ``""``."""
    return next((hint for pattern, hint in HINTS if pattern.search(text)), "")


class QuorateError(Exception):
    """Anything that ends a module. ``where`` is a path into its parameters such as ``storages[2] (tank)``."""

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text.rstrip('.')}. {self.hint}" if self.hint else text

    def at(self, where: str) -> QuorateError:
        """Return the same error, naming the parameter, unless it names one already."""
        self.where = self.where or where
        return self

    def facts(self) -> dict[str, Any]:
        """Keys for the module's result beside the message."""
        return {}


class InputError(QuorateError):
    """A parameter that cannot be right, whatever the server has."""


class StateError(QuorateError):
    """What is wanted does not go with what is there: another cluster's node, a disk in use, a fixed setting."""


class ConnectError(QuorateError):
    """No answer: refused, timed out, or the connection broke. ``address``: of whom, if that is one server."""

    address = ""


class TrustError(QuorateError):
    """The server's certificate is not the expected one; nothing was sent to it."""


class LoginError(QuorateError):
    """The server refused the credentials."""


class WaitError(QuorateError):
    """Something did not come about in time."""


class VerifyError(QuorateError):
    """The server said yes, and reading back shows something else."""

    def facts(self) -> dict[str, Any]:
        return {"changed": True}


class ShellError(QuorateError):
    """A command on a host failed, or the host could not be reached over SSH."""


class ApiError(QuorateError):
    """An answer of 400 and above. ``text`` is all that the server said; ``errors`` holds its words per parameter."""

    def __init__(
        self,
        method: str,
        path: str,
        status: int,
        text: str,
        errors: Mapping[str, str] | None = None,
        *,
        server: str = "",
    ) -> None:
        self.method, self.path, self.status, self.server = method, path, status, server
        self.text = text.strip()
        self.errors = {key: str(value).strip() for key, value in (errors or {}).items()}
        details = "; ".join(f"{key}: {value}" for key, value in sorted(self.errors.items()))
        said = f"{self.text.rstrip('.')}: {details}" if details else self.text or "no text"
        at = f" at {server}" if server else ""
        super().__init__(
            f"{said} ({method} {path}{at}, status {status})",
            hint=hint_for(self.text) or self._unknown_settings() or (OFFLINE if self.node_offline else ""),
        )

    def _unknown_settings(self) -> str:
        """What to do about settings that other versions of the server have."""
        names = sorted(name.replace("-", "_") for name, why in self.errors.items() if UNKNOWN_SETTING.search(why))
        return f"This server is of a version without {', '.join(names)}: leave that out." if names else ""

    @property
    def node_offline(self) -> bool:
        """The server could not pass the call on to the node (facts §1.4)."""
        return self.status in (595, 596, 597, 599)

    @property
    def unknown_path(self) -> bool:
        """The server has no such path or method: it is of another version (facts §1.3)."""
        return self.status == 501

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether the server's text matches one of the patterns of this file."""
        return pattern.search(self.text) is not None

    def facts(self) -> dict[str, Any]:
        return {
            "api_error": {
                "method": self.method,
                "path": self.path,
                "status": self.status,
                "text": self.text,
                "errors": self.errors,
            }
        }


class TaskError(QuorateError):
    """A task of the server ended in an error. ``log`` holds the last lines of its log."""

    def __init__(self, upid: str, status: str, log: Sequence[str]) -> None:
        self.upid, self.status, self.log = upid, status, list(log)
        reasons = [line.strip() for line in self.log if line.strip() and not line.startswith("TASK ")]
        fields = upid.split(":")
        tail = f" Its log ends: {' / '.join(reasons[-6:])}" if reasons else ""
        super().__init__(f"the task {fields[-4]} on {fields[1]} failed: {status}.{tail}")
        self.hint = hint_for(status)

    def facts(self) -> dict[str, Any]:
        return {"task": {"upid": self.upid, "exitstatus": self.status, "log": self.log}}


class ApplyError(QuorateError):
    """Some changes of a plan were carried out and others not. ``cause`` is the first thing that went wrong."""

    def __init__(
        self, causes: Sequence[QuorateError], done: list[dict[str, Any]], not_done: list[dict[str, Any]]
    ) -> None:
        self.causes, self.done, self.not_done = list(causes), done, not_done
        text = " | ".join(str(cause) for cause in self.causes)
        counts = f"{len(done)} of {len(done) + len(not_done)} changes were made"
        super().__init__(f"{text.rstrip('.')}. {counts if done else 'Nothing was changed'}.")

    def facts(self) -> dict[str, Any]:
        first = self.causes[0].facts() if self.causes else {}
        return {**first, "done": self.done, "not_done": self.not_done, "changed": bool(self.done)}
