# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example inventory is one that could be used."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventory" / "example" / "hosts.yml"


def test_example_site(lab, tmp_path: Path) -> None:
    """Opened with the README's password, its variables are without fault, for both clusters."""
    said = re.search(r"password is `(\w+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert said is not None
    password = tmp_path / "password"
    password.write_text(said[1], encoding="utf-8")
    run = lab.playbook(
        *("-i", str(INVENTORY), "--vault-password-file", str(password)), str(Path(__file__).parent / "variables.yml")
    )
    assert run.status == 0, run.output
    assert sorted(run.hosts) == ["a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2", "v1", "v2"]
    assert "[WARNING]" not in run.output
