# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of a backup server: as those of a node, with other names and a time before every line of a log."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from agentstack import tasks
from agentstack.pbs.upid import PbsUpid, parse_upid
from agentstack.upid import Upid

if TYPE_CHECKING:
    from agentstack.host import Host

_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d: ")


class PbsTask(tasks.Task):
    """A running task."""

    def log(self, text: str) -> None:
        now = datetime.fromtimestamp(int(self.clock.now()), UTC).isoformat()
        for line in text.split("\n"):
            super().log(f"{now}: {line}")

    @staticmethod
    def plain(line: str) -> str:
        return _STAMP.sub("", line)


class PbsTasks(tasks.Tasks):
    """The tasks of one backup server, running and finished."""

    location = "var/log/proxmox-backup/tasks"
    form = PbsTask
    parse: Callable[[str], Upid | None] = staticmethod(parse_upid)

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._numbers = count()

    def name(self, kind: str, worker_id: str, user: str) -> Upid:
        plain = super().name(kind, worker_id, user)
        return PbsUpid(
            plain.node, self._pid, plain.pstart, plain.starttime, kind, worker_id, user, task_id=next(self._numbers)
        )

    async def publish(self) -> None:
        """A backup server stands alone: there is nobody to tell."""


class TaskService(tasks.TaskService):
    """The part of a host that keeps its tasks."""

    def __init__(self, host: Host) -> None:
        host.tasks = self.tasks = PbsTasks(host)
