# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold before a module writes: the limit, the plan that is carried out, the lock, the restore point.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import _run
from ._client import Connection
from ._limits import limit_changes
from ._plan import Change
from ._plan_file import PlanFile
from ._restore_point import take
from ._run_lock import acquire, holds
from ._shell import Login

if TYPE_CHECKING:
    from ._api import Api

SSH_TIMEOUT = 60.0


def approve(api: Api, changes: Sequence[Change], existing: int | None, kind: str) -> None:
    """Let a module go on from its plan to its first write, or refuse.

    ``existing`` objects of ``kind`` are there; None: there is one only, or nobody can tell. Raises
    :class:`QuorateError`, or :class:`StartAgain` once in a run.
    """
    task = _run.current
    if api.check_mode or not changes:
        return
    safety = task.safety
    if safety is not None:
        if safety.max_changes and existing is not None:
            limit_changes(kind, changes, existing, safety.max_changes)
        if safety.plan:
            PlanFile.read(safety.plan).allow(safety.target, task.module, changes)
        if not holds(task, safety):
            task.warnings += acquire(api.client, task, safety)
            if safety.restore_point:
                take(api.client, safety, _login(api.client.connection, task) if safety.shells else None)
            raise _run.StartAgain
    task.approved = True


def _login(connection: Connection, task: _run.Task) -> Login | None:
    """How to reach the nodes over SSH, if the inventory says so or the API's password is root's."""
    ssh = task.safety.ssh if task.safety else {}
    password = task.ssh_password or (connection.password if connection.user == "root@pam" else None)
    key_file = Path(str(ssh["private_key_file"])) if ssh.get("private_key_file") else None
    if password is None and key_file is None:
        return None
    return Login(str(ssh.get("user") or "root"), int(ssh.get("port") or 22), password, key_file, timeout=SSH_TIMEOUT)
