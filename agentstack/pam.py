# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The passwords of a host's system users: `etc/shadow` below its root. API (realm pam) and SSH ask here."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

SHADOW = "etc/shadow"

_COST, _BLOCK, _PARALLEL = 2**12, 8, 1
"""scrypt in 4 MiB and some milliseconds: the passwords are random, and many logins a second are normal here."""


def set_password(root: Path, user: str, password: str) -> None:
    """Set the password of a system user, who is created if need be."""
    path = root / SHADOW
    lines = _lines(path)
    lines[user] = f"{user}:{hashed(password)}:20000:0:99999:7:::"
    draft = path.with_name("shadow.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write("".join(f"{line}\n" for line in lines.values()))
    draft.rename(path)


def check_password(root: Path, user: str, password: str) -> bool:
    """Whether the user exists, has a password, and it is this one."""
    fields = _lines(root / SHADOW).get(user, "").split(":")
    return len(fields) > 1 and matches(password, fields[1])


def has_user(root: Path, user: str) -> bool:
    """Whether the host has such a system user."""
    return user in _lines(root / SHADOW)


def hashed(password: str) -> str:
    """A password as it stands in etc/shadow and in the cluster's priv/shadow.cfg."""
    return _hash(password, secrets.token_hex(8))


def matches(password: str, text: str) -> bool:
    """Whether a password is the one behind a hashed text; a locked account (`!`, `*`) has none."""
    if not text.startswith("$scrypt$"):
        return False
    return hmac.compare_digest(text, _hash(password, text.split("$")[2]))


def _lines(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return {line.partition(":")[0]: line for line in path.read_text(encoding="utf-8").splitlines() if line}


def _hash(password: str, salt: str) -> str:
    digest = hashlib.scrypt(password.encode(), salt=salt.encode(), n=_COST, r=_BLOCK, p=_PARALLEL, dklen=32)
    return f"$scrypt${salt}${digest.hex()}"
