# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios with recorded logs: the simulator writes the same log, to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentstack.sim import run_scenario

SCENARIOS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "ha-scenarios"
DIRECTORIES = sorted(path.parent for path in SCENARIOS.glob("*/log.expect"))


@pytest.mark.skipif(
    not DIRECTORIES, reason="no recorded scenarios in ../shared/reference/ha-scenarios beside the project"
)
@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_the_log_is_the_recorded_one(directory: Path) -> None:
    result = run_scenario(directory)
    assert result.error is None
    assert result.text.splitlines() == (directory / "log.expect").read_text(encoding="utf-8").splitlines()
