# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/certificates/acme/certificate: a node's certificate from an authority that speaks ACME."""

from __future__ import annotations

from agentstack.acme import orders
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.pve.node_config import acme_wishes
from agentstack.errors import AgentError, ParameterError

ACME = "/nodes/{node}/certificates/acme/certificate"

TEXTS = {
    "no_domains": "no domains configured in node config",
    "exists": "Custom certificate exists but 'force' is not set.",
    "none": "No current (custom) certificate found, please order a new certificate!",
    "not_yet": "Certificate does not expire within the next 30 days, and 'force' is not set.",
    "none_to_revoke": "Certificate file '{file}' does not exist.",
}


def _has_own(call: Call) -> bool:
    return call.host.files.exists(orders.path(call.host, orders.CERTIFICATE))


def _start(call: Call, kind: str) -> str:
    account, domains = acme_wishes(call.host, call.host.name)
    if not domains:
        raise AgentError(TEXTS["no_domains"])
    return call.host.tasks.start(call.identity, kind, "", lambda task: orders.order(call.host, task, account, domains))


@pve("POST", ACME)
async def order(call: Call) -> Json:
    if _has_own(call) and not call.get("force"):
        raise ParameterError({"force": TEXTS["exists"]})
    return _start(call, "acmenewcert")


@pve("PUT", ACME)
async def renew(call: Call) -> Json:
    if not _has_own(call):
        raise AgentError(TEXTS["none"])
    if not orders.expires_soon(call.host) and not call.get("force"):
        raise ParameterError({"force": TEXTS["not_yet"]})
    return _start(call, "acmerenew")


@pve("DELETE", ACME)
async def revoke(call: Call) -> Json:
    if not _has_own(call):
        raise AgentError(TEXTS["none_to_revoke"].format(file=f"/etc/pve/{orders.path(call.host, orders.CERTIFICATE)}"))
    account, _ = acme_wishes(call.host, call.host.name)
    return call.host.tasks.start(call.identity, "acmerevoke", "", lambda task: orders.revoke(call.host, task, account))
