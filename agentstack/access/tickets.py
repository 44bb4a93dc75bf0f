# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tickets and CSRF tokens: `PVE:root@pam:6B01F2DA::<signature>`, signed with the cluster's authkey (facts §3.1).

A ticket proves by itself who logged in when; nothing is kept. What was verified once is remembered as long as the key
stays, as the signature is most of a request's cost.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

LIFE = 2 * 60 * 60
"""Seconds that a ticket and a CSRF token are good for."""

SKEW = 5 * 60
"""Seconds by which the clock of the node that issued one may be ahead."""

_REMEMBERED = 256
_TEXT = re.compile(
    r"(?P<plain>(?P<prefix>[A-Z]+):(?P<user>\S+?):(?P<time>[0-9A-F]{8}))::(?P<signature>[A-Za-z0-9+/=]+)"
)
_CSRF = re.compile(r"([0-9A-F]{8}):(\S+)")


def _fresh(issued: int, now: float) -> bool:
    return -SKEW <= now - issued <= LIFE


def _signed(plain: str, bound: str) -> bytes:
    return f"{plain}:{bound}".encode() if bound else plain.encode()


@dataclass
class Signer:
    """The key pair that tickets are signed with, and the secret behind CSRF tokens.

    `old`: the public key before the present one; tickets signed with it stay good for their life.
    """

    prefix: str
    private: bytes
    public: bytes
    secret: bytes
    old: bytes = b""
    _verified: dict[str, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        private = load_pem_private_key(self.private, None)
        public = load_pem_public_key(self.public)
        keys = [public, load_pem_public_key(self.old)] if self.old else [public]
        self._publics = [key for key in keys if isinstance(key, rsa.RSAPublicKey)]
        if not isinstance(private, rsa.RSAPrivateKey) or len(self._publics) < len(keys):
            raise TypeError("the key of tickets is an RSA key")
        self._private = private

    def ticket(self, user: str, now: float, bound: str = "") -> str:
        """A new ticket for a user (or for what stands in a user's place, as `!tfa!…`, `bound` to the user)."""
        plain = f"{self.prefix}:{quote(user, safe='@!$ -_.')}:{int(now):08X}"
        signature = self._private.sign(_signed(plain, bound), padding.PKCS1v15(), hashes.SHA256())
        return f"{plain}::{base64.b64encode(signature).decode()}"

    def verify(self, ticket: str, now: float, bound: str = "") -> str | None:
        """The user of a ticket that is genuine and neither too old nor from the future; else None."""
        found = self._verified.get(f"{ticket}{bound}")
        if found is None:
            match = _TEXT.fullmatch(ticket)
            if match is None or match["prefix"] != self.prefix:
                return None
            if not self._is_genuine(_signed(match["plain"], bound), match["signature"]):
                return None
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            found = self._verified[f"{ticket}{bound}"] = (unquote(match["user"]), int(match["time"], 16))
        user, issued = found
        return user if _fresh(issued, now) else None

    def _is_genuine(self, text: bytes, signature: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
        except ValueError:
            return False
        for key in self._publics:
            try:
                key.verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
            except InvalidSignature:
                continue
            return True
        return False

    def csrf_token(self, user: str, now: float) -> str:
        """A token that has to come with every write of a user who came with a ticket."""
        stamp = f"{int(now):08X}"
        return f"{stamp}:{self._mac(stamp, user)}"

    def verify_csrf(self, token: str, user: str, now: float) -> bool:
        """Whether a CSRF token is genuine, for this user, and fresh."""
        match = _CSRF.fullmatch(token)
        if match is None or not hmac.compare_digest(match[2], self._mac(match[1], user)):
            return False
        return _fresh(int(match[1], 16), now)

    def _mac(self, stamp: str, user: str) -> str:
        digest = hmac.new(self.secret, f"{stamp}:{user}".encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode().rstrip("=")
