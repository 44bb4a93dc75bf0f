# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module dances on live hosts: what was predicted is what changes, and a second time nothing does.

In the controller's process, and (part of the long tests) as an ordinary module.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ...stacks import RunningStack, StackFactory
from .dances import Dance, Parameters
from .table import by_file, hosts_of, version_of

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
PATIENCE = 300
DISKS = [
    {"size": "32G"},
    {"size": "64G", "model": "SSD-A", "count": 2},
    {"size": "128G", "model": "NVME-B", "type": "nvme"},
]


@dataclass(frozen=True)
class Task:
    """One task of the play and what is expected of it."""

    module: str
    parameters: Parameters
    kind: str
    step: int = 0

    @property
    def name(self) -> str:
        return f"{self.module} {self.step} {self.kind}"


def tasks(dances: dict[str, Dance]) -> Iterator[Task]:
    """The whole play: the predicted, the real and the repeated step."""
    for module, dance in dances.items():
        for other, parameters in dance.before:
            yield Task(other, parameters, "prepare")
        for number, parameters in enumerate(dance.steps):
            for kind in ("predict", "apply", "apply again"):
                yield Task(module, parameters, kind, number)
        for other, parameters in dance.after:
            yield Task(other, parameters, "tidy up")


def fill(value: Any, places: dict[str, str]) -> Any:
    """Put the stack's addresses into a dance's parameters."""
    if isinstance(value, str):
        return value.format(**places)
    if isinstance(value, list):
        return [fill(each, places) for each in value]
    return {key: fill(each, places) for key, each in value.items()} if isinstance(value, dict) else value


def places(stack: RunningStack, directory: Path) -> dict[str, str]:
    """What the placeholders of the dances stand for."""
    found = {"password": str(stack.secrets["root_password"]), "directory": str(directory)}
    for name in sorted(stack.resolved["hosts"]):
        if name.startswith("pbs"):
            found[name] = stack.resolved["hosts"][name]["addresses"]["mgmt"]
            found[f"pbs_fingerprint{name[3:]}"] = stack.secrets["hosts"][name]["fingerprint"]
    found |= {name: network["cidr"] for name, network in stack.resolved["networks"].items()}
    if "witness" in stack.resolved["hosts"]:
        found["witness"] = stack.resolved["hosts"]["witness"]["addresses"]["mgmt"]
        found["witness_host_key"] = stack.secrets["hosts"]["witness"]["ssh_host_key"]
    for number in (1, 2, 3):
        if f"pve{number}" not in stack.resolved["hosts"]:
            continue
        found[f"ssh_host_key{number}"] = stack.secrets["hosts"][f"pve{number}"]["ssh_host_key"]
        addresses = stack.resolved["hosts"][f"pve{number}"]["addresses"]
        found[f"node{number}"] = addresses["mgmt"]
        found[f"link1_{number}"] = addresses["ring1"]
        found[f"fingerprint{number}"] = stack.secrets["hosts"][f"pve{number}"]["fingerprint"]
    return found


def play(stack: RunningStack, directory: Path, dances: dict[str, Dance]) -> list[dict[str, Any]]:
    """One play that dances all of them and writes down what each task returned."""
    here = places(stack, directory)
    connection = {
        "api_hosts": [here["node1"]],
        "api_password": here["password"],
        "api_fingerprints": [here["fingerprint1"]],
        "api_trust_file": str(directory / "trust.json"),
    }
    backup = {
        "api_hosts": [here.get("pbs1", "")],
        "api_password": here["password"],
        "api_fingerprints": [value for name, value in here.items() if name.startswith("pbs_fingerprint")],
    }
    steps: list[dict[str, Any]] = []
    for index, task in enumerate(tasks(dances)):
        steps.append(
            {
                "name": task.name,
                f"quorate.pve.{task.module}": fill(task.parameters, here),
                "check_mode": task.kind.startswith("predict"),
                "diff": True,
                "register": f"result_{index}",
            }
        )
    names = ", ".join(f"result_{index}" for index in range(len(steps)))
    steps.append({"copy": {"content": f"{{{{ [{names}] | to_json }}}}", "dest": str(directory / "results.json")}})
    return [
        {
            "hosts": "all",
            "gather_facts": False,
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


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((file, switch), id=f"{file} {words}", marks=marks)
        for file in by_file()
        for switch, words, marks in (("1", "in process", ()), ("0", "as ordinary modules", pytest.mark.long))
    ],
)
def danced(
    request: pytest.FixtureRequest, stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory
) -> Danced:
    """All tasks with their results, and what the run printed."""
    file, switch = request.param
    dances = by_file()[file]
    pve = {"kind": "pve", "version": version_of(file), "disks": DISKS}
    hosts: dict[str, Any] = {f"pve{number}": pve for number in range(1, hosts_of(file) + 1)}
    if file == "dances":
        hosts["witness"] = {"kind": "witness"}
    if file == "dances_backup":
        hosts |= {f"pbs{number}": {"kind": "pbs", "version": "4.0", "disks": DISKS[:1]} for number in (1, 2)}
    stack = stack_factory(hosts, scale=50, networks={"mgmt": {}, "ring1": {}})
    directory = tmp_path_factory.mktemp("dance")
    playbook = directory / "dance.yml"
    playbook.write_text(yaml.safe_dump(play(stack, directory, dances), sort_keys=False))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_"))}
    environment = {
        **clean,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "QUORATE_IN_PROCESS": switch,
    }
    command = [BIN / "ansible-playbook", "-i", "localhost,", "-c", "local", str(playbook)]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return Danced(
        dances, list(tasks(dances)), json.loads((directory / "results.json").read_text()), done.stdout + done.stderr
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


def test_no_secret_is_printed_and_nothing_warned_about(danced: Danced) -> None:
    output = danced.output
    assert "WARNING" not in output
    assert "api_password" not in output


def test_repetitions_make_few_calls(danced: Danced) -> None:
    """One list call, and the login where tickets are not kept between tasks. Groups are told by a second list."""
    for task, result in of(danced, "apply again"):
        if task.module in ("storages", "replication_jobs", "ha_resources", "ha_rules", "cluster_options"):
            assert result["calls"] <= (4 if result.get("api") == "groups" else 2), task.name
