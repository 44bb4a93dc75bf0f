# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that a node makes itself: of the command line, and of tasks that have work for other nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp.web import StreamResponse

from agentstack.access import ROOT, Identity
from agentstack.errors import AgentError, ParameterError

if TYPE_CHECKING:
    from agentstack.api.dispatch import Found
    from agentstack.host import Host


async def call(host: Host, found: Found, given: Mapping[str, Any]) -> Any:
    """Make a call as root@pam, on the node that it belongs to; returns its data, raises AgentError."""
    dispatcher, identity = host.api.dispatcher, Identity(ROOT)
    raw = dispatcher.admit(found, identity, given)
    node = dispatcher.node_of(found, raw)
    if node is None:
        reply = await dispatcher.execute(found, identity, raw)
        return None if isinstance(reply, StreamResponse) else reply.data
    ticket, csrf = host.access.new_ticket(ROOT)
    headers = {"Authorization": f"PVEAuthCookie={ticket}", "CSRFPreventionToken": csrf}
    answer = await host.api.proxy.forward(node, found.method.verb, f"/api2/json{found.path}", given, headers)
    document = json.loads(answer.body) if answer.body else {}
    if answer.status == ParameterError.status and document.get("errors"):
        raise ParameterError(document["errors"])
    if answer.status >= 400:
        raise AgentError(document.get("message", answer.reason).strip(), status=answer.status)
    return document["data"]


async def request(host: Host, verb: str, path: str, given: Mapping[str, Any] | None = None) -> Any:
    """As `call`, by verb and path; raises AgentError."""
    found = host.api.dispatcher.find(verb, path)
    if found is None:
        raise host.api.dispatcher.unknown(verb, path)
    return await call(host, found, given or {})
