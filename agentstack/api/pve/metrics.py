# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/metrics: servers that metrics are sent to, and the metrics themselves (facts §16)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentstack import metric_servers
from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.pve.cluster import guest_rows, node_rows, storage_rows

_CONTROL = frozenset({"id", "type", "delete", "digest"})

Metrics = Mapping[str, tuple[str, str]]
NODE: Metrics = {
    "cpu": ("cpu_current", "gauge"),
    "maxcpu": ("cpu_max", "gauge"),
    "mem": ("mem_used", "gauge"),
    "maxmem": ("mem_total", "gauge"),
    "disk": ("disk_used", "gauge"),
    "maxdisk": ("disk_total", "gauge"),
    "uptime": ("uptime", "gauge"),
}
GUEST: Metrics = {
    **NODE,
    "netin": ("net_in", "derive"),
    "netout": ("net_out", "derive"),
    "diskread": ("disk_read", "derive"),
    "diskwrite": ("disk_write", "derive"),
}
STORAGE: Metrics = {"disk": ("disk_used", "gauge"), "maxdisk": ("disk_total", "gauge")}
"""Field of a resource → metric, type."""


@pve("GET", "/cluster/metrics/server")
async def list_servers(call: Call) -> Json:
    entries, _ = metric_servers.read(call.host)
    shown = ("server", "port")
    return shuffled(
        {"id": entry.id, "type": entry.type, "disable": entry.values.get("disable", 0)}
        | {name: entry.values[name] for name in shown}
        for entry in entries.values()
    )


@pve("GET", "/cluster/metrics/server/{id}")
async def read_server(call: Call) -> Json:
    entry, digest = metric_servers.get(call.host, call["id"])
    return {**entry.values, "id": entry.id, "type": entry.type, "digest": digest}


@pve("POST", "/cluster/metrics/server/{id}")
async def create_server(call: Call) -> Json:
    values = {name: value for name, value in call.params.items() if name not in _CONTROL}
    await metric_servers.create(call.host, call["id"], call["type"], values)


@pve("PUT", "/cluster/metrics/server/{id}")
async def update_server(call: Call) -> Json:
    values = {name: value for name, value in call.params.items() if name not in _CONTROL}
    await metric_servers.update(call.host, call["id"], values, call.get("delete"), call.get("digest"))


@pve("DELETE", "/cluster/metrics/server/{id}")
async def delete_server(call: Call) -> Json:
    await metric_servers.delete(call.host, call["id"])


@pve("GET", "/cluster/metrics/export")
async def export(call: Call) -> Json:
    """The last figures of everything, each with its time."""
    now = int(call.host.clock.now())
    nodes = set(split_list(call.get("node-list"))) or {view.name for view in call.host.cluster.nodes()}
    if call.get("local-only"):
        nodes &= {call.host.name}
    found: list[dict[str, Any]] = []
    for rows, metrics in ((node_rows(call), NODE), (guest_rows(call), GUEST), (storage_rows(call), STORAGE)):
        found += _metrics((row for row in rows if row["node"] in nodes), metrics, now)
    return {"data": found if now >= call.get("start-time", 0) else []}


def _metrics(rows: Iterable[Mapping[str, Any]], metrics: Metrics, now: int) -> list[dict[str, Any]]:
    return [
        {"id": row["id"], "metric": name, "type": kind, "value": row[field], "timestamp": now}
        for row in rows
        for field, (name, kind) in metrics.items()
        if row.get(field) is not None
    ]
