# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/rights.yml knows every module, and every playbook's rights follow from it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def rights() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rights_table", ROOT / "scripts" / "rights_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_module_has_a_row_that_is_tried(rights: ModuleType) -> None:
    rows = rights.table()
    assert sorted(rows) == sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[a-z]*.py"))
    for name, row in rows.items():
        assert {"steps", "tried", "nothing"} & set(row) or set(row) == {"root"}, name
        if "tried" in row:
            tests = (ROOT / "tests" / "integration" / f"test_rights_{row['tried']}.py").read_text(encoding="utf-8")
            # those with steps are gathered from the table
            assert "steps" in row or f'"{name}"' in tests, name


def test_what_a_playbook_uses(rights: ModuleType) -> None:
    """Through imported playbooks, roles, tasks of roles that are included, and blocks."""
    site = rights.used_by(ROOT / "playbooks" / "site.yml").modules
    assert {"preflight", "backup_info", "cluster_member", "users", "pbs_datastores", "ha_eligibility"} <= set(site)
    assert site["users"]
    drift = rights.used_by(ROOT / "playbooks" / "drift.yml").modules
    assert set(site) - set(drift) == {"run_end"}
    assert not any(drift[name] for name in ("users", "storages", "cluster_member", "pbs_datastores"))
    assert "node_maintenance" in rights.used_by(ROOT / "playbooks" / "upgrade.yml").modules


def test_who_looks_needs_less_than_who_writes(rights: ModuleType) -> None:
    rows = rights.table()
    found = {
        name: rights.rights_of(rights.used_by(ROOT / "playbooks" / f"{name}.yml"), rows, "pve")
        for name in ("drift", "site")
    }
    # plugins for ACME challenges are shown to nobody who may not change them
    assert rows["acme_plugins"]["looks"] == {"/": ["Sys.Modify"]}
    assert found["drift"]["/"] - {"Sys.Modify"} == {"Sys.Audit"}
    assert {"Sys.Modify", "Sys.Console"} <= found["site"]["/"]
    assert all(privileges <= found["site"][path] for path, privileges in found["drift"].items())
