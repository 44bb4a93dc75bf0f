# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' examples as users copy them: tasks that Ansible takes, options that the module has, results it gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from jinja2 import Environment, StrictUndefined

from .test_every_module import MODULES, ROOT

VARIABLES: dict[str, Any] = {
    "hostvars": defaultdict(lambda: {"pve_fingerprint": "AB:" * 31 + "AB", "pbs_fingerprint": "AB:" * 31 + "AB"}),
    "pve_fingerprint": "AB:" * 31 + "AB",
    "pve_zfs_pools": [{"name": "tank", "node": "*", "raidlevel": "single", "devices": {"model": "SSD-A"}}],
    "playbook_dir": "/playbooks",
    "vault_keys": {"pve1": "pve2c-0123456789", "pve2": "pve2c-1234567890"},
    "vault_root_password": "secret",
    "vault_cf_token": "secret",
    "vault_eab_key": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA",
    "vault_influx_token": "secret",
    "vault_ipmi_password": "secret",
    "vault_ldap_password": "secret",
    "vault_pve1_key": "-----BEGIN PRIVATE KEY-----",
    "vault_ticket_key": "secret",
    "vault_token": "01234567-89ab-cdef-0123-456789abcdef",
    "lookup": lambda plugin, *names: f"{plugin} of {names}",
}
"""What an example may take from the site: a name that is not here is one that no reader could know either."""

TEMPLATES = Environment(undefined=StrictUndefined)
ALONE = re.compile(r"\{\{((?:(?!\}\}).)*)\}\}")


def module(name: str) -> Any:
    return import_module(f"ansible_collections.quorate.pve.plugins.modules.{name}")


def examples(name: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = yaml.safe_load(module(name).EXAMPLES)
    return tasks


def own_tasks(name: str) -> list[dict[str, Any]]:
    return [task for task in examples(name) if f"quorate.pve.{name}" in task]


def filled(value: Any) -> Any:
    """With the values of templates; one that is alone keeps its type."""
    if isinstance(value, dict):
        return {key: filled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each) for each in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    if alone := ALONE.fullmatch(value):
        found = TEMPLATES.compile_expression(alone[1], undefined_to_none=False)(**VARIABLES)
        assert not isinstance(found, StrictUndefined), f"{value} is not known"
        return found
    return TEMPLATES.from_string(value).render(VARIABLES)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_have_the_options_of_the_module(name: str) -> None:
    tasks = own_tasks(name)
    assert tasks
    for task in tasks:
        given = filled(task[f"quorate.pve.{name}"] or {})
        checked = ArgumentSpecValidator(module(name).ARGUMENT_SPEC).validate(given)
        assert not checked.error_messages, task["name"]


@pytest.mark.parametrize("name", MODULES)
def test_what_examples_read_of_a_result_is_returned(name: str) -> None:
    returned = {*yaml.safe_load(module(name).RETURN), "changed", "failed", "msg"}
    tasks = examples(name)
    for task in own_tasks(name):
        if register := task.get("register"):
            rest = [{key: value for key, value in other.items() if key != "register"} for other in tasks]
            read = {*re.findall(rf"\b{register}\.(\w+)", str(rest))}
            assert read <= returned, task["name"]


def test_an_option_that_is_not_there_is_found() -> None:
    given = {"api_hosts": ["192.0.2.11"], "resources": [{"sid": "vm:101", "stat": "started"}]}
    assert ArgumentSpecValidator(module("ha_resources").ARGUMENT_SPEC).validate(given).error_messages


def test_ansible_takes_every_example_as_a_task(tmp_path: Path) -> None:
    """Keywords, names of modules, one action a task."""
    playbook = tmp_path / "examples.yml"
    tasks = [task for name in MODULES for task in examples(name)]
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "--syntax-check", "-i", "localhost,", str(playbook)],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "WARNING" not in done.stderr
