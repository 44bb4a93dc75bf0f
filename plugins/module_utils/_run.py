# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task knows of the run that it is part of, and what the run learns of the task. Private to this collection.

The action plugin says what holds for the task; to a module that is a process of its own it says so in the environment.
Without either, a task stands for itself: nothing is locked, compared or written down.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ._errors import StateError
from ._processes import ended
from ._whole_files import replace_file

ENVIRONMENT = "QUORATE_RUN"
COMMIT = "quorate-commit"
COUNTS = "_quorate_counts"
"""Key of a result under which a module that is a process of its own hands over what it counted."""


class StartAgain(Exception):
    """The run's lock was taken just now, so that what was read before may be out of date: the module starts again."""


@dataclass(frozen=True)
class Safety:
    """What the role ``safety`` settled for one cluster (or backup server), as in its fact ``_pve_run``.

    ``target``: the cluster's name. ``directory``: where its records are kept. ``max_changes``: a share such as 20%.
    ``plan``: the file that is to be carried out. ``lease``: seconds. ``keep``: number of restore points. ``inventory``:
    its directory.
    """

    target: str
    directory: Path
    kind: str = "pve"
    lock: bool = True
    lease: int = 300
    keep: int = 10
    restore_point: bool = True
    audit: bool = True
    max_changes: str = ""
    plan: str = ""
    inventory: str = ""
    shells: tuple[Mapping[str, Any], ...] = ()
    ssh: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_fact(cls, fact: Mapping[str, Any]) -> Safety:
        """Read the fact; what it does not say has its default.

        ansible-core before 2.19 makes texts of numbers, and an empty one of None, if they come from a template.
        """
        given = {name: fact[name] for name in cls.__dataclass_fields__ if fact.get(name) not in (None, "")}
        given |= {name: int(given[name]) for name in ("lease", "keep") if name in given}
        if shell := given.get("ssh"):
            given["ssh"] = {name: None if value == "" else value for name, value in shell.items()}
        given["directory"] = Path(str(given["directory"])).expanduser()
        given["shells"] = tuple(given.get("shells") or ())
        return cls(**given)


@dataclass
class Counts:
    """What a task did: API calls, those of them that wrote, objects that it looked at, and the server's tasks."""

    calls: int = 0
    written: int = 0
    objects: int = 0
    tasks: list[str] = field(default_factory=list)

    def called(self, method: str) -> None:
        """One call other than the login."""
        self.calls += 1
        self.written += method != "GET"


@dataclass
class Task:
    """One task of a run.

    ``process`` is that of ansible-playbook, ``directory`` the run's own (mode 0700), which ends with it.
    """

    module: str = ""
    directory: Path | None = None
    process: int = 0
    safety: Safety | None = None
    counts: Counts = field(default_factory=Counts)
    approved: bool = False
    host: str = ""
    warnings: list[str] = field(default_factory=list)
    ssh_password: str | None = field(default=None, repr=False)

    def to_environment(self) -> str:
        """For a module that is a process of its own. There are no secrets in it."""
        safety = asdict(self.safety) if self.safety else None
        known = {"module": self.module, "directory": self.directory, "process": self.process, "safety": safety}
        return json.dumps(known, default=str)

    @classmethod
    def from_environment(cls, module: str = "") -> Task:
        """What the action plugin has handed over, if it has."""
        text = os.environ.get(ENVIRONMENT)
        if not text:
            return cls(module)
        known = json.loads(text)
        safety = Safety.from_fact(known["safety"]) if known["safety"] else None
        directory = Path(known["directory"]) if known["directory"] else None
        return cls(known["module"], directory, int(known["process"]), safety)


def inventory_commit(safety: Safety, directory: Path | None) -> str | None:
    """The git commit of the inventory, ``-dirty`` if it has changes: as it was before the first write of the run whose
    directory that is."""
    if not safety.inventory:
        return None
    kept = directory / COMMIT if directory is not None and directory.is_dir() else None
    if kept is not None and kept.is_file():
        return kept.read_text(encoding="utf-8") or None
    command = ["git", "-C", safety.inventory, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        found = ""
    if kept is not None:
        replace_file(kept, found)
    return found or None


def private_directory(path: Path) -> None:
    """Make a directory, and those above it that are missing, for the owner alone."""
    for each in [*reversed(path.parents), path]:
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


# Set by the action plugin, or at the start of a module that is a process of its own.
current = Task()


def current_directory() -> Path | None:
    """The directory of the run."""
    return current.directory


def check_alive() -> None:
    """Raise :class:`StateError` if ansible-playbook is gone.

    Killed, it leaves its workers behind, and the next run may be at work already.
    """
    if current.process and ended(current.process):
        raise StateError("the run was killed: nothing more is written")
