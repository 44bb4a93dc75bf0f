# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exit status of a command whose call failed: the last system error that the process met on its way."""

from __future__ import annotations

import errno

from agentstack.errors import AgentError, NoQuorum

FAILED = 255
"""Nothing had gone wrong before."""

LOCKED = ("/cluster/ha/", "/cluster/backup", "/cluster/replication", "/storage", "/access", "/pools")
"""Branches whose writes take a lock of the cluster: the directory of all locks is there already when it is made
(observed: commands, `pvesh create`, `ha-manager add`)."""


def exit_status(verb: str, path: str, error: AgentError) -> int:
    """What the failure of a call to `verb path` leaves."""
    if error.message.startswith("Configuration file"):
        return errno.ENOENT
    if verb != "GET" and path.startswith(LOCKED) and not isinstance(error, NoQuorum):
        return errno.EEXIST
    return FAILED
