# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`agentstack clock …`: the wall clock that all hosts of a stack go by."""

from __future__ import annotations

from typing import Annotated

import typer

from agentstack import control
from agentstack.commands.fault import LAB, PATIENCE, State
from agentstack.reader import StackError
from agentstack.units import parse_duration

app = typer.Typer(help="The wall clock of all hosts.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keep `advance` a command of its own: typer leaves the name of a single one out."""


@app.command()
def advance(duration: Annotated[str, typer.Argument(help="Such as 30min, 12h or 2d.")], state: State = LAB) -> None:
    """Let it be later on all hosts at once: what jobs, tickets and certificates go by, not how long things take."""
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        raise StackError(str(error)) from error
    control.request(state, {"do": "advance clock", "seconds": seconds}, PATIENCE)
