# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of a run found and did: for the plan while it lasts, for the audit trail for good.

Private to this collection. The notes lie in the run's own directory and end with it; the trail is one JSON document a
line in the records of the cluster. Both are written from results whose secrets are masked.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ._plan_file import Entry, PlanFile
from ._run import Task, inventory_commit, private_directory
from ._run_lock import user

NOTES = "quorate-notes.jsonl"
TRAIL = "audit.jsonl"


def record(task: Task, result: Mapping[str, Any], *, name: str, check_mode: bool) -> None:
    """Keep what came of one task."""
    counts = task.counts
    target = task.safety.target if task.safety else ""
    note = {
        "target": target,
        "host": task.host,
        "kind": task.safety.kind if task.safety else "",
        "module": task.module,
        "task": name,
        "check": check_mode,
        "failed": bool(result.get("failed")),
        "plan": result.get("plan") or [],
        "unknown": result.get("unknown") or [],
        "calls": counts.calls,
        "written": counts.written,
        "objects": counts.objects,
    }
    if task.directory is not None and task.directory.is_dir() and (counts.calls or note["plan"]):
        append(task.directory / NOTES, note)
    if task.safety is None or not task.safety.audit or check_mode:
        return
    done = result.get("done") if result.get("failed") else result.get("plan")
    if not done and not counts.written:
        return
    safety = task.safety
    append(
        safety.directory / TRAIL,
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "who": f"{user()}@{socket.gethostname()}",
            "run": task.process,
            "commit": inventory_commit(safety, task.directory),
            "plan": PlanFile.read(safety.plan).hash if safety.plan else None,
            "target": safety.target,
            "module": task.module,
            "task": name,
            "changes": done or [],
            "upids": counts.tasks,
            **({"failed": result.get("msg")} if result.get("failed") else {}),
        },
    )


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Add one line to a file of mode 0600, whole even if others write at the same time."""
    private_directory(path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(entry, default=str, ensure_ascii=False) + "\n")


def notes(directory: Path | None) -> list[dict[str, Any]]:
    """All notes of the run so far, in their order."""
    if directory is None or not (directory / NOTES).is_file():
        return []
    return [json.loads(line) for line in (directory / NOTES).read_text("utf-8").splitlines()]


def by_target(found: Iterable[Mapping[str, Any]], *, check: bool) -> dict[str, dict[str, Any]]:
    """The changes and numbers of each cluster and backup server, as they stand in a plan."""
    targets: dict[str, dict[str, Any]] = {}
    for note in found:
        if bool(note["check"]) != check:
            continue
        target = targets.setdefault(
            str(note["target"] or note["host"]),
            {"entries": [], "unknown": [], "objects": 0, "calls": 0, "written": 0},
        )
        target["entries"] += [Entry.of(note["module"], change).as_dict() for change in note["plan"]]
        target["unknown"] += [text for text in note["unknown"] if text not in target["unknown"]]
        for number in ("objects", "calls", "written"):
            target[number] += note[number]
    return targets
