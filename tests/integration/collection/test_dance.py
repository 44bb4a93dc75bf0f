# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module dances on live hosts: what was predicted is what changes, and a second time nothing does.

In the controller's process but for the first step and the last one, which are processes of their own; for many minutes
(soak) as processes of their own throughout.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ...stacks import RunningStack, StackFactory
from .dances import Dance
from .stage import Task, connections, fill, places, set_up, tasks
from .table import NEWEST, by_file, marks_of, on_8, version_of

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
PATIENCE = {"1": 300, "0": 800}
"""Seconds for a play: in process, and with a process for each task."""
ALONE = {"lock": False, "restore_point": False}


def play(stack: RunningStack, directory: Path, dances: dict[str, Dance]) -> list[dict[str, Any]]:
    """One play that dances all of them and writes down what each task returned."""
    here = places(stack, directory)
    connection, backup = connections(here, directory)
    steps: list[dict[str, Any]] = []
    for index, task in enumerate(tasks(dances)):
        steps.append(
            {
                "name": task.name,
                **({"environment": {"QUORATE_IN_PROCESS": "0"}} if task.ordinary else {}),
                f"quorate.pve.{task.module}": fill(task.parameters, here),
                "check_mode": task.kind.startswith("predict"),
                "diff": True,
                "register": f"result_{index}",
            }
        )
    names = ", ".join(f"result_{number}" for number in range(index + 1))
    steps.append({"copy": {"content": f"{{{{ [{names}] | to_json }}}}", "dest": str(directory / "results.json")}})
    return [
        {
            "hosts": "all",
            "gather_facts": False,
            # as in a whole run: every module shows its plan before it writes, and what it did is written down
            "vars": {"_pve_run": {"target": "dance", "directory": str(directory), **ALONE}},
            "module_defaults": {"group/quorate.pve.all": connection, "group/quorate.pve.pbs": backup},
            "tasks": steps,
        }
    ]


@dataclass(frozen=True)
class Danced:
    """What came of one file of dances."""

    dances: dict[str, Dance]
    tasks: list[Task]
    results: list[dict[str, Any]]
    output: str
    trail: list[dict[str, Any]]
    written: list[int]


def ways() -> Iterator[Any]:
    """Every file of dances: in process, as processes, and with the older release if it says nothing of releases."""
    for file in by_file():
        yield pytest.param((file, "1", ""), id=f"{file} in process", marks=marks_of(file))
        yield pytest.param((file, "0", ""), id=f"{file} as ordinary modules", marks=pytest.mark.soak)
        if version_of(file) == NEWEST and any(dance.steps for dance in on_8(file).values()):
            yield pytest.param((file, "1", "8.4"), id=f"{file} on 8.4", marks=pytest.mark.soak)


@pytest.fixture(scope="module", params=list(ways()))
def danced(
    request: pytest.FixtureRequest, stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory
) -> Danced:
    """All tasks with their results, and what the run printed."""
    file, switch, version = request.param
    dances = on_8(file) if version else by_file()[file]
    stack = set_up(file, stack_factory, version)
    directory = tmp_path_factory.mktemp("dance")
    playbook = directory / "dance.yml"
    playbook.write_text(yaml.safe_dump(play(stack, directory, dances), sort_keys=False))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_"))}
    environment = {
        **clean,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
        "QUORATE_IN_PROCESS": switch,
        "WRITTEN_STACK": str(stack.dir),
        "WRITTEN_FILE": str(directory / "written.json"),
    }
    command = [BIN / "ansible-playbook", "-i", "localhost,", "-c", "local", str(playbook)]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=PATIENCE[switch], check=False
    )
    stack.down()  # the next file of dances has its own
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    trail = directory / "audit.jsonl"
    return Danced(
        dances,
        list(tasks(dances)),
        json.loads((directory / "results.json").read_text()),
        done.stdout + done.stderr,
        [json.loads(line) for line in trail.read_text().splitlines()] if trail.exists() else [],
        json.loads((directory / "written.json").read_text()),
    )


def of(danced: Danced, kind: str) -> Iterator[tuple[Task, dict[str, Any]]]:
    yield from ((task, result) for task, result in zip(danced.tasks, danced.results, strict=True) if task.kind == kind)


def test_each_step_changes_something_and_its_repetition_nothing(danced: Danced) -> None:
    wrong = [task.name for task, result in of(danced, "apply") if result["changed"] == danced.dances[task.module].reads]
    wrong += [task.name for task, result in of(danced, "apply again") if result["changed"] or result.get("plan")]
    assert not wrong


def test_what_is_predicted_is_what_is_done(danced: Danced) -> None:
    for (task, predicted), (_, done) in zip(of(danced, "predict"), of(danced, "apply"), strict=True):
        assert predicted["changed"] == done["changed"], task.name
        assert predicted.get("plan") == done.get("plan"), task.name
        assert predicted.get("diff") == done.get("diff"), task.name


def test_what_was_done_is_in_the_audit_trail(danced: Danced) -> None:
    """Every change, by its module, once, in the order of the tasks; and nothing of check mode.

    What is written without a change, such as fetching lists of packages, is an entry without any.
    """
    done = [
        (task.module, result["plan"])
        for task, result in zip(danced.tasks, danced.results, strict=True)
        if task.kind != "predict" and result.get("plan")
    ]
    assert [(entry["module"], entry["changes"]) for entry in danced.trail if entry["changes"]] == done


def test_in_check_mode_the_servers_see_nothing_but_reads(danced: Danced) -> None:
    predicted = [task for task in danced.tasks if task.kind == "predict"]
    counts = danced.written
    assert len(counts) == 2 * len(predicted)
    pairs = zip(predicted, counts[::2], counts[1::2], strict=True)
    assert [task.name for task, before, after in pairs if before != after] == []
    if not all(dance.reads for dance in danced.dances.values()):
        assert counts[-1] > 0


def test_no_secret_is_printed_and_nothing_warned_about(danced: Danced) -> None:
    output = danced.output
    assert "WARNING" not in output
    assert "api_password" not in output


def test_repetitions_make_few_calls(danced: Danced) -> None:
    """One list call, and the login where tickets are not kept between tasks. Groups are told by a second list."""
    for task, result in of(danced, "apply again"):
        if task.module in ("storages", "replication_jobs", "ha_resources", "ha_rules", "cluster_options"):
            assert result["calls"] <= (4 if result.get("api") == "groups" else 2), task.name


OF_ANSIBLE = {"changed", "diff", "failed", "invocation", "warnings", "deprecations", "unknown", "ansible_facts"}


def test_what_is_returned_is_documented(danced: Danced) -> None:
    """All that a module says it returns, and nothing else. `unknown` is check mode's; who only reads plans nothing."""
    wrong = []
    for task, result in zip(danced.tasks, danced.results, strict=True):
        path = ROOT / "plugins" / "modules" / f"{task.module}.py"
        documented = yaml.safe_load(re.search(r'RETURN = r"""(.*?)"""', path.read_text("utf-8"), re.DOTALL)[1])
        promised = {name for name, words in documented.items() if words["returned"] in ("always", "success")}
        there = {name for name in result if not name.startswith("_")} - OF_ANSIBLE
        there -= set() if result.get("plan") or "plan" in documented else {"plan"}
        wrong += [f"{task.name}: no {name}" for name in sorted(promised - set(result))]
        wrong += [f"{task.name}: {name} is not documented" for name in sorted(there - set(documented))]
    assert not wrong
