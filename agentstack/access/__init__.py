# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what on a cluster's nodes: accounts, tickets, tokens and access control, all kept in /etc/pve."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agentstack import pam
from agentstack.access import acl
from agentstack.access.identity import ROOT, Identity, Unauthorized
from agentstack.access.realms import Realms, directory_of
from agentstack.access.roles import builtin_roles, privileges
from agentstack.access.second_factor import HALF, SecondFactors
from agentstack.access.tickets import Signer
from agentstack.access.user_cfg import UserCfg, format_user_cfg, parse_user_cfg
from agentstack.errors import AgentError, ParameterError

if TYPE_CHECKING:
    from agentstack.host import Host

__all__ = ["ROOT", "Access", "Identity", "Unauthorized"]

PUBLIC_KEY, OLD_KEY, PRIVATE_KEY, CSRF_KEY = "authkey.pub", "authkey.pub.old", "priv/authkey.key", "pve-www.key"
USERS, SHADOW, TOKENS = "user.cfg", "priv/shadow.cfg", "priv/token.cfg"
KEY_BITS = 2048
KEY_LIFE = 24 * 60 * 60
"""Seconds (wall clock) after which a new key signs tickets; the one before is good for those that it has signed."""

PREFIX = "PVE"


class Access:
    """A node's view of the cluster's accounts."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._cfg: tuple[str, UserCfg] = ("", parse_user_cfg(""))
        self._signer: tuple[bytes, Signer] | None = None
        self.factors = SecondFactors(host)
        self.realms = Realms(host)

    async def start(self) -> None:
        """Make the keys of tickets where the cluster has none yet."""
        files = self.host.files
        if files.mounted and not files.exists(PUBLIC_KEY):
            await self._new_key()
        if files.mounted and not files.exists(CSRF_KEY):
            await files.write(CSRF_KEY, secrets.token_hex(32) + "\n")

    async def stop(self) -> None:
        """Nothing runs by itself here."""

    async def _new_key(self) -> None:
        key = rsa.generate_private_key(65537, KEY_BITS)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        await self.host.files.write(PRIVATE_KEY, private)
        await self.host.files.write(PUBLIC_KEY, public)

    def _key_is_old(self) -> bool:
        return self.host.clock.now() - self.host.files.mtime(PUBLIC_KEY) >= KEY_LIFE

    async def rotate_key(self) -> None:
        """Sign with a new key when the present one is a day old; never without quorum (facts §3.1)."""
        files = self.host.files
        if not files.mounted or not files.quorate or not files.exists(PUBLIC_KEY) or not self._key_is_old():
            return
        async with files.lock("authkey"):
            # another node may have been faster
            if self._key_is_old():
                await files.write(OLD_KEY, files.read(PUBLIC_KEY))
                await self._new_key()

    @property
    def cfg(self) -> UserCfg:
        """The current user.cfg; not to be changed (see `editing`)."""
        text = self.host.files.read_text(USERS, default="")
        if text != self._cfg[0]:
            self._cfg = (text, parse_user_cfg(text))
        return self._cfg[1]

    @asynccontextmanager
    async def editing(self, failed: str) -> AsyncIterator[UserCfg]:
        """Change user.cfg under its lock; errors get `failed: ` before them, as observed for every write here."""
        try:
            async with self.host.files.lock("file-user_cfg"):
                cfg = parse_user_cfg(self.host.files.read_text(USERS, default=""))
                yield cfg
                await self.host.files.write(USERS, format_user_cfg(cfg))
        except ParameterError:
            raise
        except AgentError as error:
            raise AgentError(f"{failed}: {error.message}", status=error.status) from error

    # --- accounts ---

    def is_enabled(self, userid: str) -> bool:
        """Whether a user exists, is not switched off and has not expired."""
        user = self.cfg.users.get(userid)
        return user is not None and user.enable and not 0 < user.expire <= self.host.clock.now()

    def password_fits(self, userid: str, password: str) -> bool:
        """Whether it is a user's password in one of the built-in realms; of others nobody is known here."""
        name, _, realm = userid.rpartition("@")
        if realm == "pam":
            return pam.check_password(self.host.root, name, password)
        return realm == "pve" and pam.matches(password, self._secrets(SHADOW, ":").get(name, "!"))

    async def set_password(self, userid: str, password: str) -> None:
        """Store a password: pve in the cluster's shadow file, pam on this node alone (facts §17)."""
        name, _, realm = userid.rpartition("@")
        if realm == "pam":
            if not pam.has_user(self.host.root, name):
                raise AgentError(f"change password failed: user '{name}' does not exist")
            pam.set_password(self.host.root, name, password)
        elif realm == "pve":
            async with self.host.files.lock("file-priv_shadow_cfg"):
                await self._store(SHADOW, ":", {**self._secrets(SHADOW, ":"), name: pam.hashed(password)})
        else:
            raise AgentError("can't change password - authentication server does not support it")

    async def forget_password(self, userid: str) -> None:
        """Remove a deleted user's password."""
        name, _, realm = userid.rpartition("@")
        found = self._secrets(SHADOW, ":")
        if realm == "pve" and found.pop(name, None) is not None:
            await self._store(SHADOW, ":", found)

    def token_secrets(self) -> dict[str, str]:
        """The secrets of all API tokens by full token id."""
        return self._secrets(TOKENS, " ")

    async def store_token_secrets(self, found: dict[str, str]) -> None:
        """Write the secrets of all API tokens."""
        await self._store(TOKENS, " ", found)

    def _secrets(self, path: str, separator: str) -> dict[str, str]:
        lines = self.host.files.read_text(path, default="").splitlines()
        parts = (line.rstrip(":").partition(separator) for line in lines if line)
        return {name: secret for name, _, secret in parts}

    async def _store(self, path: str, separator: str, found: dict[str, str]) -> None:
        end = ":" if separator == ":" else ""
        await self.host.files.write(
            path, "".join(f"{name}{separator}{secret}{end}\n" for name, secret in sorted(found.items()))
        )

    # --- proving who one is ---

    @property
    def signer(self) -> Signer:
        """The cluster's current keys. While the cluster file system restarts nobody can be recognised (facts §6.2)."""
        files = self.host.files
        if not files.mounted:
            raise Unauthorized()
        try:
            public = files.read(PUBLIC_KEY)
            if self._signer is None or self._signer[0] != public:
                old = files.read(OLD_KEY) if files.exists(OLD_KEY) else b""
                signer = Signer(PREFIX, files.read(PRIVATE_KEY), public, files.read(CSRF_KEY), old)
                self._signer = (public, signer)
        except FileNotFoundError:
            raise Unauthorized() from None
        return self._signer[1]

    async def login(self, userid: str, password: str) -> None:
        """Check a password, or a ticket in its place: one's own, or root@pam's for anybody (facts §3.1)."""
        if not self.is_enabled(userid):
            raise Unauthorized("authentication failure")
        if not self._renews(userid, password) and not await self._is_password(userid, password):
            raise Unauthorized("authentication failure")

    async def _is_password(self, userid: str, password: str) -> bool:
        """A directory is asked; it may take its time."""
        name, _, realm = userid.rpartition("@")
        entry = self.realms.read()[0].get(realm)
        if entry is None or entry.type not in ("ad", "ldap"):
            return self.password_fits(userid, password)
        return await asyncio.to_thread(directory_of(self.host, entry).check, name, password)

    def _renews(self, userid: str, password: str) -> bool:
        return self.signer.verify(password, self.host.clock.now()) in (userid, ROOT)

    async def sign_in(self, userid: str, password: str, otp: str | None, challenge: str | None) -> str | None:
        """Check password and second factor; a half ticket if that is still to come (facts §3.2), else None."""
        if challenge is not None:
            asked = self.signer.verify(challenge, self.host.clock.now(), bound=userid)
            if otp is not None or not self.is_enabled(userid) or not (asked or "").startswith(HALF):
                raise Unauthorized("authentication failure")
            await self.factors.check(userid, password)
            return None
        await self.login(userid, password)
        # who renews a ticket has shown everything before
        question = None if self._renews(userid, password) else self.factors.question(userid)
        if question is None:
            if self.realms.requires_factor(userid) and not self._renews(userid, password):
                raise Unauthorized("authentication failure")
            return None
        if otp is None:
            return self.signer.ticket(question, self.host.clock.now(), bound=userid)
        await self.factors.check(userid, otp)
        return None

    def new_ticket(self, userid: str) -> tuple[str, str]:
        """A ticket and the CSRF token that belongs to it."""
        now = self.host.clock.now()
        return self.signer.ticket(userid, now), self.signer.csrf_token(userid, now)

    def by_ticket(self, ticket: str) -> Identity:
        """Who comes with a ticket; raises Unauthorized."""
        userid = self.signer.verify(ticket, self.host.clock.now())
        if userid is None or not self.is_enabled(userid):
            raise Unauthorized()
        return Identity(userid)

    def by_token(self, text: str) -> Identity:
        """Who comes with `user@realm!name=secret`; raises Unauthorized."""
        token, _, secret = text.partition("=")
        userid, _, name = token.partition("!")
        if not self.host.files.mounted or not self.is_enabled(userid):
            raise Unauthorized()
        found = self.cfg.users[userid].tokens.get(name)
        expected = self.token_secrets().get(token, "")
        if found is None or not expected or not secrets.compare_digest(secret.encode(), expected.encode()):
            raise Unauthorized()
        if 0 < found.expire <= self.host.clock.now():
            raise Unauthorized()
        return Identity(userid, token)

    def verify_csrf(self, identity: Identity, token: str) -> bool:
        """Whether a write may be made on the strength of a ticket."""
        return self.signer.verify_csrf(token, identity.userid, self.host.clock.now())

    # --- permissions ---

    def groups_of(self, userid: str) -> list[str]:
        """The groups of a user."""
        return self.cfg.groups_of(userid)

    def permissions(self, authid: str, path: str) -> dict[str, bool]:
        """Privilege → propagate that a user or token (`user@realm!name`) has on a path."""
        cfg, builtin = self.cfg, builtin_roles(self.host.release)
        userid, mark, name = authid.partition("!")
        if userid == ROOT:
            found = dict.fromkeys(privileges(self.host.release), True)
        else:
            found = acl.privileges_of(cfg, builtin, userid, path)
        if not mark:
            return found
        user = cfg.users.get(userid)
        token = user.tokens.get(name) if user else None
        if token is None:
            return {}
        if not token.privsep:
            return found
        own = acl.privileges_of(cfg, builtin, authid, path)
        return {privilege: own[privilege] and propagate for privilege, propagate in found.items() if privilege in own}

    def may(self, identity: Identity, path: str, privs: Iterable[str], any: bool = False) -> bool:
        """Whether somebody has all (or any) of some privileges on a path."""
        if identity.is_root:
            return True
        found = self.permissions(identity.authid, path)
        hits = [privilege in found for privilege in privs]
        return True in hits if any else False not in hits

    def check(self, identity: Identity, path: str, privs: Iterable[str], any: bool = False) -> None:
        """Raise the 403 of facts §1.3 if `may` says no.

        It names all privileges if any of them would do, else the first one that is missing.
        """
        wanted = list(privs)
        if self.may(identity, path, wanted, any=any):
            return
        found = self.permissions(identity.authid, path)
        missing = wanted if any else [privilege for privilege in wanted if privilege not in found][:1]
        raise AgentError(f"Permission check failed ({path}, {'|'.join(missing)})", status=403)
