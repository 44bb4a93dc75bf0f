# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a stack as a table for people."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

COLOURS = {"on": "green", "off": "red", "paused": "yellow", "booting": "cyan"}


def status(answer: dict[str, Any]) -> Table:
    """One line a host, from the status document of the control socket."""
    word = f"net {answer['net']}, scale {answer['scale']:g}" if answer["up"] else "not up"
    table = Table(
        title=f"{answer['stack']} ({word})  {answer['state_dir']}", title_justify="left", box=box.SIMPLE, pad_edge=False
    )
    for heading in ("host", "kind", "power", "api", "cluster", "links", "pid", "memory"):
        table.add_column(heading, no_wrap=True)
    for host in answer["hosts"]:
        power = host["power"] if host["power"] != "on" or host["ready"] else "starting"
        table.add_row(
            host["name"],
            f"{host['kind']} {host['version']}",
            Text(power, style=COLOURS.get(power, "cyan")),
            host["api_url"] or host["address"],
            _cluster(host),
            _links(host),
            str(host["pid"] or ""),
            f"{host['pss_mb']:.0f} MB" if host["pss_mb"] else "",
        )
    return table


def _cluster(host: dict[str, Any]) -> Text:
    cluster = host.get("cluster")
    if not cluster:
        return Text("")
    return Text(
        f"{cluster['name']} {'quorate' if cluster['quorate'] else 'no quorum'} {cluster['votes']}/{cluster['expected']}",
        style="green" if cluster["quorate"] else "red",
    )


def _links(host: dict[str, Any]) -> str:
    links = (host.get("cluster") or {}).get("links", [])
    return "  ".join(f"{link['number']} {'✓' * link['connected']}{'✗' * link['disconnected']}" for link in links)
