# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node finds out whether a backup server lets it use a datastore (facts §12, §20)."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp

from agentstack.errors import AgentError

TEXTS = {
    "fetch": "{id}: error fetching datastores - {reason}",
    "connect": "500 Can't connect to {server}:{port} ({reason})",
    "datastore": "{id}: Cannot find datastore '{datastore}', check permissions and existence!",
}

DEFAULT_PORT = 8007
_TIMEOUT = aiohttp.ClientTimeout(total=7)


async def check_datastore(ident: str, values: Mapping[str, Any], password: str) -> None:
    """Log in and look for the datastore; `values`: server, datastore, port, username, fingerprint. Or AgentError."""
    try:
        names = await _datastores(values, password)
    except AgentError as error:
        raise AgentError(TEXTS["fetch"].format(id=ident, reason=error.message)) from error
    if values["datastore"] not in names:
        raise AgentError(TEXTS["datastore"].format(id=ident, datastore=values["datastore"]))


async def _datastores(values: Mapping[str, Any], password: str) -> set[str]:
    server, port = values["server"], values.get("port", DEFAULT_PORT)
    base = f"https://{server}:{port}/api2/json"
    verify: ssl.SSLContext | aiohttp.Fingerprint = ssl.create_default_context()
    if fingerprint := values.get("fingerprint"):
        verify = aiohttp.Fingerprint(bytes.fromhex(fingerprint.replace(":", "")))
    username = values.get("username", "root@pam")
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            if "!" in username:
                headers = {"Authorization": f"PBSAPIToken={username}:{password}"}
            else:
                login = {"username": username, "password": password}
                async with session.post(f"{base}/access/ticket", data=login, ssl=verify) as response:
                    ticket = (await _data(response))["ticket"]
                headers = {"Cookie": f"PBSAuthCookie={ticket}"}
            async with session.get(f"{base}/admin/datastore", headers=headers, ssl=verify) as response:
                return {row["store"] for row in await _data(response)}
    except (aiohttp.ServerFingerprintMismatch, aiohttp.ClientConnectorCertificateError) as error:
        raise _unreachable(server, port, "certificate verify failed") from error
    except aiohttp.ClientConnectorError as error:
        raise _unreachable(server, port, os.strerror(error.errno) if error.errno else str(error)) from error
    except TimeoutError as error:
        raise _unreachable(server, port, "Connection timed out") from error


async def _data(response: aiohttp.ClientResponse) -> Any:
    if response.status != 200:
        raise AgentError(f"{response.status} {response.reason}")
    return (await response.json(content_type=None))["data"]


def _unreachable(server: str, port: int, reason: str) -> AgentError:
    return AgentError(TEXTS["connect"].format(server=server, port=port, reason=reason))
