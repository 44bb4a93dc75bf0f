# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API of a member as a joining node uses it: HTTPS with a pinned certificate, a password, three calls."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from agentstack.errors import AgentError
from agentstack.stack import API_PORTS

if TYPE_CHECKING:
    from agentstack.host import Host

TIMEOUT = 30.0
"""Stack seconds for one call; on top comes what this machine needs to compute."""
GRACE = 10.0


class PeerRefused(AgentError):
    """The member answered with an error; `message` is its own text."""


class Peer:
    """A session with a member; to be used as an asynchronous context. `name`: as the user wrote it."""

    def __init__(self, host: Host, name: str, fingerprint: str | None) -> None:
        self.host = host
        self.name = name
        self.fingerprint = fingerprint
        self.port = API_PORTS["pve"]
        self._headers: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # a joining node speaks from its own address, as its peer may look at where a call comes from
        connector = aiohttp.TCPConnector(local_addr=(self.host.address, 0), force_close=True)
        timeout = aiohttp.ClientTimeout(total=self.host.clock.real(TIMEOUT) + GRACE)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def login(self, password: str) -> None:
        """Get a ticket for root@pam. AgentError `401 authentication failure`, or why there is no connection."""
        status, reason, body = await self._request(
            "POST", "/access/ticket", {"username": "root@pam", "password": password}
        )
        if status != 200:
            raise AgentError(f"{status} {reason}")
        ticket = body["data"]
        self._headers = {
            "Cookie": f"PVEAuthCookie={ticket['ticket']}",
            "CSRFPreventionToken": str(ticket["CSRFPreventionToken"]),
        }

    async def get(self, path: str) -> Any:
        """The data of a call."""
        return self._data(*await self._request("GET", path, {}))

    async def post(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """The data of a call."""
        return self._data(*await self._request("POST", path, parameters))

    async def read_fingerprint(self) -> str:
        """The fingerprint of the member's certificate, unverified."""
        pinned, self.fingerprint = self.fingerprint, ":".join(["00"] * 32)
        try:
            await self._request("GET", "/version", {})
        except FingerprintMismatch as error:
            return error.got
        finally:
            self.fingerprint = pinned
        return ":".join(["00"] * 32)

    @staticmethod
    def _data(status: int, reason: str, body: Any) -> Any:
        if status == 200:
            return body["data"]
        message = str(body.get("message") or reason).strip() if isinstance(body, dict) else reason
        errors = body.get("errors") if isinstance(body, dict) else None
        details = "".join(f"\n{name}: {why}" for name, why in (errors or {}).items())
        raise PeerRefused(message + details, status=status)

    async def _request(self, verb: str, path: str, parameters: Mapping[str, Any]) -> tuple[int, str, Any]:
        assert self._session is not None
        address = self.host.cluster.resolve(self.name)
        pinned = aiohttp.Fingerprint(bytes.fromhex((self.fingerprint or "").replace(":", "")))
        data = {name: str(value) for name, value in parameters.items()}
        url = f"https://{address}:{self.port}/api2/json{path}"
        try:
            await self.host.network.look_for(address)
            async with self._session.request(
                verb, url, data=data or None, headers=self._headers, ssl=pinned
            ) as response:
                body = await response.json(content_type=None) if response.status < 300 else await _error(response)
                return response.status, response.reason or "", body
        except aiohttp.InvalidURL:
            raise self._unreachable("Name or service not known") from None
        except aiohttp.ServerFingerprintMismatch as error:
            raise FingerprintMismatch(":".join(f"{byte:02X}" for byte in error.got)) from None
        except aiohttp.ClientConnectorError as error:
            raise self._unreachable(os.strerror(error.errno) if error.errno else "Name or service not known") from error
        except aiohttp.ClientOSError as error:
            raise self._unreachable(os.strerror(error.errno or 0)) from error
        except aiohttp.ServerDisconnectedError:
            raise AgentError("500 Server closed connection without sending any data back") from None
        except TimeoutError:
            raise self._unreachable("Connection timed out") from None
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from error

    def _unreachable(self, why: str) -> AgentError:
        return AgentError(f"500 Can't connect to {self.name}:{self.port} ({why})")


class FingerprintMismatch(AgentError):
    """The member's certificate is another one (observed: join)."""

    def __init__(self, got: str) -> None:
        super().__init__(f"fingerprint '{got}' not verified, abort!")
        self.got = got


async def _error(response: aiohttp.ClientResponse) -> Any:
    text = await response.text()
    try:
        return await response.json(content_type=None) if text else None
    except ValueError:
        return None
