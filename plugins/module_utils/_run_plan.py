# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a whole run: collected from what its tasks found out, printed, kept and compared.

Private to this collection.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import _run
from ._plan import CREATE, DELETE, UPDATE
from ._plan_file import Entry, PlanFile, plan_hash
from ._run_lock import user
from ._run_records import by_target, notes

SIGNS = {CREATE: "+", UPDATE: "~", DELETE: "-"}
LONGEST = 100
"""Characters of a setting's value that are printed."""


def run(params: Mapping[str, Any], _check_mode: bool) -> dict[str, Any]:
    """The whole module ``run_plan``."""
    targets = by_target(notes(_run.current.directory), check=not params["done"])
    path = ""
    if params["compare"]:
        found = {name: [Entry(**entry) for entry in target["entries"]] for name, target in targets.items()}
        PlanFile.read(str(params["compare"])).compare(found)
    if params["save"]:
        path = _place(str(params["save"]), targets)
        about = {"made": _now(), "by": f"{user()}@{socket.gethostname()}"}
        PlanFile.make(targets, **about).write(path)
    return {
        "changed": False,
        "targets": {name: {**target, **numbers(target)} for name, target in targets.items()},
        "changes": sum(len(target["entries"]) for target in targets.values()),
        "unknown": sum(len(target["unknown"]) for target in targets.values()),
        "hash": plan_hash(targets),
        "file": path,
        "text": text(targets, path),
        "calls": 0,
    }


def numbers(target: Mapping[str, Any]) -> dict[str, int]:
    """How many changes there are of each kind. Other actions than the three count as changes."""
    actions = [entry["action"] for entry in target["entries"]]
    create, delete = actions.count(CREATE), actions.count(DELETE)
    return {"create": create, "update": len(actions) - create - delete, "delete": delete}


def text(targets: Mapping[str, Mapping[str, Any]], path: str = "") -> str:
    """What a person reads of it."""
    lines: list[str] = []
    for name, target in targets.items():
        count = numbers(target)
        lines.append(
            f"{name}: {count['create']} to create, {count['update']} to change, {count['delete']} to delete "
            f"(of {target['objects']} objects), {target['calls']} API calls made, {target['written']} written"
        )
        width = max((len(entry["object"]) for entry in target["entries"]), default=0)
        for entry in target["entries"]:
            said = f"  {SIGNS.get(entry['action'], '~')} {entry['object']:<{width}}  {_settings(entry)}"
            lines.append(said.rstrip())
        lines += [f"  ? {unknown}" for unknown in target["unknown"]]
    if any(target["unknown"] for target in targets.values()):
        lines.append("what is marked ? can only be known when earlier steps are made; the run stops where it differs")
    if path:
        lines.append(f"plan saved to {path} — apply exactly this: ansible-playbook site.yml -e plan={path}")
    return "\n".join(lines)


def _settings(entry: Mapping[str, Any]) -> str:
    fields = entry["fields"]
    if entry["action"] == CREATE:
        return ", ".join(f"{name} {_shown(value.get('after'))}" for name, value in fields.items())
    if entry["action"] == DELETE:
        return ""
    return ", ".join(
        f"{name} {_shown(value.get('before'))} → {_shown(value.get('after'))}" for name, value in fields.items()
    )


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        said = " ".join(map(str, value))
    elif isinstance(value, Mapping):
        said = " ".join(f"{name}={each}" for name, each in value.items())
    else:
        said = str(value)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"


def _place(path: str, targets: Mapping[str, Any]) -> str:
    """A file as it is named; in a directory, one named by what it is about and when it was made."""
    place = Path(path).expanduser()
    if not (path.endswith("/") or place.is_dir()):
        return str(place.absolute())
    about = "+".join(name for name, target in targets.items() if target["entries"]) or "nothing"
    return str((place / f"{about}-{time.strftime('%Y-%m-%dT%H%M%S')}.json").absolute())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
