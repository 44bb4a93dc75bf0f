# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/config/metrics, /admin/metrics, /status/metrics: where figures are sent, and the figures themselves."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.config import Branch, always, register
from agentstack.errors import AgentError
from agentstack.pbs.datastores import acl_path
from agentstack.pbs.sections import METRICS, Values

KINDS = ("influxdb-http", "influxdb-udp")
TIMEOUT = 5.0
"""Real seconds for which a metric server is waited for when it is configured."""


async def _check_http(call: Call, values: Values) -> None:
    """A server that is switched on has to be there (its `/health`)."""
    if not values.get("enable", True):
        return
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    trust: ssl.SSLContext | bool = values.get("verify-tls", True)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(f"{values['url'].rstrip('/')}/health", ssl=trust) as answer,
        ):
            if answer.status >= 400:
                raise AgentError(f"error testing connection to {values['url']}: got HTTP status {answer.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise AgentError(f"error testing connection to {values['url']}: {str(error) or 'timeout'}") from error


async def _check_udp(call: Call, values: Values) -> None:
    """Nothing can be asked of a server that only takes: its name has to be one."""
    host, _, port = values["host"].rpartition(":")
    try:
        await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port))
    except (OSError, UnicodeError) as error:
        raise AgentError(f"error testing connection to {values['host']}: {error}") from error


_WORDS: dict[str, Any] = {
    "exists": "metric server '{}' already exists.",
    "missing": "metric server '{}' does not exist.",
}
register(
    Branch("/config/metrics/influxdb-http", METRICS, "influxdb-http", "name", sees=always, changes=always,
           check=_check_http, secret="token", encoded=False, **_WORDS)
)  # fmt: skip
register(
    Branch("/config/metrics/influxdb-udp", METRICS, "influxdb-udp", "name", sees=always, changes=always,
           check=_check_udp, **_WORDS)
)  # fmt: skip


@pbs("GET", "/admin/metrics")
async def list_servers(call: Call) -> Json:
    found = METRICS.read(call.host)
    return [
        {
            "name": name,
            "type": kind,
            "server": values["url"] if kind == "influxdb-http" else values["host"],
            "enable": values.get("enable", True),
        }
        | {key: values[key] for key in ("comment",) if key in values}
        for kind in KINDS
        for name, values in found.of(kind).items()
    ]


@pbs("GET", "/status/metrics")
async def figures(call: Call) -> Json:
    """What the caller may audit, as gauges of this moment: no history is kept."""
    host, access, now = call.host, call.host.pbs.access, int(call.host.clock.now())
    rows: list[dict[str, Any]] = []

    def add(ident: str, **values: float) -> None:
        for name, value in values.items():
            rows.append({"id": ident, "metric": name, "timestamp": now, "type": "gauge", "value": float(value)})

    if access.may(call.identity, "/system/status", ["Sys.Audit"]):
        usage = host.pbs.datastores.usage()
        memory = host.spec.memory
        add("host", cpu_current=0, mem_total=memory, mem_used=memory // 16, uptime=now - int(host.boot_time),
            disk_total=usage.total, disk_used=usage.used, disk_available=usage.avail)  # fmt: skip
    for name, values in host.pbs.datastores.configured().items():
        if access.may(call.identity, acl_path(name), ["Datastore.Audit"]):
            usage = host.pbs.datastores.usage(values["path"])
            add(f"datastore/{name}", disk_total=usage.total, disk_used=usage.used, disk_available=usage.avail)
    return {"data": [row for row in rows if row["timestamp"] > call.get("start-time", 0)]}
