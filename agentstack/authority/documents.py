# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority's resources as JSON (RFC 8555 §7.1)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from agentstack.authority.register import Account, Authorization, Challenge, Order, Register

Document = dict[str, Any]


class Documents:
    """Resources with the URLs of those that they refer to; `base` is what all of these begin with, `now` the time."""

    def __init__(self, base: str, register: Register, now: Callable[[], float]) -> None:
        self._base = base
        self._register = register
        self._now = now

    def account_url(self, ident: str) -> str:
        """Where an account is."""
        return f"{self._base}/account/{ident}"

    def order_url(self, ident: str) -> str:
        """Where an order is."""
        return f"{self._base}/order/{ident}"

    def authorization_url(self, ident: str) -> str:
        """Where an authorization is."""
        return f"{self._base}/authorization/{ident}"

    def directory(self, *, external: bool) -> Document:
        """What there is, and what has to be agreed to; `external`: accounts have to be bound to one elsewhere."""
        return {
            "newNonce": f"{self._base}/new-nonce",
            "newAccount": f"{self._base}/new-account",
            "newOrder": f"{self._base}/new-order",
            "revokeCert": f"{self._base}/revoke",
            "keyChange": f"{self._base}/key-change",
            "meta": {
                "termsOfService": f"{self._base}/terms",
                **({"externalAccountRequired": True} if external else {}),
            },
        }

    def account(self, account: Account) -> Document:
        """An account."""
        found: Document = {
            "status": account.status,
            "contact": account.contact,
            "termsOfServiceAgreed": account.agreed,
            "orders": f"{self.account_url(account.id)}/orders",
        }
        return found | ({"externalAccountBinding": account.external} if account.external else {})

    def order(self, order: Order) -> Document:
        """An order; when one of its proofs failed, with why."""
        own = [self._register.authorizations[each] for each in order.authorizations]
        failed = next((way.error for each in own for way in each.challenges if way.error), None)
        found: Document = {
            "status": self._register.status_of(order, self._now()),
            "expires": _moment(order.expires),
            "identifiers": [{"type": "dns", "value": domain} for domain in order.domains],
            "authorizations": [self.authorization_url(each) for each in order.authorizations],
            "finalize": f"{self.order_url(order.id)}/finalize",
        }
        found |= {"certificate": f"{self._base}/certificate/{order.certificate}"} if order.certificate else {}
        return found | ({"error": failed} if failed else {})

    def authorization(self, found: Authorization) -> Document:
        """An authorization; once it is decided, with the challenge that decided it only."""
        decided = [each for each in found.challenges if each.status in ("valid", "invalid")]
        return {
            "status": found.status,
            "expires": _moment(found.expires),
            "identifier": {"type": "dns", "value": found.domain},
            "challenges": [self.challenge(found, each) for each in decided or found.challenges],
            **({"wildcard": True} if found.wildcard else {}),
        }

    def challenge(self, found: Authorization, challenge: Challenge) -> Document:
        """A way to prove it."""
        return {
            "type": challenge.type,
            "url": f"{self._base}/challenge/{found.id}/{challenge.type}",
            "status": challenge.status,
            "token": challenge.token,
            **({"validated": _moment(challenge.validated)} if challenge.validated else {}),
            **({"error": challenge.error} if challenge.error else {}),
        }


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).isoformat().replace("+00:00", "Z")
