# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the server (UPIDs) and their end. Private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ._client import Client
from ._errors import ApiError, QuorateError, TaskError
from ._wait import wait_until

LOG_TAIL = 20
# a backup server's has one field more before the type (facts §4, §20.3)
_UPID = re.compile(r"UPID:([^:\s]+):(?:[^:\s]*:){3,4}([^:\s]+):([^:\s]*):[^:\s]+:")


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended: ``OK`` or ``WARNINGS: n``, with the warnings' lines of its log."""

    upid: str
    status: str
    warnings: tuple[str, ...] = ()


def is_upid(value: Any) -> bool:
    """Whether an answer names a task."""
    return isinstance(value, str) and _UPID.fullmatch(value) is not None


def node_of(upid: str) -> str:
    """The node that runs a task."""
    return upid.split(":")[1]


def _path(client: Client, upid: str) -> str:
    return f"/nodes/{client.dialect.local_node or node_of(upid)}/tasks/{upid}"


def task_end(client: Client, upid: str) -> TaskEnd | None:
    """How a task ended; None while it runs. Raises :class:`TaskError` if it failed (facts §4)."""
    state = client.get(f"{_path(client, upid)}/status")
    if state.get("status") != "stopped":
        return None
    status = str(state.get("exitstatus") or "unexpected status")
    if status == "OK":
        return TaskEnd(upid, status)
    log = task_log(client, upid)
    if status.startswith("WARNINGS:"):
        return TaskEnd(upid, status, tuple(line for line in log if line.startswith("WARN")))
    raise TaskError(upid, status, log[-LOG_TAIL:])


def task_log(client: Client, upid: str) -> list[str]:
    """The whole log of a task; empty if it cannot be read."""
    try:
        lines = client.get(f"{_path(client, upid)}/log", limit=client.dialect.whole_log)
    except ApiError:
        return []
    return [str(line.get("t", "")) for line in sorted(lines, key=lambda line: int(line.get("n", 0)))]


def wait_for_task(
    client: Client, upid: str, *, timeout: float, passing: tuple[type[QuorateError], ...] = ()
) -> TaskEnd:
    """Wait for a task's end. Raises :class:`TaskError`, or :class:`WaitError` after ``timeout`` seconds."""
    return wait_until(
        lambda: task_end(client, upid),
        timeout=timeout,
        what=f"the end of the task {upid}",
        clock=client.clock,
        passing=passing,
        hint=f"The task goes on; look at it with: {client.dialect.log_command}.",
    )
