# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/acme/account: accounts with authorities."""

from __future__ import annotations

from agentstack.acme import accounts
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.pve.acme import DEFAULT_DIRECTORY

DEFAULT = "default"
ACCOUNT = "/cluster/acme/account/{name}"


@pve("GET", "/cluster/acme/account")
async def list_accounts(call: Call) -> Json:
    return shuffled({"name": name} for name in accounts.names(call.host))


@pve("GET", ACCOUNT)
async def read_account(call: Call) -> Json:
    return accounts.read(call.host, call["name"]).shown()


@pve("POST", "/cluster/acme/account")
async def register(call: Call) -> Json:
    name, directory = call.get("name", DEFAULT), call.get("directory", DEFAULT_DIRECTORY)
    accounts.refuse_existing(call.host, name)
    return call.host.tasks.start(
        call.identity, "acmeregister", "", lambda task: accounts.register(call.host, task, call.params, name, directory)
    )


@pve("PUT", ACCOUNT)
async def update(call: Call) -> Json:
    accounts.read(call.host, call["name"])
    return call.host.tasks.start(
        call.identity,
        "acmeupdate",
        "",
        lambda task: accounts.update(call.host, task, call["name"], call.get("contact")),
    )


@pve("DELETE", ACCOUNT)
async def deactivate(call: Call) -> Json:
    accounts.read(call.host, call["name"])
    return call.host.tasks.start(
        call.identity, "acmedeactivate", "", lambda task: accounts.deactivate(call.host, task, call["name"])
    )
