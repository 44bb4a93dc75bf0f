# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where dances are danced: the stack of a file of dances, and its addresses and secrets in their parameters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.quorate.pve.plugins.module_utils import _run
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome

from ...stacks import RunningStack, StackFactory
from .dances import Dance, Parameters
from .table import hosts_of, prepare, scale_of, stack_of, version_of

MODULES = "ansible_collections.quorate.pve.plugins.modules"
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
    last: bool = False

    @property
    def ordinary(self) -> bool:
        """Whether it is to be a process of its own: where a module begins, once more, and where it ends."""
        return (self.step == 0 and self.kind in ("apply", "apply again")) or (self.last and self.kind == "apply")

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
                yield Task(module, parameters, kind, number, number == len(dance.steps) - 1)
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
    found |= {"python": sys.executable, "stack": str(stack.dir)}
    for name in sorted(stack.resolved["hosts"]):
        if name.startswith("pbs"):
            found[name] = stack.resolved["hosts"][name]["addresses"]["mgmt"]
            found[f"pbs_fingerprint{name[3:]}"] = stack.secrets["hosts"][name]["fingerprint"]
    found |= {name: network["cidr"] for name, network in stack.resolved["networks"].items()}
    if stack.resolved["authority"]:
        found["authority"] = stack.resolved["authority"]["directory"]
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


def connections(here: dict[str, str], directory: Path) -> tuple[Parameters, Parameters]:
    """How modules reach the nodes, and how the first backup server."""
    nodes: Parameters = {
        "api_hosts": [here["node1"]],
        "api_password": here["password"],
        "api_fingerprints": [here["fingerprint1"]],
        "api_trust_file": str(directory / "trust.json"),
    }
    backup: Parameters = {
        "api_hosts": [here.get("pbs1", "")],
        "api_password": here["password"],
        "api_fingerprints": [value for name, value in here.items() if name.startswith("pbs_fingerprint")],
    }
    return nodes, backup


def set_up(file: str, stack_factory: StackFactory, version: str = "") -> RunningStack:
    """The hosts that a file of dances needs, running; of another version if one is given."""
    pve = {"kind": "pve", "version": version or version_of(file), "disks": DISKS}
    hosts: dict[str, Any] = {f"pve{number}": pve for number in range(1, hosts_of(file) + 1)}
    if file == "dances":
        hosts["witness"] = {"kind": "witness"}
    if file.startswith("dances_backup"):
        hosts |= {f"pbs{number}": {"kind": "pbs", "version": "4.0", "disks": DISKS[:1]} for number in (1, 2)}
    stack = stack_factory(hosts, scale=scale_of(file), networks={"mgmt": {}, "ring1": {}}, **stack_of(file))
    prepare(file, stack)
    return stack


class Stage:
    """A stack, and modules that are run on it without Ansible around them."""

    def __init__(self, stack: RunningStack, directory: Path) -> None:
        self.stack = stack
        self.here = places(stack, directory)
        self.nodes, self.backup = connections(self.here, directory)
        #: the tasks of the servers that the last module has followed
        self.tasks: list[str] = []

    def run(self, module: str, parameters: Parameters, *, check: bool = False) -> dict[str, Any]:
        """What a module returns."""
        file = import_module(f"{MODULES}.{module}")
        given = {**(self.backup if module.startswith("pbs_") else self.nodes), **fill(parameters, self.here)}
        known = {name: value for name, value in given.items() if name in file.ARGUMENT_SPEC}
        checked = ArgumentSpecValidator(file.ARGUMENT_SPEC).validate(known)
        assert not checked.error_messages, checked.error_messages
        _run.current = _run.Task(module)
        try:
            return outcome(file.run, checked.validated_parameters, check, diff=True)
        finally:
            self.tasks = _run.current.counts.tasks
            _run.current = _run.Task()

    def good(self, module: str, parameters: Parameters) -> dict[str, Any]:
        """What it returns if it must not fail."""
        result = self.run(module, parameters)
        assert not result.get("failed"), f"{module}: {result.get('msg')}"
        return result
