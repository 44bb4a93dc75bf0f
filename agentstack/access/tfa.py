# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Second factors: time-based codes and recovery keys, by user, in priv/tfa.cfg (facts §3.2).

The file is JSON: `{"users": {"root@pam": {"totp": [{"id", "description", "created", "enable"?, "entry": "otpauth://…"}],
"recovery": {"secret", "entries": [hash or null], "created"}, "totp-locked"?, "tfa-locked-until"?}}}`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from agentstack.errors import AgentError

FILE = "priv/tfa.cfg"
LOCK = "file-priv_tfa_cfg"

TEXTS = {
    "missing": "no such tfa entry '{id}'",
    "uri": "invalid totp uri",
    "no_uri": "missing 'totp' parameter",
    "no_value": "missing 'value' parameter",
    "no_description": "'description' is required for new entries",
    "wrong": "failed to verify TOTP challenge",
    "recovery_exists": "user already has recovery keys",
    "recovery_plain": "generating recovery tokens does not allow additional parameters",
    "webauthn": "no webauthn configuration available",
    "u2f": "no u2f configuration available",
    "yubico": "no yubico configuration available",
}

SHOWN = ("id", "description", "created", "enable")
RECOVERY_KEYS = 10
TOTP_LIMIT = 8
"""Wrong codes in a row after which codes are refused until somebody unlocks the user, or a recovery key is used."""
TFA_LIMIT = 100
LOCKED_FOR = 60 * 60
"""Seconds for which all factors are refused after TFA_LIMIT failures."""

_ALGORITHMS: Mapping[str, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA512]] = {
    "SHA1": hashes.SHA1,
    "SHA256": hashes.SHA256,
    "SHA512": hashes.SHA512,
}

Data = dict[str, Any]
"""One user's part of the file."""


@dataclass(frozen=True)
class Totp:
    """A time-based code: RFC 6238."""

    secret: bytes
    digits: int = 6
    period: int = 30
    algorithm: str = "SHA1"

    @classmethod
    def from_uri(cls, uri: str) -> Totp:
        """From `otpauth://totp/LABEL?secret=BASE32&digits=6&period=30&algorithm=SHA1`; raises AgentError."""
        parts = urlsplit(uri)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            text = query["secret"].upper()
            secret = base64.b32decode(text + "=" * (-len(text) % 8))
            found = cls(
                secret,
                int(query.get("digits", 6)),
                int(query.get("period", 30)),
                query.get("algorithm", "SHA1").upper(),
            )
        except (KeyError, ValueError, binascii.Error):
            raise AgentError(TEXTS["uri"]) from None
        fits = found.digits in (6, 7, 8) and found.period > 0 and found.algorithm in _ALGORITHMS and secret
        if (parts.scheme, parts.netloc) != ("otpauth", "totp") or not fits:
            raise AgentError(TEXTS["uri"])
        return found

    def count(self, code: str, now: float) -> int | None:
        """The period that a code belongs to: this one, the one before or the one after; None for a wrong code."""
        algorithm = _ALGORITHMS[self.algorithm]()
        device = TOTP(self.secret, self.digits, algorithm, self.period, enforce_key_length=False)
        for step in (0, -1, 1):
            try:
                device.verify(code.encode(), int(now) + step * self.period)
            except InvalidToken:
                continue
            return int(now) // self.period + step
        return None


def parse(text: str) -> dict[str, Data]:
    """The users of a file."""
    found: dict[str, Data] = json.loads(text)["users"] if text.strip() else {}
    return found


def format_tfa(users: Mapping[str, Data]) -> str:
    """Write a file; users without any factor are left out."""
    return json.dumps({"users": {name: data for name, data in sorted(users.items()) if entries(data)}})


def entries(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A user's factors as the API lists them."""
    rows = []
    for entry in data.get("totp", []):
        rows.append({"type": "totp", **{key: entry[key] for key in SHOWN if key in entry}})
    if recovery := data.get("recovery"):
        row = {"type": "recovery", "id": "recovery", "description": "recovery keys", "created": recovery["created"]}
        rows.append({**row, "enable": False} if recovery.get("enable") is False else row)
    # `enable` is shown only where it is off
    off = {"enable": 0}
    return [
        {**{key: value for key, value in row.items() if key != "enable"}, **({} if row.get("enable", True) else off)}
        for row in rows
    ]


def entry(data: Mapping[str, Any], ident: str) -> dict[str, Any]:
    """One factor as the API shows it; raises 404."""
    for row in entries(data):
        if row["id"] == ident:
            return row
    raise AgentError(TEXTS["missing"].format(id=ident), status=404)


def add_totp(data: Data, uri: str | None, value: str | None, description: str | None, now: float) -> str:
    """Add a time-based code whose present value proves that the device works; its id. Raises AgentError."""
    for given, text in ((uri, "no_uri"), (value, "no_value"), (description, "no_description")):
        if not given:
            raise AgentError(TEXTS[text])
    assert uri is not None
    assert value is not None
    if Totp.from_uri(uri).count(value, now) is None:
        raise AgentError(TEXTS["wrong"])
    ident = str(uuid.uuid4())
    data.setdefault("totp", []).append(
        {"id": ident, "description": description, "created": int(now), "enable": True, "entry": uri}
    )
    return ident


def add_recovery(data: Data, now: float) -> list[str]:
    """Make new recovery keys and give them, which is the only time they can be seen. Raises AgentError."""
    if data.get("recovery"):
        raise AgentError(TEXTS["recovery_exists"])
    secret = secrets.token_hex(8)
    keys = ["-".join(secrets.token_hex(2) for _ in range(4)) for _ in range(RECOVERY_KEYS)]
    data["recovery"] = {
        "secret": secret,
        "entries": [_recovery_hash(secret, key) for key in keys],
        "created": int(now),
    }
    return keys


def _recovery_hash(secret: str, key: str) -> str:
    return hmac.new(secret.encode(), key.encode(), hashlib.sha256).hexdigest()


def change(data: Data, ident: str, description: str | None, enable: bool | None) -> None:
    """Change what can be changed of a factor; raises 404."""
    entry(data, ident)
    found = data["recovery"] if ident == "recovery" else next(e for e in data["totp"] if e["id"] == ident)
    if description is not None:
        found["description"] = description
    if enable is not None:
        found["enable"] = enable


def remove(data: Data, ident: str) -> None:
    """Take a factor away; raises 404."""
    entry(data, ident)
    if ident == "recovery":
        del data["recovery"]
    else:
        data["totp"] = [other for other in data["totp"] if other["id"] != ident]


def types(data: Mapping[str, Any]) -> list[str]:
    """The kinds of factors that a user has switched on."""
    return list(dict.fromkeys(row["type"] for row in entries(data) if row.get("enable", 1)))


def challenge(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """What has to be answered after the password; None for a user without a second factor."""
    found: dict[str, Any] = {}
    known = types(data)
    if "totp" in known:
        found["totp"] = True
    if "recovery" in known:
        found["recovery"] = [number for number, each in enumerate(data["recovery"]["entries"]) if each]
    return found or None


@dataclass
class Outcome:
    """Of a second factor: whether it fits, and whether the user's data were changed by it."""

    fits: bool
    changed: bool = False


def verify(data: Data, response: str, now: float) -> Outcome:
    """Check `totp:123456` or `recovery:KEY`. A recovery key is used up; it unlocks what wrong codes have locked."""
    if data.get("tfa-locked-until", 0) > now:
        return Outcome(False)
    kind, _, value = response.partition(":")
    if kind == "totp" and not data.get("totp-locked"):
        for known in data.get("totp", []):
            count = Totp.from_uri(known["entry"]).count(value, now) if known.get("enable", True) else None
            if count is not None and count > known.get("last-count", -1):
                # no code is good for a second time
                known["last-count"] = count
                return Outcome(True, changed=True)
    recovery = data.get("recovery")
    if kind == "recovery" and recovery and recovery.get("enable", True):
        expected = _recovery_hash(recovery["secret"], value)
        for number, stored in enumerate(recovery["entries"]):
            if stored and hmac.compare_digest(stored, expected):
                recovery["entries"][number] = None
                data.pop("totp-locked", None)
                return Outcome(True, changed=True)
    return Outcome(False)


def lock(data: Data, kind: str, failures: int, now: float) -> bool:
    """Lock what has been tried wrongly too often; whether anything was locked."""
    if failures >= TFA_LIMIT:
        data["tfa-locked-until"] = int(now) + LOCKED_FOR
        return True
    if kind == "totp" and failures >= TOTP_LIMIT and not data.get("totp-locked"):
        data["totp-locked"] = True
        return True
    return False


def unlock(data: Data) -> bool:
    """Take locks away; whether there were any."""
    return any([data.pop("totp-locked", None) is not None, data.pop("tfa-locked-until", None) is not None])
