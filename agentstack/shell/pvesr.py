# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pvesr: replication jobs from the command line (observed: commands)."""

from __future__ import annotations

import time
from argparse import ArgumentError, ArgumentParser
from typing import TYPE_CHECKING, Any

from agentstack.replication.jobs import DEFAULT_SCHEDULE
from agentstack.shell.api_command import ApiCommand, run
from agentstack.shell.exit_status import FAILED
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d_%H:%M:%S", time.gmtime(seconds)) if seconds else "-"


def _show_jobs(rows: list[dict[str, Any]]) -> str:
    text = f"{'JobID':<20} {'Target':<20} {'Schedule':>10} {'Rate':>5}  {'Enabled'}\n"
    for row in sorted(rows, key=lambda row: (row["guest"], row["jobnum"])):
        enabled = "no" if row.get("disable") else "yes"
        schedule, rate = row.get("schedule", DEFAULT_SCHEDULE), row.get("rate", "-")
        text += f"{row['id']:<20} {'local/' + row['target']:<20} {schedule:>10} {rate:>5}  {enabled}\n"
    return text


def _show_states(rows: list[dict[str, Any]]) -> str:
    text = f"{'JobID':<10} {'Enabled':<10} {'Target':<20} {'LastSync':>20} {'NextSync':>20} {'Duration':>10} "
    text += f"{'FailCount':>10} State\n"
    for row in sorted(rows, key=lambda row: (row["guest"], row["jobnum"])):
        enabled = "No" if row.get("disable") else "Yes"
        state = "SYNCING" if "pid" in row else row.get("error", "OK")
        due = _moment(row["next_sync"]) if row["next_sync"] else "pending"
        text += f"{row['id']:<10} {enabled:<10} {'local/' + row['target']:<20} {_moment(row['last_sync']):>20} "
        text += f"{due:>20} {row.get('duration', '-'):>10} {row['fail_count']:>10} {state}\n"
    return text


_JOB = "/cluster/replication/{id}"
PVESR = {
    "list": ApiCommand("GET", "/cluster/replication", show=_show_jobs),
    "status": ApiCommand("GET", "/nodes/{node}/replication", show=_show_states),
    "read": ApiCommand("GET", _JOB, ("id",)),
    "create-local-job": ApiCommand("POST", "/cluster/replication", ("id", "target"), defaults={"type": "local"}),
    "update": ApiCommand("PUT", _JOB, ("id",)),
    "enable": ApiCommand("PUT", _JOB, ("id",), defaults={"disable": "0"}),
    "disable": ApiCommand("PUT", _JOB, ("id",), defaults={"disable": "1"}),
    "delete": ApiCommand("DELETE", _JOB, ("id",)),
    "schedule-now": ApiCommand("POST", "/nodes/{node}/replication/{id}/schedule_now", ("id",)),
}


@command("pvesr")
async def pvesr(host: Host, argv: list[str], io: CommandIO) -> int:
    if argv[:1] == ["run"]:
        return await _run_now(host, argv[1:], io)
    return await run(host, "pvesr", PVESR, argv, io)


async def _run_now(host: Host, words: list[str], io: CommandIO) -> int:
    """`pvesr run [--id JOB] [--verbose] [--mail BOOL]`: one job, or whatever is due."""
    parser = ArgumentParser(prog="pvesr run", add_help=False, exit_on_error=False)
    parser.add_argument("--id", "-id")
    for name in ("verbose", "mail"):
        parser.add_argument(f"--{name}", f"-{name}", nargs="?", const="1", choices=("0", "1"), default="0")
    try:
        given, rest = parser.parse_known_args(words)
    except ArgumentError as error:
        io.err(f"400 unable to parse option\n{error}\n")
        return FAILED
    if rest:
        io.err(f"Unknown option: {rest[0].lstrip('-')}\n400 unable to parse option\npvesr run  [OPTIONS]\n")
        return FAILED
    if given.id is None:
        await host.replicator.round()
        return 0
    try:
        await host.replicator.run_now(given.id)
    finally:
        if given.verbose == "1":
            io.out("".join(f"{line}\n" for line in host.replicator.log_of(given.id)))
    return 0
