# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to an authority that speaks ACME, as a node makes them (RFC 8555 §6). Errors read as LWP's do (observed)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from josepy.jwk import JWK

from agentstack import jws
from agentstack.errors import AgentError
from agentstack.install import BUNDLE

if TYPE_CHECKING:
    from agentstack.host import Host

PATIENCE = 30.0
"""Real seconds for an answer."""
ATTEMPTS = 3
"""How often a call is made whose number the authority no longer knows."""

TEXTS = {
    "unreachable": "Error: {verb} to {url}\n500 Can't connect to {place} ({why})",
    "refused": "Error: {verb} to {url}\n{status} {reason}\n{body}",
    "no_directory": "Error: GET to {url}\nno ACME directory: {why}",
}


class Answer:
    """An answer of 2xx."""

    def __init__(self, headers: Mapping[str, str], body: str) -> None:
        self.headers = headers
        self.text = body

    @property
    def json(self) -> dict[str, Any]:
        """The document; {} where there is none."""
        found = json.loads(self.text or "{}")
        return found if isinstance(found, dict) else {}


class Refused(AgentError):
    """The authority's no: its status, and the kind of problem (`rateLimited`; "" if it does not say)."""

    def __init__(self, message: str, status: int, kind: str) -> None:
        super().__init__(message, status=500)
        self.answered = status
        self.kind = kind


class Client:
    """One directory, seen from a host; `key` and `account` (its URL) sign. To be used in `async with`."""

    def __init__(self, host: Host, url: str, key: JWK | None = None, account: str | None = None) -> None:
        self.host = host
        self.url = url
        self.key = key
        self.account = account
        self._directory: dict[str, Any] | None = None
        self._nonce: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        context = ssl.create_default_context()
        bundle = self.host.root / BUNDLE
        if bundle.exists():
            context.load_verify_locations(bundle)
        source = self.host.network.source(urlsplit(self.url).hostname or "")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, local_addr=(source, 0)),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Trusts whom the host trusts, and comes from the host's address."""
        assert self._session is not None
        return self._session

    async def directory(self) -> dict[str, Any]:
        """What the authority offers, and `meta`; raises AgentError."""
        if self._directory is None:
            answer = await self._send("GET", self.url)
            try:
                self._directory = answer.json
            except ValueError as error:
                raise AgentError(TEXTS["no_directory"].format(url=self.url, why=error)) from error
        return self._directory

    async def meta(self) -> dict[str, Any]:
        """What the authority says of itself; raises AgentError."""
        return (await self.directory()).get("meta") or {}

    async def resource(self, name: str) -> str:
        """The URL of `newOrder` and the like; raises AgentError."""
        found = (await self.directory()).get(name)
        if not isinstance(found, str):
            raise AgentError(TEXTS["no_directory"].format(url=self.url, why=f"no {name}"))
        return found

    async def post(self, url: str, payload: Mapping[str, Any] | None) -> Answer:
        """A signed call; None reads. Raises AgentError, of the authority's own no: Refused."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._send("POST", url, await self._signed(url, payload))
            except Refused as error:
                if error.kind != "badNonce" or attempt == ATTEMPTS:
                    raise

    async def _signed(self, url: str, payload: Mapping[str, Any] | None) -> dict[str, str]:
        assert self.key is not None
        if self._nonce is None:
            await self._send("HEAD", await self.resource("newNonce"))
        who = {"kid": self.account} if self.account else {"jwk": self.key.public_key().to_json()}
        header = {"alg": "RS256", "nonce": self._nonce, "url": url, **who}
        self._nonce = None
        return jws.sign(self.key, header, payload)

    async def _send(self, verb: str, url: str, message: dict[str, str] | None = None) -> Answer:
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port or 443}"
        headers = {"Content-Type": "application/jose+json"} if message else {}
        try:
            await self.host.network.look_for(parts.hostname or "")
            body = json.dumps(message) if message else None
            async with self.session.request(verb, url, data=body, headers=headers) as answer:
                text = await answer.text()
                self._nonce = answer.headers.get("Replay-Nonce", self._nonce)
                if answer.status >= 300:
                    raise _refused(verb, url, answer.status, answer.reason or "", text)
                return Answer(answer.headers, text)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            why = str(error) or "timeout"
            raise AgentError(TEXTS["unreachable"].format(verb=verb, url=url, place=place, why=why)) from error


def _refused(verb: str, url: str, status: int, reason: str, body: str) -> Refused:
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    kind = str(document.get("type", "")) if isinstance(document, dict) else ""
    text = TEXTS["refused"].format(verb=verb, url=url, status=status, reason=reason, body=body.strip())
    return Refused(text.strip(), status, kind.rpartition(":")[2])
