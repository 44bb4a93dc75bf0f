# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed requests: who sends them, that nobody else did, and that nobody sends them again (RFC 8555 §6.2 to §6.5)."""

from __future__ import annotations

import base64
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from josepy.jwk import JWK

from agentstack import jws
from agentstack.authority.problems import Problem
from agentstack.authority.register import Account, Register

CONTENT_TYPE = "application/jose+json"
NONCES = 10_000
"""So many that were given out and not used are remembered."""
NONCE_FORM = 16


class Nonces:
    """Numbers that are good for one request each."""

    def __init__(self) -> None:
        self._unused: OrderedDict[str, None] = OrderedDict()

    def new(self) -> str:
        """One more."""
        nonce = base64.urlsafe_b64encode(secrets.token_bytes(NONCE_FORM)).decode().rstrip("=")
        self._unused[nonce] = None
        while len(self._unused) > NONCES:
            self._unused.popitem(last=False)
        return nonce

    def use(self, nonce: object) -> None:
        """Raises Problem for one that was used before, or never given out."""
        if not isinstance(nonce, str) or nonce not in self._unused:
            raise Problem("badNonce", f"JWS has an invalid anti-replay nonce: {nonce!r}")
        del self._unused[nonce]


@dataclass(frozen=True)
class Signed:
    """A request that is what it says. `account`: who signed it, None if the key is no account's."""

    message: jws.Message
    key: JWK
    account: Account | None

    @property
    def content(self) -> dict[str, Any]:
        """The payload; raises Problem."""
        try:
            return self.message.content
        except jws.BadMessage as error:
            raise Problem("malformed", str(error)) from error

    @property
    def is_read(self) -> bool:
        """Whether it is a POST-as-GET."""
        return not self.message.payload


async def check(request: web.Request, url: str, register: Register, nonces: Nonces, accounts: str) -> Signed:
    """The signed message of a request to `url`; raises Problem. `accounts`: what the URLs of accounts begin with."""
    if request.content_type != CONTENT_TYPE:
        raise Problem(
            "malformed", f'Invalid Content-Type header on POST. Content-Type must be "{CONTENT_TYPE}"', status=415
        )
    try:
        message = jws.Message.parse(await request.read())
    except jws.BadMessage as error:
        raise Problem("malformed", str(error)) from error
    header = message.header
    if header.get("alg") not in jws.ALGORITHMS:
        text = f"JWS signature header contains unsupported algorithm {header.get('alg')!r}"
        raise Problem("badSignatureAlgorithm", text, algorithms=list(jws.ALGORITHMS))
    if ("jwk" in header) == ("kid" in header):
        raise Problem("malformed", "jwk and kid header fields are mutually exclusive, and one of them is needed")
    nonces.use(header.get("nonce"))
    if header.get("url") != url:
        raise Problem(
            "unauthorized", f"JWS header parameter 'url' incorrect. Expected {url!r}, got {header.get('url')!r}"
        )
    account: Account | None = None
    try:
        if "kid" in header:
            account = register.accounts.get(str(header["kid"]).removeprefix(accounts))
            if account is None:
                raise Problem("accountDoesNotExist", f"Account {header['kid']!r} not found")
            key = account.jwk
        else:
            key = jws.public_key(header["jwk"])
        message.verify(key)
    except jws.BadMessage as error:
        raise Problem("malformed", str(error)) from error
    if account is not None and account.status != "valid":
        raise Problem("unauthorized", f"Account is not valid, has status {account.status!r}")
    return Signed(message, key, account)
