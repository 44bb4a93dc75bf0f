# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new user does: clone and make; or build, install and run from a directory of one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def call(*command: str | Path, cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.long
def test_fresh_clone(tmp_path: Path) -> None:
    """Both commands of the README, and the recap's changed=0 of the second."""
    own = ("PVE_", "ANSIBLE_", "MAKE", "QUORATE_", "VIRTUAL_ENV", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    path = [part for part in environment["PATH"].split(":") if Path(part) != BIN]
    environment |= {"PATH": ":".join(path), "ANSIBLE_NOCOLOR": "1"}
    clone = tmp_path / "quorate"
    call("git", "clone", "--quiet", ROOT, clone, cwd=tmp_path, environment=environment)
    try:
        first = call("make", "site", cwd=clone, environment=environment)
        assert "quorate 3/3" in first
        second = call("make", "site", cwd=clone, environment=environment)
        assert "changed=0" in second
        assert not [line for line in second.splitlines() if "changed=" in line and "changed=0" not in line]
        activated = environment | {"PATH": f"{clone}/.venv/bin:{environment['PATH']}"}
        third = call("ansible-playbook", "site.yml", cwd=clone, environment=activated)
        assert "quorate 3/3" in third
    finally:
        call("make", "clean", cwd=clone, environment=environment)
    left = call("git", "status", "--porcelain", "--ignored", cwd=clone, environment=environment)
    assert left == "", "make clean removes everything that make made"


@pytest.mark.long
def test_installed_collection(lab, tmp_path: Path) -> None:
    """Built, installed from the tarball, and run by its name on a copy of the lab's inventory."""
    clone = tmp_path / "clone"
    project = tmp_path / "project"
    call("git", "clone", "--quiet", ROOT, clone, cwd=tmp_path, environment=lab.environment)
    call("ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=clone, environment=lab.environment)
    tarball = next(tmp_path.glob("quorate-pve-*.tar.gz"))
    shutil.copytree(ROOT / "inventory/lab", project / "inventory")
    environment = lab.environment | {"ANSIBLE_COLLECTIONS_PATH": str(project / "collections")}
    call(
        *("ansible-galaxy", "collection", "install", "--offline", "-p", project / "collections", tarball),
        cwd=project,
        environment=environment,
    )
    lab.environment = environment
    first = lab.playbook("-i", "inventory/hosts.yml", "quorate.pve.site", cwd=project)
    assert first.status == 0, first.output
    second = lab.playbook("-i", "inventory/hosts.yml", "quorate.pve.site", cwd=project)
    assert second.status == 0, second.output
    assert second.changed == 0
