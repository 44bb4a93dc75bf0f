# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handing a call on to the node that has to execute it (facts §1.4)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from agentstack import x509
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

LIMIT = 30.0
"""Seconds that the other node has to answer in."""

GRACE = 5.0
"""Real seconds on top: what this machine takes to compute does not shrink with the stack's scale."""

HEADER = "PVEDisableProxy"
"""Marks a request that has been handed on once; it is never handed on again."""

_NOT_CONNECTED, _TLS_FAILED, _BODY_FAILED = 595, 596, 597


@dataclass(frozen=True)
class Answer:
    """The other node's answer, to be passed on as it is."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class ProxyError(AgentError):
    """The other node could not be asked; the answer has no body (observed: no-quorum)."""


class Proxy:
    """Connections to the other nodes' APIs."""

    def __init__(self, host: Host, port: int) -> None:
        self._host = host
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready to hand calls on."""
        self._session = aiohttp.ClientSession(
            # a connection is made anew for every call: it is never one to a node as it was before a restart or a join
            connector=aiohttp.TCPConnector(force_close=True, limit=0, local_addr=(self._host.address, 0)),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    async def stop(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    async def forward(
        self, node: str, verb: str, path: str, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Answer:
        """Make a call on another node; raises ProxyError (595 … 597), or AgentError for a name that is no node's."""
        if self._session is None:
            raise RuntimeError("the proxy has not been started")
        host = self._host
        address = host.cluster.address_of(node)
        if address is None:
            # as seen on a machine without name service (observed: calls)
            why = f"failed to get address info for: {node}: Temporary failure in name resolution"
            raise AgentError(f"hostname lookup '{node}' failed - {why}")
        url = f"https://{address}:{self._port}{quote(path, safe='/:@!$&()*+,;=~')}"
        data = urlencode([(name, _text(value)) for name, given in params.items() for value in _values(given)])
        if verb in ("GET", "DELETE"):
            url, data = (f"{url}?{data}" if data else url), ""
        sent = {**headers, HEADER: "true"}
        if data:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        limit = aiohttp.ClientTimeout(total=host.clock.real(LIMIT) + GRACE)
        try:
            await host.network.look_for(address)
            async with self._session.request(
                verb,
                URL(url, encoded=True),
                data=data.encode() or None,
                headers=sent,
                ssl=aiohttp.Fingerprint(self._pinned(node)),
                timeout=limit,
                allow_redirects=False,
            ) as response:
                body = await response.read()
                return Answer(response.status, response.reason or "", dict(response.headers), body)
        except aiohttp.ServerFingerprintMismatch:
            raise _failed(_TLS_FAILED, "tls_process_server_certificate: certificate verify failed") from None
        except aiohttp.ClientConnectorError as error:
            raise _failed(_NOT_CONNECTED, os.strerror(error.errno) if error.errno else str(error)) from error
        except aiohttp.ConnectionTimeoutError:
            raise _failed(_NOT_CONNECTED, "Connection timed out") from None
        except TimeoutError:
            raise _failed(_TLS_FAILED, "Connection timed out") from None
        except aiohttp.ServerDisconnectedError:
            raise _failed(_TLS_FAILED, "Connection reset by peer") from None
        except aiohttp.ClientPayloadError:
            raise _failed(_BODY_FAILED, "Connection reset by peer") from None
        except aiohttp.ClientOSError as error:
            raise _failed(_TLS_FAILED, os.strerror(error.errno or 0)) from error
        except OSError as error:
            raise _failed(_NOT_CONNECTED, error.strerror or str(error)) from error

    def _pinned(self, node: str) -> bytes:
        """The SHA-256 of the certificate that the node has put into /etc/pve; one of its own choice goes first."""
        for name in ("pveproxy-ssl.pem", "pve-ssl.pem"):
            path = f"nodes/{node}/{name}"
            if self._host.files.exists(path):
                return bytes.fromhex(x509.fingerprint(self._host.files.read(path)).replace(":", ""))
        raise _failed(_TLS_FAILED, f"no certificate of node '{node}'")


def _failed(status: int, reason: str) -> ProxyError:
    return ProxyError(reason, status=status)


def _values(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
