# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all roles have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.quorate.pve.plugins.module_utils._site_types import MODULE_OPTIONS

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parent.parent.name for path in (ROOT / "roles").glob("*/tasks/main.yml"))


def load(*path: str) -> Any:
    return yaml.safe_load(ROOT.joinpath(*path).read_text(encoding="utf-8"))


def options(role: str) -> dict[str, Any]:
    return load("roles", role, "meta", "argument_specs.yml")["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_scenario_that_runs_it(role: str) -> None:
    tags = load("molecule", role, "molecule.yml")["ansible"]["env"]["ANSIBLE_RUN_TAGS"].split(",")
    assert role in [*tags, "preflight", "summary"]
    assert (ROOT / "molecule" / role / "verify.yml").exists()


@pytest.mark.parametrize("role", ROLES)
def test_variables_have_one_namespace(role: str) -> None:
    assert [name for name in options(role) if not re.match(r"(pve|pbs)_", name)] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_default_leaves_alone(role: str) -> None:
    defaults = ROOT / "roles" / role / "defaults" / "main.yml"
    values = yaml.safe_load(defaults.read_text(encoding="utf-8")) if defaults.exists() else {}
    assert set(values) <= set(options(role))
    assert set(values.values()) <= {None}


def test_the_site_runs_every_role() -> None:
    plays = [play for play in load("playbooks", "site.yml") if "roles" in play]
    runs = [role["role"] for play in plays for role in play["roles"]]
    assert sorted(runs) == [f"quorate.pve.{role}" for role in ROLES]


def test_preflight_looks_at_the_variables_of_every_role() -> None:
    checked = {
        variable
        for role in ("preflight", "backup_server")
        for variable in load("roles", role, "tasks", "validate.yml")[0]["vars"]["variables"]
    }
    assert set(MODULE_OPTIONS) <= checked
    own = {name for role in ROLES for name in options(role) if options(role)[name]["type"] in ("list", "dict")}
    assert own - {"pve_api_hosts", "pve_link_addresses"} <= checked
