# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task may say around a module, and what the action makes of it inside the controller's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ...stacks import StackFactory

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = "quorate.pve.cluster_options"
TASKS: dict[str, dict[str, Any]] = {
    "nested": {
        "quorate.pve.storages": {"storages": "{{ wanted }}"},
        "check_mode": True,
    },
    "secret": {
        "quorate.pve.storages": {
            "storages": [
                {
                    "storage": "nas",
                    "type": "cifs",
                    "server": "192.0.2.9",
                    "share": "x",
                    "username": "u",
                    "password": "very-secret",
                    "nodes": ["pve9"],
                }
            ]
        },
        "check_mode": True,
        "diff": True,
    },
    "looped": {OPTIONS: {"options": {"max_workers": "{{ item }}"}}, "loop": [2, 3]},
    "asynchronous": {"quorate.pve.cluster_info": {}, "async": 30, "poll": 1},
    "alias": {"quorate.pve.cluster_info": {"api_host": "{{ address }}"}},
    "elsewhere": {"quorate.pve.cluster_info": {}, "delegate_to": "nowhere", "ignore_unreachable": True},
    "refused": {
        "quorate.pve.cluster_info": {"api_password": "not-the-password", "api_hosts": "{{ address }}"},
        "ignore_errors": True,
    },
    "misspelt": {OPTIONS: {"optoins": {"max_workers": 2}}, "ignore_errors": True},
    "verbose": {OPTIONS: {"options": {}}},
}


@pytest.fixture(scope="module")
def results(stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each of the tasks returned, by its name."""
    stack = stack_factory(1, scale=50)
    directory = tmp_path_factory.mktemp("action")
    address = stack.resolved["hosts"]["pve1"]["addresses"]
    variables = {
        "address": next(iter(address.values())),
        "name": "my-{{ suffix }}",
        "suffix": "scratch",
        "wanted": [{"storage": "{{ name }}", "type": "dir", "path": "/srv/{{ suffix }}", "content": ["{{ kind }}"]}],
        "kind": "images",
    }
    names = ", ".join(f"'{name}': {name}" for name in TASKS)
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": variables,
        "environment": {"PVE_HOST": "{{ address }}", "PVE_PASSWORD": stack.secrets["root_password"]},
        "module_defaults": {
            "group/quorate.pve.all": {"api_fingerprints": [stack.secrets["hosts"]["pve1"]["fingerprint"]]}
        },
        "tasks": [
            *({**task, "name": name, "register": name} for name, task in TASKS.items()),
            {"copy": {"content": f"{{{{ {{{names}}} | to_json }}}}", "dest": str(directory / "results.json")}},
        ],
    }
    (directory / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    (directory / "hosts.yml").write_text(
        yaml.safe_dump(
            {
                "all": {
                    "hosts": {
                        "localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
                        "nowhere": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
                    }
                }
            }
        )
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_"))}
    environment = {
        **clean,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    done = subprocess.run(
        ["ansible-playbook", "-i", "hosts.yml", "play.yml"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert stack.secrets["root_password"] not in done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads((directory / "results.json").read_text())
    assert "not-the-password" not in str(found)
    assert "very-secret" not in done.stdout + done.stderr + str(found)
    assert "pve9 is not a member of the cluster yet" in " ".join((done.stdout + done.stderr).split())
    return found


def test_templates_within_templates(results: dict[str, dict[str, Any]]) -> None:
    assert results["nested"]["plan"][0]["fields"]["path"]["after"] == "/srv/scratch"
    assert results["nested"]["plan"][0]["fields"]["content"]["after"] == ["images"]


def test_secrets_are_masked_in_plans_and_diffs(results: dict[str, dict[str, Any]]) -> None:
    shown = results["secret"]
    assert shown["plan"][0]["fields"]["password"]["after"] == "********"
    assert shown["diff"]["after"]["storage nas"]["password"] == "********"
    assert shown["diff"]["after"]["storage nas"]["username"] == "u"


def test_warnings_are_told(results: dict[str, dict[str, Any]]) -> None:
    assert any("pve9 is not a member of the cluster yet" in text for text in results["secret"]["warnings"])


def test_a_login_serves_all_tasks_of_a_run(results: dict[str, dict[str, Any]]) -> None:
    assert [each["calls"] for each in results["looped"]["results"]] == [3, 3]
    assert results["verbose"]["calls"] == 1


def test_a_loop_s_items_are_changes_of_their_own(results: dict[str, dict[str, Any]]) -> None:
    assert [each["changed"] for each in results["looped"]["results"]] == [True, True]


def test_an_asynchronous_task_is_an_ordinary_module(results: dict[str, dict[str, Any]]) -> None:
    assert results["asynchronous"]["finished"]
    assert results["asynchronous"]["nodes"][0]["name"] == "pve1"


def test_an_alias_and_the_environment(results: dict[str, dict[str, Any]]) -> None:
    assert results["alias"]["nodes"][0]["name"] == "pve1"


def test_a_task_for_another_machine_goes_there(results: dict[str, dict[str, Any]]) -> None:
    assert results["elsewhere"]["unreachable"]


def test_failures_say_what_is_wrong(results: dict[str, dict[str, Any]]) -> None:
    assert "refuses the login of root@pam: authentication failure" in results["refused"]["msg"]
    assert "optoins" in results["misspelt"]["msg"]
