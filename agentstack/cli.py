# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`agentstack`: stacks of agents that stand in for Proxmox hosts, on this machine.

What only one command needs is imported by that command: every run of site.yml starts this program.
"""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agentstack import control, launch, statedir
from agentstack.commands import clock, coverage, fault, follow, simulate
from agentstack.commands.fault import LAB, State
from agentstack.commands.up import told
from agentstack.reader import StackError

app = typer.Typer(
    help="Stacks of agents that stand in for Proxmox VE and Proxmox Backup Server hosts.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class PowerAction(enum.StrEnum):
    """What a power button can do."""

    off = "off"
    on = "on"
    reset = "reset"
    pause = "pause"
    resume = "resume"
    status = "status"


@app.command()
def up(
    file: Annotated[Path | None, typer.Option("--file", help="Stack file; needed for a new state directory.")] = None,
    state: State = LAB,
    net: Annotated[int | None, typer.Option(min=1, max=254, help="Use 127.NET.0.0/16.")] = None,
) -> None:
    """Start the stack's hosts and wait until all of them answer."""
    typer.echo(told(file, state, net))


@app.command()
def down(state: State = LAB) -> None:
    """End everything that runs for the stack; its state stays."""
    typer.echo(f"{state} is down" if launch.down(state) else f"{state} is not up: nothing to do")


@app.command()
def status(
    state: State = LAB,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    live: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it until interrupted.")] = False,
) -> None:
    """Show the hosts: power, addresses, cluster, links, guests, and what is broken."""
    from rich.console import Console

    from agentstack.commands import table, watch

    def look() -> dict[str, Any]:
        try:
            return control.request(state, {"do": "status"})
        except control.NotRunning:
            return statedir.status_when_down(state)

    if live:
        watch.watch(look)
        return
    answer = look()
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        Console().print(table.status(answer))
    if not answer["up"]:
        raise typer.Exit(3)


@app.command()
def logs(
    host: Annotated[str | None, typer.Argument(help="A host; otherwise the supervisor.")] = None,
    state: State = LAB,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines from the end.")] = 50,
) -> None:
    """Print the log of a host or of the supervisor."""
    for line in follow.lines(statedir.log_file(state, host), lines, go_on=follow_on):
        typer.echo(line)


@app.command()
def power(action: PowerAction, host: str, state: State = LAB) -> None:
    """Press a host's power button: off cuts the power at once, pause freezes all of its processes; or see how it is."""
    answer = control.request(state, {"do": "power", "host": host, "action": action.value})
    if action is PowerAction.status:
        typer.echo(f"{host} is {answer['power']}")


@app.command()
def check_disks(
    state: State = LAB,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Read what guests wrote on all disks: two writers at once, gaps, lost acknowledged records make exit status 1."""
    from agentstack.commands import check_disks

    raise typer.Exit(check_disks.main(state, as_json))


@app.command()
def upgrade(
    host: Annotated[str, typer.Argument(help="A Proxmox VE host of the stack.")],
    state: State = LAB,
    to: Annotated[str, typer.Option("--to", help="The release; its newest point is installed.")] = "9.2",
) -> None:
    """Upgrade a running host as its administrator would: repositories, packages, reboot. Its state stays."""
    from agentstack.commands.upgrade import upgrade as run

    version = run(state, host, to, typer.echo)
    typer.echo(f"{host} runs Proxmox VE {version}")


app.add_typer(clock.app, name="clock")
app.add_typer(fault.app, name="fault")


app.command()(coverage.coverage)

app.command()(simulate.simulate)


def main() -> None:
    """Entry point of the command; errors that the caller can put right are one message and exit status 1."""
    try:
        app()
    except StackError as error:
        typer.echo(f"agentstack: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
