# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `agentstack simulate` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from agentstack.sim.report import render
from agentstack.sim.scenario import ScenarioError
from agentstack.sim.simulator import SimResult, run_scenario

RAN_THROUGH, FAILED, UNREADABLE = 0, 1, 2


def simulate_main(
    directory: Path,
    release: int = 9,
    log_file: Path | None = None,
    as_json: bool = False,
    report: Path | None = None,
) -> int:
    """Run a scenario, write what is asked for (the log to standard output by default); the exit status."""
    try:
        result = run_scenario(directory, release)
    except ScenarioError as error:
        typer.echo(str(error), err=True)
        return UNREADABLE
    if log_file is not None:
        log_file.write_text(result.text, encoding="utf-8")
    if report is not None:
        report.write_text(render(result, directory.resolve().name), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(as_object(result), indent=2, sort_keys=True))
    elif log_file is None:
        typer.echo(result.text, nl=False)
    if result.error is not None:
        typer.echo(f"the simulation ended early: {result.error}", err=True)
        return FAILED
    return RAN_THROUGH


def as_object(result: SimResult) -> dict[str, Any]:
    """The log and the state at the end."""
    return {
        "error": result.error,
        "lines": [
            {"level": line.level, "time": line.time, "who": line.who, "message": line.message} for line in result.lines
        ],
        "manager_status": result.world.manager_status,
        "lrm_status": result.world.lrm_status,
        "running": {node: sorted(guests) for node, guests in result.world.running.items()},
    }
