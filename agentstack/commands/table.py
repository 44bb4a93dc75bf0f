# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a stack as a table for people."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from agentstack.faults.kinds import Fault

COLOURS = {"on": "green", "off": "red", "paused": "yellow", "booting": "cyan"}


def status(answer: dict[str, Any]) -> Group:
    """One line a host, from the status document of the control socket."""
    word = f"net {answer['net']}, scale {answer['scale']:g}" if answer["up"] else "not up"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("host", "product", "power", "api", "cluster", "links", "guests", "memory"):
        table.add_column(heading, header_style="dim")
    for host in answer["hosts"]:
        power = "starting" if host["power"] == "on" and not host["ready"] else host["power"]
        table.add_row(
            host["name"],
            f"{host['kind']} {host['version']}",
            Text(power, style=COLOURS.get(power, "cyan")),
            (host["api_url"] or host["address"]).removeprefix("https://"),
            _cluster(host["cluster"]),
            _links(host["cluster"]),
            _guests(host.get("guests")),
            f"{host['pss_mb']:.0f} MB" if host["pss_mb"] else "",
        )
    title = Text(f"{answer['stack']}: {word}, {answer['state_dir']}", overflow="fold")
    faults = [Text(f"broken: {Fault.read(fault)}", style="yellow") for fault in answer["faults"]]
    return Group(title, table, *faults)


def _guests(guests: dict[str, int] | None) -> str:
    """`3 of 5`: how many run."""
    if not guests or not (guests["running"] or guests["stopped"]):
        return ""
    return f"{guests['running']} of {guests['running'] + guests['stopped']}"


def _cluster(cluster: dict[str, Any] | None) -> Text:
    if not cluster:
        return Text("")
    word, style = ("quorate", "green") if cluster["quorate"] else ("no quorum", "red")
    return Text(f"{cluster['name']} {word} {cluster['votes']}/{cluster['expected']}", style=style)


def _links(cluster: dict[str, Any] | None) -> str:
    """`0 ✓✓ 1 ✓✗`: each link's number, and a mark for every peer on it."""
    links = cluster["links"] if cluster else []
    return " ".join(
        f"{link['number']} {'✓' * link['connected']}{'✗' * (link['peers'] - link['connected'])}" for link in links
    )
