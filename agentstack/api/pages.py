# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a browser finds on a host's API port: `/` says at a glance what runs, `/openapi.json` what can be asked."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Iterable, Mapping
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from aiohttp.web import BaseRequest, Response

from agentstack.access.identity import ROOT, Identity
from agentstack.api import openapi
from agentstack.api.dispatch import Dispatcher
from agentstack.api.reply import Reply
from agentstack.errors import AgentError
from agentstack.ha.status import utc_ctime

if TYPE_CHECKING:
    from agentstack.host import Host

TASKS = 12
"""Newest tasks that the page shows."""

GUEST_TYPES = {"qemu": "VM", "lxc": "CT"}

MARKS = {
    "good": ("running", "online", "OK", "started", "quorate", "connected"),
    "bad": ("offline", "error", "fence", "no quorum", "disconnected"),
}
"""Words by the colour that they are shown in; others have none."""

Row = tuple[Any, ...]


class Pages:
    """The pages of one host. They show what anybody who reaches the host's address may know: nothing secret."""

    def __init__(self, host: Host, dispatcher: Dispatcher) -> None:
        self._host = host
        self._dispatcher = dispatcher
        self._template: Template | None = None
        self._document: bytes | None = None

    async def answer(self, incoming: BaseRequest) -> Response:
        """The page behind a path; raises AgentError (404) if there is none."""
        if incoming.method in ("GET", "HEAD"):
            if incoming.path == "/":
                return Response(text=await self._status(), content_type="text/html")
            if incoming.path == "/openapi.json":
                if self._document is None:
                    self._document = json.dumps(openapi.document(self._dispatcher)).encode()
                return Response(body=self._document, content_type="application/json")
        raise AgentError(f"no such file '{incoming.path}'", status=404)

    async def _status(self) -> str:
        if self._template is None:
            self._template = Template((files(__package__) / "status.html").read_text(encoding="utf-8"))
        host = self._host
        parts = [_section("Node", _facts(await self._node()))]
        if host.kind == "pve":
            parts += await self._cluster()
        parts.append(_section("Tasks", _table(("task", "of", "on", "started", "end"), await self._tasks())))
        return self._template.substitute(
            host=html.escape(host.name),
            stack=html.escape(host.stack.name),
            now=utc_ctime(host.clock.now()) + " UTC",
            sections="\n".join(parts),
        )

    async def _ask(self, path: str) -> list[dict[str, Any]]:
        """What the API itself says, to root."""
        found = self._dispatcher.find("GET", path)
        if found is None:
            return []
        reply = await self._dispatcher.execute(found, Identity(ROOT), found.values)
        return reply.data if isinstance(reply, Reply) and isinstance(reply.data, list) else []

    async def _node(self) -> Mapping[str, Any]:
        host = self._host
        product = {"pve": "Proxmox VE", "pbs": "Proxmox Backup Server"}.get(host.kind, host.kind)
        return {
            "name": host.fqdn,
            "stands in for": f"{product} {host.version}",
            "address": ", ".join(dict.fromkeys(host.addresses.values())),
            "up": _duration(host.clock.now() - host.boot_time),
            "time": f"{host.stack.scale:g} times as fast" if host.stack.scale != 1 else "real",
        }

    async def _cluster(self) -> list[str]:
        cluster = self._host.cluster
        parts = []
        resources = await self._ask("/cluster/resources")
        nodes = [row for row in await self._ask("/cluster/status") if row["type"] == "node"]
        if cluster.in_cluster:
            votes = cluster.votes
            facts = {
                "name": cluster.cluster_name,
                "quorum": "quorate" if cluster.quorate else "no quorum",
                "votes": f"{votes.total} of {votes.highest_expected}",
            }
            names = {node["nodeid"]: node["name"] for node in nodes}
            links = [
                (
                    f"link {link.number}",
                    link.address,
                    *(("connected", "") if all(link.connected.values()) else ("disconnected", _away(link, names))),
                )
                for link in cluster.links()
            ]
            parts += [_section("Cluster", _facts(facts)), _section("Links", _table(("", "address", "", ""), links))]
            states = {row["node"]: row.get("hastate", "") for row in resources if row["type"] == "node"}
            members = [
                (node["name"], "online" if node["online"] else "offline", states.get(node["name"], ""), node.get("ip"))
                for node in sorted(nodes, key=lambda node: str(node["name"]))
            ]
            parts.append(_section("Members", _table(("node", "", "HA", "address"), members)))
        guests = [
            (
                f"{GUEST_TYPES[row['type']]} {row['vmid']}",
                row.get("name", ""),
                row["node"],
                row["status"],
                row.get("hastate", ""),
            )
            for row in sorted(
                (row for row in resources if row["type"] in GUEST_TYPES), key=lambda row: int(row["vmid"])
            )
        ]
        parts.append(_section("Guests", _table(("guest", "name", "on", "", "HA"), guests)))
        return parts

    async def _tasks(self) -> list[Row]:
        own = self._host.kind == "pbs"
        found = await self._ask(f"/nodes/{self._host.name}/tasks" if own else "/cluster/tasks")
        found.sort(key=lambda row: row["starttime"], reverse=True)
        return [
            (
                row.get("type") or row.get("worker_type"),
                row.get("id") or row.get("worker_id") or "",
                row["node"],
                time.strftime("%H:%M:%S", time.gmtime(row["starttime"])),
                row.get("status", "running"),
            )
            for row in found[:TASKS]
        ]


def _away(link: Any, names: Mapping[int, str]) -> str:
    return ", ".join(str(names.get(peer, peer)) for peer, there in link.connected.items() if not there)


def _duration(seconds: float) -> str:
    minutes, _ = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    mark = next((name for name, words in MARKS.items() if text in words), None)
    shown = html.escape(text)
    return f'<span class="{mark}">{shown}</span>' if mark else shown


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{_cell(value)}</dd>" for name, value in facts.items())
    return f"<dl>{rows}</dl>"


def _table(heads: Iterable[str], rows: Iterable[Row]) -> str:
    lines = ["".join(f"<td>{_cell(value)}</td>" for value in row) for row in rows]
    if not lines:
        return '<p class="none">none</p>'
    top = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _section(title: str, content: str) -> str:
    return f'<section id="{title.lower()}"><h2>{title}</h2>{content}</section>'
