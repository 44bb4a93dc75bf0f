# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node finds out whether a backup server lets it use a datastore (facts §12, §20)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentstack.errors import AgentError
from agentstack.pbs.client import DEFAULT_PORT, Login, PbsClient, Unreachable

TEXTS = {
    "fetch": "{id}: error fetching datastores - {reason}",
    "connect": "500 Can't connect to {server}:{port} ({reason})",
    "datastore": "{id}: Cannot find datastore '{datastore}', check permissions and existence!",
}

TIMEOUT = 7.0
"""Real seconds that a server has for an answer."""


def login(values: Mapping[str, Any], password: str) -> Login:
    """The login that a storage's settings stand for."""
    return Login(
        server=values["server"],
        authid=values.get("username", "root@pam"),
        secret=password,
        port=values.get("port", DEFAULT_PORT),
        fingerprint=values.get("fingerprint"),
    )


async def check_datastore(address: str, ident: str, values: Mapping[str, Any], password: str) -> None:
    """Log in from `address` and look for the datastore of a storage's settings (`values`); raises AgentError."""
    where = login(values, password)
    try:
        async with PbsClient(where, address, TIMEOUT) as client:
            rows = await client.call("GET", "/admin/datastore")
    except Unreachable as error:
        reason = TEXTS["connect"].format(server=where.server, port=where.port, reason=error.text)
        raise AgentError(TEXTS["fetch"].format(id=ident, reason=reason)) from error
    except AgentError as error:
        reason = f"{error.status} {error.text}" if error.status == 401 else error.text
        raise AgentError(TEXTS["fetch"].format(id=ident, reason=reason)) from error
    if values["datastore"] not in {row["store"] for row in rows}:
        raise AgentError(TEXTS["datastore"].format(id=ident, datastore=values["datastore"]))
