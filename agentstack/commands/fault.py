# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`agentstack fault …`: one command a kind of fault, made from their table, and `list` and `clear`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from agentstack import control
from agentstack.faults.kinds import KINDS, Fault, kind_of, parse

PATIENCE = 15.0
"""Real seconds for an answer: a change is answered when everybody has taken it into account."""

State = Annotated[Path, typer.Option("--dir", help="State directory of the stack.", envvar="AGENTSTACK_DIR")]
LAB = Path(".agentstack/lab")

app = typer.Typer(
    help="Break things, and restore them: cables, networks, clocks …",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_faults(
    state: State = LAB, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False
) -> None:
    """Show what is broken at present."""
    answer = control.request(state, {"do": "faults"})
    if as_json:
        typer.echo(json.dumps(answer["faults"], indent=2))
        return
    for fault in answer["faults"]:
        typer.echo(str(Fault.read(fault)))


@app.command()
def clear(kind: Annotated[str | None, typer.Argument(help="Only of this kind.")] = None, state: State = LAB) -> None:
    """Restore everything, or all of one kind."""
    if kind is not None:
        kind_of(kind)
    control.request(state, {"do": "clear faults", "kind": kind}, PATIENCE)


def set_fault(state: Path, kind: str, *words: str) -> None:
    """Do what `agentstack fault KIND WORDS` does; returns when all who run have taken it into account."""
    target, settings = parse(kind, list(words))
    request = {"do": "fault", "kind": kind, "target": list(target), "settings": settings}
    control.request(state, request, PATIENCE)


def _command(name: str) -> Callable[..., None]:
    def run(words: list[str], state: State = LAB) -> None:
        set_fault(state, name, *words)

    # typer looks annotations up by their names, in which a usage that is only known here cannot stand
    run.__annotations__["words"] = Annotated[list[str], typer.Argument(metavar=KINDS[name].usage())]
    return run


for _name, _kind in KINDS.items():
    # a clock's offset may begin with a minus sign
    app.command(_name, help=_kind.help, context_settings={"ignore_unknown_options": True})(_command(_name))
