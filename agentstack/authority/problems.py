# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the authority says no with (RFC 8555 §6.7)."""

from __future__ import annotations

from typing import Any

STATUS = {
    "accountDoesNotExist": 400,
    "alreadyRevoked": 400,
    "badCSR": 400,
    "badNonce": 400,
    "badPublicKey": 400,
    "badRevocationReason": 400,
    "badSignatureAlgorithm": 400,
    "connection": 400,
    "dns": 400,
    "externalAccountRequired": 403,
    "incorrectResponse": 403,
    "invalidContact": 400,
    "malformed": 400,
    "orderNotReady": 403,
    "rateLimited": 429,
    "rejectedIdentifier": 400,
    "unauthorized": 403,
    "unsupportedContact": 400,
    "unsupportedIdentifier": 400,
    "userActionRequired": 403,
}
PREFIX = "urn:ietf:params:acme:error:"


class Problem(Exception):
    """A refusal: its `kind` is one of STATUS. `more` goes into the document, `headers` into the answer's head."""

    def __init__(self, kind: str, detail: str, *, status: int | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status or STATUS[kind]
        self.more = more
        self.headers: dict[str, str] = {}

    def describe(self) -> dict[str, Any]:
        """The problem document (RFC 7807)."""
        return {"type": f"{PREFIX}{self.kind}", "detail": self.detail, "status": self.status, **self.more}
