# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan in a file, and a run that does exactly that or nothing; one run at a time; what a run leaves behind."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from .conftest import Lab, Run

pytestmark = pytest.mark.long

TAGS = ("--tags", "options,storage")
WANTED: dict[str, Any] = {
    "pve_options": {"ha": {"shutdown_policy": "freeze"}},
    "pve_storages": [{"storage": "scratch", "type": "dir", "path": "/srv/scratch", "content": ["images"]}],
}
MARKER = "quorate-run"


def wanted(**changed: Any) -> tuple[str, str]:
    return "--extra-vars", json.dumps({**WANTED, **changed})


def plan(lab: Lab, file: Path, **changed: Any) -> Run:
    return lab.playbook("playbooks/plan.yml", *TAGS, *wanted(plan_file=str(file), **changed))


def apply(lab: Lab, file: Path, **changed: Any) -> Run:
    return lab.playbook("site.yml", *TAGS, *wanted(plan=str(file), **changed))


def pools(lab: Lab) -> list[str]:
    return [str(pool["poolid"]) for pool in lab.api("pve1", "GET", "/pools")]


def trail(lab: Lab) -> list[dict[str, Any]]:
    file = lab.directory / "records" / "ha-lab" / "audit.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def test_a_plan_is_carried_out_or_refused(module_lab: Lab, tmp_path: Path) -> None:
    lab, file = module_lab, tmp_path / "plan.json"
    before = lab.files()
    made = plan(lab, file)
    assert made.status == 0, made.output
    assert made.says("ha-lab: 1 to create, 1 to change, 0 to delete", "0 written")
    assert made.says("~ options of the cluster", "+ storage scratch", "plan saved to")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert lab.files() == before

    # with other variables than those that the plan was made from, nothing is written at all
    other = apply(lab, file, pve_options={"ha": {"shutdown_policy": "failover"}})
    assert other.status != 0
    assert other.says("this is not what the plan says", "shutdown_policy", "failover")
    assert lab.files() == before

    done = apply(lab, file)
    assert done.status == 0, done.output
    assert lab.api("pve1", "GET", "/cluster/options")["ha"] == {"shutdown_policy": "freeze"}
    assert pools(lab) == []
    assert [entry["module"] for entry in trail(lab)] == ["cluster_options", "storages"]
    assert {entry["plan"] for entry in trail(lab)} == {json.loads(file.read_text(encoding="utf-8"))["hash"]}

    again = apply(lab, file)
    assert again.status != 0
    assert again.says("is in the plan, and there is nothing to be done")


def test_one_run_at_a_time(module_lab: Lab) -> None:
    lab = module_lab
    comment = f"eve@elsewhere is changing this cluster since yesterday (process 1, lease {2**40})"
    lab.api("pve1", "POST", "/pools", poolid=MARKER, comment=comment)
    refused = lab.playbook("site.yml", *TAGS, *wanted(pve_options={"max_workers": 5}))
    assert refused.status != 0
    assert refused.says("another run has the lock: eve@elsewhere", "pvesh delete /pools/quorate-run")
    assert "max_workers" not in lab.api("pve1", "GET", "/cluster/options")
    # nothing to change needs no lock
    assert lab.playbook("site.yml", *TAGS, *wanted()).status == 0

    # a control node that has died
    comment = f"eve@elsewhere is changing this cluster since yesterday (process 1, lease {2**20})"
    lab.api("pve1", "PUT", "/pools", poolid=MARKER, comment=comment)
    done = lab.playbook("site.yml", *TAGS, *wanted(pve_options={"max_workers": 5}))
    assert done.status == 0, done.output
    assert pools(lab) == []


def test_what_a_run_may_not_touch(module_lab: Lab) -> None:
    lab = module_lab
    left = lab.playbook(
        "site.yml", *TAGS, *wanted(pve_options={"max_workers": 7}, pve_safety={"manage": ["storage", "ha"]})
    )
    assert left.status == 0, left.output
    assert lab.api("pve1", "GET", "/cluster/options")["max_workers"] == 5


def test_records_are_their_owners_alone(module_lab: Lab) -> None:
    records = module_lab.directory / "records"
    modes = {
        stat.S_IMODE(Path(base, name).stat().st_mode)
        for base, directories, files in os.walk(records)
        for name in (*directories, *files)
    }
    assert modes <= {0o700, 0o600}
    assert len(list((records / "ha-lab" / "restore").iterdir())) == 2
