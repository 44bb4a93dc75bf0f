# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`agentstack simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The scenario directory.")],
    release: Annotated[int, typer.Option(min=8, max=9, help="Behave as release 8 (groups) or 9 (rules).")] = 9,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the log here instead of printing it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the log and the final state as JSON.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the time line as an HTML page.")] = None,
) -> None:
    """Run an HA scenario in virtual time; exit status 0 when it ran through."""
    from agentstack.sim.command import simulate_main

    raise typer.Exit(simulate_main(directory, release, log, as_json, report))
