# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed messages as ACME sends them: JSON Web Signatures in their flattened form (RFC 7515, RFC 8555 §6.2)."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from josepy.b64 import b64decode, b64encode
from josepy.errors import Error
from josepy.jwa import JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA, JWKOct

ALGORITHMS = ("RS256", "ES256", "ES384", "ES512")
"""What an account's key may sign with."""


class BadMessage(Exception):
    """A message that is no signed message, or whose signature is wrong; the text says why."""


@dataclass(frozen=True)
class Message:
    """A signed message whose signature has not been looked at yet."""

    header: dict[str, Any]
    payload: bytes
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, body: bytes | Mapping[str, Any]) -> Message:
        """Read a message; raises BadMessage."""
        try:
            found = json.loads(body) if isinstance(body, bytes) else body
            protected, payload, signature = (found[name] for name in ("protected", "payload", "signature"))
            header = json.loads(b64decode(protected))
            decoded = b64decode(payload), b64decode(signature)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise BadMessage(f"Parse error reading JWS: {error!r}") from error
        # what is not protected could have been changed on its way
        if "header" in found or "signatures" in found or not isinstance(header, dict):
            raise BadMessage("JWS has to be flattened, with nothing in its unprotected header")
        return cls(header, decoded[0], f"{protected}.{payload}".encode(), decoded[1])

    @property
    def content(self) -> dict[str, Any]:
        """The payload as a JSON object; {} for the empty one of POST-as-GET. Raises BadMessage."""
        if not self.payload:
            return {}
        try:
            found = json.loads(self.payload)
        except ValueError as error:
            raise BadMessage("Request payload did not parse as JSON") from error
        if not isinstance(found, dict):
            raise BadMessage("Request payload is not a JSON object")
        return found

    def verify(self, key: JWK, algorithms: tuple[str, ...] = ALGORITHMS) -> None:
        """Raises BadMessage unless `key` has signed it."""
        name = self.header.get("alg")
        if name not in algorithms:
            raise BadMessage(f"signature algorithm {name!r} is not one of {', '.join(algorithms)}")
        algorithm = JWASignature.from_json(name)
        if not isinstance(key, algorithm.kty) or not algorithm.verify(key.key, self.signed, self.signature):
            raise BadMessage("JWS verification error")


def sign(key: JWK, header: Mapping[str, Any], payload: Mapping[str, Any] | None) -> dict[str, str]:
    """A signed message; a payload of None is that of POST-as-GET. The algorithm stands in the header."""
    protected = b64encode(json.dumps(dict(header)).encode()).decode()
    body = "" if payload is None else b64encode(json.dumps(dict(payload)).encode()).decode()
    algorithm = JWASignature.from_json(header["alg"])
    signature = algorithm.sign(key.key, f"{protected}.{body}".encode())
    return {"protected": protected, "payload": body, "signature": b64encode(signature).decode()}


def public_key(data: object) -> JWK:
    """A public key in JSON form; raises BadMessage."""
    if not isinstance(data, dict):
        raise BadMessage("Parse error reading JWK")
    try:
        found = JWK.from_json(data)
    except (Error, ValueError, TypeError, KeyError) as error:
        raise BadMessage("Parse error reading JWK") from error
    # a shared secret proves nothing
    if not isinstance(found, JWKRSA | JWKEC):
        raise BadMessage("the key is neither RSA nor of an elliptic curve")
    return found


def thumbprint(key: JWK) -> str:
    """What a proof of a domain names the account's key by (RFC 7638)."""
    return b64encode(key.thumbprint()).decode()


def bind(kid: str, secret: str, key: JWK, url: str) -> dict[str, str]:
    """What binds an account's key to an account elsewhere (RFC 8555 §7.3.4); `secret` is base64url."""
    header = {"alg": "HS256", "kid": kid, "url": url}
    return sign(external_key(secret), header, key.public_key().to_json())


def external_key(secret: str) -> JWK:
    """The key of an account elsewhere, from base64url with or without padding; raises BadMessage."""
    try:
        return JWKOct(key=b64decode(secret.rstrip("=")))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadMessage("the external account's key is not base64url") from error
