# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls recorded from real servers, made again: how many of the answers are equal in status, words and shape."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

FLOORS = {"calls-9.2": 175, "calls-8.4": 155, "no-quorum-9.2": 16}
"""Calls that have to be equal. What is left depends on the moment (random ids, states of the HA manager)."""


@pytest.mark.long
@pytest.mark.parametrize("name", FLOORS)
def test_answers_equal_the_recorded_ones(name: str, shared_dir: Path) -> None:
    corpus = shared_dir / "reference" / "observed" / f"{name}.json"
    command = [sys.executable, PROJECT / "scripts" / "replay", corpus, "--", "--show"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    score = re.fullmatch(r"status .* all (\d+)/\d+", done.stdout.splitlines()[-1])
    assert score is not None, done.stdout
    assert int(score[1]) >= FLOORS[name], done.stdout
