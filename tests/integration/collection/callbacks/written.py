# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts what the servers' own logs say that root has sent, before and after each task that only predicts."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

READS = re.compile(r'"GET |"POST \S*/access/ticket ')


class CallbackModule(CallbackBase):
    """``WRITTEN_STACK``: the state directory of the stack; ``WRITTEN_FILE``: where the counts go."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "written"

    def __init__(self) -> None:
        super().__init__()
        self._stack = Path(os.environ["WRITTEN_STACK"])
        self._counts: list[int] = []

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._count(task)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._count(result._task)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        Path(os.environ["WRITTEN_FILE"]).write_text(json.dumps(self._counts))

    def _count(self, task: Any) -> None:
        if task.get_name().endswith(" predict"):
            logs = self._stack.glob("hosts/*/root/var/log/**/access.log")
            lines = [line for log in logs for line in log.read_text().splitlines()]
            self._counts.append(sum("root@pam" in line and not READS.search(line) for line in lines))
