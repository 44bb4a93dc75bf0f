# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what on a backup server: users and tokens, tickets, access control, all below /etc/proxmox-backup."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agentstack import pam
from agentstack.access.identity import ROOT, Identity, Unauthorized
from agentstack.access.tickets import Signer
from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.pbs.roles import PRIVILEGES, Acl
from agentstack.pbs.sections import CONFIG, USERS, Sections

if TYPE_CHECKING:
    from agentstack.host import Host

PUBLIC_KEY, PRIVATE_KEY, CSRF_KEY = "authkey.pub", "authkey.key", "csrf.key"
SHADOW, TOKENS, ACL = "shadow.json", "token.shadow", "acl.cfg"
KEY_BITS = 2048

PREFIX = "PBS"
FAILED = "authentication failed"
DENIED = "permission check failed"


class Access:
    """The accounts of one backup server."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder = host.root / CONFIG
        self._proven: dict[str, tuple[str, bytes]] = {}

    def install(self) -> None:
        """Make keys and root@pam where they are missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / PUBLIC_KEY).exists():
            key = rsa.generate_private_key(65537, KEY_BITS)
            private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            write_durably(self.folder / PRIVATE_KEY, private)
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            write_durably(self.folder / PUBLIC_KEY, public)
        if not (self.folder / CSRF_KEY).exists():
            write_durably(self.folder / CSRF_KEY, f"{secrets.token_hex(32)}\n".encode())
        keys = [(self.folder / name).read_bytes() for name in (PRIVATE_KEY, PUBLIC_KEY, CSRF_KEY)]
        self.signer = Signer(PREFIX, keys[0], keys[1], keys[2])
        users = self.users
        if ROOT not in users.of("user"):
            users.of("user")[ROOT] = {}
            USERS.write(self.host, users)

    # --- accounts ---

    @property
    def users(self) -> Sections:
        """user.cfg as it is: sections `user` and `token`. What is changed has to be written with `store_users`."""
        return USERS.read(self.host)

    def store_users(self, users: Sections) -> None:
        """Write user.cfg."""
        USERS.write(self.host, users)

    def is_enabled(self, authid: str) -> bool:
        """Whether a user, or a token and its user, exist, are switched on and have not expired."""
        users = self.users
        userid, mark, _ = authid.partition("!")
        sections = [users.of("user").get(userid), *([users.of("token").get(authid)] if mark else [])]
        now = self.host.clock.now()
        return all(
            values is not None and values.get("enable", True) and not 0 < values.get("expire", 0) <= now
            for values in sections
        )

    def exists(self, authid: str) -> bool:
        """Whether there is such a user or token."""
        return authid in self.users.of("token" if "!" in authid else "user")

    def password_fits(self, userid: str, password: str) -> bool:
        """Whether it is a user's password."""
        name, _, realm = userid.rpartition("@")
        if realm == "pam":
            return pam.check_password(self.host.root, name, password)
        return realm == "pbs" and pam.matches(password, self._secrets(SHADOW).get(name, "!"))

    def set_password(self, userid: str, password: str) -> None:
        """Store a password; raises AgentError for a realm that has none here."""
        name, _, realm = userid.rpartition("@")
        if realm == "pam":
            if not pam.has_user(self.host.root, name):
                raise AgentError(f"no such system user '{name}'")
            pam.set_password(self.host.root, name, password)
        elif realm == "pbs":
            self._store(SHADOW, {**self._secrets(SHADOW), name: pam.hashed(password)})
        else:
            raise AgentError("realm does not support setting a password")

    def forget_user(self, userid: str) -> None:
        """Remove what belongs to a deleted user: password, tokens' secrets, access."""
        name, _, realm = userid.rpartition("@")
        if realm == "pbs":
            self._store(SHADOW, {key: value for key, value in self._secrets(SHADOW).items() if key != name})
        tokens = self._secrets(TOKENS)
        self._store(TOKENS, {key: value for key, value in tokens.items() if not key.startswith(f"{userid}!")})
        acl = self.acl
        for subject in (userid, *(token for token in tokens if token.startswith(f"{userid}!"))):
            acl.forget(subject)
        self.store_acl(acl)

    def new_secret(self, token: str) -> str:
        """Make a token's secret; only its hash is kept."""
        value = "-".join(secrets.token_hex(size) for size in (4, 2, 2, 2, 6))
        self._store(TOKENS, {**self._secrets(TOKENS), token: pam.hashed(value)})
        return value

    def forget_token(self, token: str) -> None:
        """Remove a deleted token's secret and access."""
        self._store(TOKENS, {key: value for key, value in self._secrets(TOKENS).items() if key != token})
        acl = self.acl
        acl.forget(token)
        self.store_acl(acl)

    def _secrets(self, name: str) -> dict[str, str]:
        path = self.folder / name
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

    def _store(self, name: str, found: dict[str, str]) -> None:
        write_durably(self.folder / name, json.dumps(found).encode(), mode=0o600)

    # --- proving who one is ---

    def login(self, userid: str, password: str) -> None:
        """Check a password, or one's own ticket in its place; raises Unauthorized."""
        if not self.is_enabled(userid):
            raise Unauthorized(FAILED)
        if self.signer.verify(password, self.host.clock.now()) != userid and not self.password_fits(userid, password):
            raise Unauthorized(FAILED)

    def new_ticket(self, userid: str) -> tuple[str, str]:
        """A ticket and the CSRF token that belongs to it."""
        now = self.host.clock.now()
        return self.signer.ticket(userid, now), self.signer.csrf_token(userid, now)

    def by_ticket(self, ticket: str) -> Identity:
        """Who comes with a ticket; raises Unauthorized."""
        userid = self.signer.verify(ticket, self.host.clock.now())
        if userid is None or not self.is_enabled(userid):
            raise Unauthorized(FAILED)
        return Identity(userid)

    def by_token(self, text: str) -> Identity:
        """Who comes with `user@realm!name:secret`; raises Unauthorized."""
        token, _, secret = text.partition(":")
        if "!" not in token or not self.is_enabled(token):
            raise Unauthorized(FAILED)
        stored, digest = self._secrets(TOKENS).get(token, "!"), hashlib.sha256(secret.encode()).digest()
        if self._proven.get(token) != (stored, digest):
            if not pam.matches(secret, stored):
                raise Unauthorized(FAILED)
            # hashing the secret is made to be slow, and a token comes with every request
            self._proven[token] = (stored, digest)
        return Identity(token.partition("!")[0], token)

    def verify_csrf(self, identity: Identity, token: str) -> bool:
        """Whether a write may be made on the strength of a ticket."""
        return self.signer.verify_csrf(token, identity.userid, self.host.clock.now())

    # --- permissions ---

    @property
    def acl(self) -> Acl:
        """acl.cfg; what is changed has to be written with `store_acl`."""
        path = self.folder / ACL
        return Acl.parse(path.read_text(encoding="utf-8")) if path.exists() else Acl()

    def store_acl(self, acl: Acl) -> None:
        """Write acl.cfg."""
        write_durably(self.folder / ACL, acl.format().encode())

    def acl_digest(self) -> bytes:
        """What the digest of acl.cfg is made of."""
        path = self.folder / ACL
        return path.read_bytes() if path.exists() else b""

    def groups_of(self, userid: str) -> list[str]:
        """A backup server has no groups."""
        return []

    def permissions(self, authid: str, path: str) -> dict[str, bool]:
        """Privilege → propagate on a path; a token never has more than its user."""
        userid, mark, _ = authid.partition("!")
        found = dict.fromkeys(sorted(PRIVILEGES), True) if userid == ROOT else self.acl.privileges(userid, path)
        if not mark:
            return found
        own = self.acl.privileges(authid, path)
        return {privilege: own[privilege] and propagate for privilege, propagate in found.items() if privilege in own}

    def may(self, identity: Identity, path: str, privs: Iterable[str], any: bool = False) -> bool:
        """Whether somebody has all (or any) of some privileges on a path."""
        if identity.is_root:
            return True
        found = self.permissions(identity.authid, path)
        hits = [privilege in found for privilege in privs]
        return True in hits if any else False not in hits

    def check(self, identity: Identity, path: str, privs: Iterable[str], any: bool = False) -> None:
        """Raise the 403 of facts §20.1 if `may` says no."""
        if not self.may(identity, path, privs, any=any):
            raise AgentError(DENIED, status=403)
