# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/config/remote/{name}/scan: what can be seen on another server (facts §20.4)."""

from __future__ import annotations

from typing import Any

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.errors import AgentError
from agentstack.pbs.client import PbsClient
from agentstack.pbs.source import login_of


async def _ask(call: Call, path: str, **given: Any) -> Json:
    login = login_of(call.host, call["name"])
    try:
        async with PbsClient(login, call.host.address) as client:
            return await client.call("GET", path, **given)
    except AgentError as error:
        raise AgentError(f"remote connection to '{call['name']}' failed - {error.text}") from error


@pbs("GET", "/config/remote/{name}/scan")
async def scan_datastores(call: Call) -> Json:
    return await _ask(call, "/admin/datastore")


@pbs("GET", "/config/remote/{name}/scan/{store}/namespaces")
async def scan_namespaces(call: Call) -> Json:
    return await _ask(call, f"/admin/datastore/{call['store']}/namespace")


@pbs("GET", "/config/remote/{name}/scan/{store}/groups")
async def scan_groups(call: Call) -> Json:
    return await _ask(call, f"/admin/datastore/{call['store']}/groups", ns=call.get("namespace"))
