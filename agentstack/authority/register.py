# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the authority remembers: accounts, orders, authorizations and certificates, in STATE/authority/register.json."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from josepy.jwk import JWK

from agentstack import jws
from agentstack.durable import write_durably


@dataclass
class Account:
    """An account. `key`: its public key, JSON; `status`: valid or deactivated; `external`: what it is bound to."""

    id: str
    key: dict[str, Any]
    contact: list[str] = field(default_factory=list)
    status: str = "valid"
    agreed: bool = False
    external: dict[str, Any] | None = None

    @property
    def jwk(self) -> JWK:
        """Its key."""
        return jws.public_key(self.key)


@dataclass
class Challenge:
    """A way to prove control. `status`: pending, processing, valid or invalid; `validated`: seconds since the epoch."""

    type: str
    token: str
    status: str = "pending"
    validated: float | None = None
    error: dict[str, Any] | None = None


@dataclass
class Authorization:
    """What has to be proven of one domain; one of the challenges suffices."""

    id: str
    account: str
    domain: str
    wildcard: bool
    expires: float
    challenges: list[Challenge]
    deactivated: bool = False

    @property
    def status(self) -> str:
        """pending, valid, invalid or deactivated."""
        found = {challenge.status for challenge in self.challenges}
        if self.deactivated:
            return "deactivated"
        return next((each for each in ("valid", "invalid") if each in found), "pending")


@dataclass
class Order:
    """A wish for a certificate."""

    id: str
    account: str
    domains: list[str]
    authorizations: list[str]
    expires: float
    certificate: str | None = None


@dataclass
class Issued:
    """A certificate with those above it, PEM. `revoked`: the reason's number."""

    id: str
    account: str
    domains: list[str]
    chain: str
    revoked: int | None = None


class Register:
    """All of it, read at the start and written whenever it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_bytes()) if path.exists() else {}
        self.accounts = {each["id"]: Account(**each) for each in kept.get("accounts", ())}
        self.orders = {each["id"]: Order(**each) for each in kept.get("orders", ())}
        self.certificates = {each["id"]: Issued(**each) for each in kept.get("certificates", ())}
        self.authorizations = {
            each["id"]: Authorization(**{**each, "challenges": [Challenge(**one) for one in each["challenges"]]})
            for each in kept.get("authorizations", ())
        }

    def save(self) -> None:
        """Write it down; after a crash either the old or the new state is there."""
        tables = ("accounts", "orders", "certificates", "authorizations")
        content = {name: [asdict(each) for each in getattr(self, name).values()] for name in tables}
        write_durably(self._path, json.dumps(content).encode(), 0o600)

    def account_of(self, key: JWK) -> Account | None:
        """The account with that key."""
        sought = jws.thumbprint(key)
        return next((each for each in self.accounts.values() if jws.thumbprint(each.jwk) == sought), None)

    def status_of(self, order: Order, now: float) -> str:
        """pending, ready, valid or invalid (RFC 8555 §7.1.6)."""
        if order.certificate:
            return "valid"
        found = {self.authorizations[each].status for each in order.authorizations}
        if found - {"pending", "valid"} or now > order.expires:
            return "invalid"
        return "pending" if "pending" in found else "ready"


def new_id() -> str:
    """An id that nobody can guess, safe in paths."""
    return secrets.token_urlsafe(16)
