# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan is made of: playbooks/converge.yml with ``_pve_planning``, which this collection's action alone hears."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
HARMLESS = {
    "assert",
    "debug",
    "fail",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "meta",
    "set_fact",
}
KEYWORDS = {
    *("name", "when", "vars", "register", "loop", "loop_control", "tags", "no_log", "failed_when", "changed_when"),
    *("block", "rescue", "always", "module_defaults", "check_mode", "until", "retries", "delay"),
}


def plays() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "playbooks" / "converge.yml").read_text("utf-8"))
    return found


def tasks_in(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        for part in ("block", "rescue", "always"):
            yield from tasks_in(node.get(part, []))
        yield node


def roles() -> list[str]:
    named = {role["role"] for play in plays() for role in play.get("roles", [])}
    for play in plays():
        for task in tasks_in([*play.get("pre_tasks", []), *play.get("tasks", [])]):
            if "ansible.builtin.import_role" in task:
                named.add(task["ansible.builtin.import_role"]["name"])
    return sorted(name.removeprefix("quorate.pve.") for name in named)


def modules(tasks: list[dict[str, Any]]) -> set[str]:
    return {key for task in tasks_in(tasks) for key in task if key not in KEYWORDS}


@pytest.mark.parametrize("role", roles())
def test_nothing_but_this_collection_could_write(role: str) -> None:
    for path in (ROOT / "roles" / role / "tasks").glob("*.yml"):
        names = modules(yaml.safe_load(path.read_text("utf-8")) or [])
        foreign = {name for name in names if not name.startswith("quorate.pve.")}
        assert {name.removeprefix("ansible.builtin.") for name in foreign} <= HARMLESS, path


def test_nothing_but_this_collection_could_write_in_the_plays_themselves() -> None:
    for play in plays():
        names = modules([*play.get("pre_tasks", []), *play.get("tasks", []), *play.get("post_tasks", [])])
        assert {name.removeprefix("ansible.builtin.") for name in names} <= HARMLESS
