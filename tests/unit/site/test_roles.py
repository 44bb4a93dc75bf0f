# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all roles have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.quorate.pve.plugins.module_utils._site_types import AREAS, MODULE_OPTIONS, option_of

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parent.parent.name for path in (ROOT / "roles").glob("*/tasks/main.yml"))


OPERATIONS = ("maintenance", "remove_node", "replace_disk", "shutdown", "startup", "upgrade")
"""Roles that are not run by the site, but by a playbook of their own when there is something to do."""


def is_of_the_site(name: str) -> bool:
    """Whether a variable is one of the inventory's, and not of one run's command line."""
    return name.startswith(("pve_", "pbs_"))


def load(*path: str) -> Any:
    return yaml.safe_load(ROOT.joinpath(*path).read_text(encoding="utf-8"))


def options(role: str) -> dict[str, Any]:
    return load("roles", role, "meta", "argument_specs.yml")["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("role", sorted({*ROLES} - {*OPERATIONS}))
def test_a_role_has_a_scenario_that_runs_it(role: str) -> None:
    tags = load("molecule", role, "molecule.yml")["ansible"]["env"]["ANSIBLE_RUN_TAGS"].split(",")
    assert role in [*tags, "preflight", "summary"]
    assert (ROOT / "molecule" / role / "verify.yml").exists()


@pytest.mark.parametrize("role", OPERATIONS)
def test_an_operation_is_tried_on_a_stack(role: str) -> None:
    """One after another, on one cluster each: tests/site/test_operations.py and test_power.py."""
    texts = [(ROOT / "tests" / "site" / f"test_{name}.py").read_text("utf-8") for name in ("operations", "power")]
    assert f'operate(site, "{role}"' in "".join(texts)


@pytest.mark.parametrize("role", ROLES)
def test_variables_have_one_namespace(role: str) -> None:
    """But for what is said on the command line of one run, `-e upgrade_release=9`: that begins like the role."""
    own = rf"(pve|pbs|{role.split('_')[0]})(_|$)"
    assert [name for name in options(role) if not re.match(own, name)] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_default_leaves_alone(role: str) -> None:
    defaults = ROOT / "roles" / role / "defaults" / "main.yml"
    values = yaml.safe_load(defaults.read_text(encoding="utf-8")) if defaults.exists() else {}
    assert set(values) <= set(options(role))
    assert {value for name, value in values.items() if is_of_the_site(name)} <= {None}


def flat(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks with those in their blocks."""
    return [each for task in tasks for each in (task, *flat(task.get("block") or []))]


def roles_of(playbook: str) -> list[dict[str, Any]]:
    """The roles of a playbook's plays: name, tasks_from and condition, as they are listed, imported or included."""
    found = []
    for play in load("playbooks", playbook):
        found += [{"name": role["role"], **role} for role in play.get("roles") or ()]
        for way in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
            tasks = [task for task in flat(play.get("tasks") or []) if way in task]
            found += [{**task[way], "when": task.get("when")} for task in tasks]
    return [{**role, "name": role["name"].removeprefix("quorate.pve.")} for role in found]


def test_a_playbook_runs_every_role() -> None:
    runs = {role["name"] for path in (ROOT / "playbooks").glob("*.yml") for role in roles_of(path.name)}
    assert runs == {*ROLES}


def test_every_role_that_changes_something_is_an_area_of_its_own() -> None:
    """`pve_safety.manage` can leave each of them alone."""
    areas = []
    for role in roles_of("converge.yml"):
        area = role["name"]
        if area not in ("safety", "preflight", "summary"):
            # the hosts for which there is nothing to be done for the nodes leave the play before
            condition = None if area == "base" else f"'{area}' in _pve_manage"
            assert role["when"] == condition
            areas.append(area)
    assert sorted(areas) == sorted(AREAS)
    assert sorted(areas) == sorted(options("safety")["pve_safety"]["options"]["manage"]["choices"])
    assert sorted(areas) == sorted(load("roles", "safety", "vars", "main.yml")["_pve_areas"])


def checked_before_anything_is_changed() -> set[str]:
    return {
        variable
        for role in ("preflight", "backup_server")
        for variable in load("roles", role, "tasks", "validate.yml")[0]["vars"]["variables"]
    }


def test_preflight_looks_at_the_variables_of_every_role() -> None:
    checked = checked_before_anything_is_changed()
    assert set(MODULE_OPTIONS) <= checked
    own = {name for role in ROLES for name in options(role) if options(role)[name]["type"] in ("list", "dict")}
    own = {name for name in own if is_of_the_site(name)}
    assert own - {"pve_api_hosts", "pve_link_addresses"} <= checked


def test_what_the_site_does_not_check_again_has_been_checked() -> None:
    """The site starts roles with their work: preflight has looked at their variables, types and all."""
    checked = checked_before_anything_is_changed() | {*options("preflight")}
    for role in roles_of("converge.yml"):
        if role.get("tasks_from") == "apply":
            given = options(role["name"])
            missing = {name for name in given if name not in checked and not name.startswith(("pve_ssh_", "pve_site"))}
            assert missing == set()
            for name in given.keys() - options("preflight").keys() - {"pve_site"}:
                assert option_of(name)["type"] == given[name]["type"], name


@pytest.mark.parametrize(
    "role", [role["name"] for role in roles_of("converge.yml") if role.get("tasks_from") == "apply"]
)
def test_a_role_by_itself_checks_its_variables_and_does_the_same(role: str) -> None:
    tasks = [task.get("ansible.builtin.import_tasks") for task in load("roles", role, "tasks", "main.yml")]
    assert tasks[-1] == "apply.yml"
    assert "validate.yml" in tasks or not (ROOT / "roles" / role / "tasks" / "validate.yml").exists()


def test_secrets_can_be_sent_again_by_every_role_that_sends_some() -> None:
    """No server tells them: that one was changed in the vault is for the operator to say."""
    modules = (ROOT / "plugins" / "modules").glob("*.py")
    sending = {f"quorate.pve.{path.stem}" for path in modules if "update_secrets={" in path.read_text()}
    missing = []
    for path in (ROOT / "roles").glob("*/tasks/*.yml"):
        entries = yaml.safe_load(path.read_text())
        for task in [*entries, *(inner for entry in entries for inner in entry.get("block", ()))]:
            for module in sending & task.keys():
                ours = "pbs_update_secrets" if ".pbs_" in module else "pve_update_secrets"
                # what is only taken away takes no secret along
                if ours not in task[module].get("update_secrets", "") and "_absent" not in str(task[module]):
                    missing.append(f"{path.parent.parent.name}: {task['name']}")
    assert sending
    assert not missing
