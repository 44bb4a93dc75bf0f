# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`agentstack check-disks` for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agentstack import statedir
from agentstack.guests.check_disks import Report, check

CLEAN, FOUND = 0, 1


def main(state: Path, as_json: bool) -> int:
    """Check the disks of a stack and print what was found; the exit status. StackError if there is no stack."""
    statedir.read_stack(state)
    report = check(state)
    console = Console(soft_wrap=True, highlight=False)
    if as_json:
        console.print_json(json.dumps(asdict(report)))
    else:
        console.print(_table(report))
        for finding in report.findings:
            console.print(f"{finding.kind}: guest {finding.guest}: {finding.text}", finding.disk, style="red")
        if not report.findings:
            console.print(f"{len(report.guests)} guests: one writer at a time, no gaps, no acknowledged record lost")
    return FOUND if report.findings else CLEAN


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("guest", "node", "records", "acknowledged", "runs", "written by", "longest pause"):
        table.add_column(heading, header_style="dim")
    for guest in report.guests:
        pause = f"{guest.longest_pause:.2f} s" if guest.records else ""
        counts = (str(guest.records), str(guest.acknowledged), str(guest.runs))
        table.add_row(guest.guest, guest.node, *counts, " ".join(guest.hosts), pause)
    return table
