# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected results that are kept beside the project, not in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

REFERENCE = Path(__file__).resolve().parents[3].parent / "shared" / "reference"


@pytest.fixture(scope="session")
def reference_cases() -> dict[str, Any]:
    """Calendar events, time spans and prune decisions with the results of the original."""
    path = REFERENCE / "calendar-and-prune-cases.json"
    if not path.exists():
        pytest.skip(f"the reference cases are not beside the project ({path.parent.name}/{path.name})")
    cases: dict[str, Any] = json.loads(path.read_text())
    return cases


@pytest.fixture(scope="session")
def observed_files() -> dict[str, str]:
    """Configuration files as recorded on a live 9.2 cluster: path → content."""
    path = REFERENCE / "observed" / "files-9.2.txt"
    if not path.exists():
        pytest.skip(f"the recorded files are not beside the project ({path.parent.name}/{path.name})")
    files = {}
    for block in path.read_text().split("### [pve1] $ cat ")[1:]:
        name, _, rest = block.partition("\n")
        files[name] = rest.partition("### exit")[0]
    return files
