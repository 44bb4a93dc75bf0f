# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the server (UPIDs) and their end. Private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from . import _progress
from ._client import Client
from ._errors import ApiError, QuorateError, TaskError
from ._wait import wait_until

LOG_TAIL = 20
# a backup server's has one field more before the type (facts §4, §20.3)
_UPID = re.compile(r"UPID:([^:\s]+):(?:[^:\s]*:){3,4}([^:\s]+):([^:\s]*):[^:\s]+:")

_STAMP = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d): ")


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


def task_log(client: Client, upid: str, *, start: int = 0) -> list[str]:
    """The log of a task from a line on, 0 for the whole of it; empty if it cannot be read."""
    try:
        lines = client.get(
            f"{_path(client, upid)}/log", limit=client.dialect.whole_log, **({"start": start} if start else {})
        )
    except ApiError:
        return []
    texts = [str(line.get("t", "")) for line in sorted(lines, key=lambda line: int(line.get("n", 0)))]
    return [_STAMP.sub("", text) for text in texts] if client.dialect.stamped_log else texts


def running_tasks(client: Client, node: str, kind: str) -> list[str]:
    """The tasks of a kind that run on a node just now, whoever started them (needs Sys.Audit for others' ones)."""
    active = client.get(f"/nodes/{node}/tasks", source="active", typefilter=kind)
    return [str(task["upid"]) for task in active if not task.get("endtime")]


def follow_task(client: Client, upid: str, follower: _progress.Follower) -> TaskEnd | None:
    """As :func:`task_end`; what is new in the log is told if somebody listens and the task takes its time."""
    end = task_end(client, upid)
    if follower.due(now := client.clock.monotonic()):
        follower.tell(task_log(client, upid, start=follower.seen), now)
    return end


def wait_for_task(
    client: Client, upid: str, *, timeout: float, passing: tuple[type[QuorateError], ...] = ()
) -> TaskEnd:
    """Wait for a task's end. Raises :class:`TaskError`, or :class:`WaitError` after ``timeout`` seconds."""
    follower = _progress.Follower(upid, client.clock.monotonic())
    return wait_until(
        lambda: follow_task(client, upid, follower),
        timeout=timeout,
        what=f"the end of the task {upid}",
        clock=client.clock,
        passing=passing,
        hint=f"The task goes on; look at it with: {client.dialect.log_command}.",
    )
