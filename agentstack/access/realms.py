# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Realms: where users' passwords are, in domains.cfg (facts §17).

The two built-in realms are always there. Logins to OpenID providers are refused: a stack has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack._shared.property_string import parse_property_string
from agentstack.errors import AgentError
from agentstack.sections import Entry, Kind, SectionFile, SectionType, check_digest

if TYPE_CHECKING:
    from agentstack.access.directory import Directory
    from agentstack.host import Host

TEXTS = {
    "exists": "domain '{realm}' already exists",
    "missing": "domain '{realm}' does not exist",
    "builtin_type": "unable to create builtin type '{type}'",
    "builtin": "unable to delete builtin realm '{realm}'",
    "unreachable": "failed to connect to {server}:{port}",
    "nothing": "no options specified",
}

BUILTIN = {"pam": "Linux PAM standard authentication", "pve": "Proxmox VE authentication server"}

TFA_SCHEMA: Mapping[str, Mapping[str, Any]] = {
    "type": {"type": "string", "enum": ["yubico", "oath"]},
    "id": {"type": "string", "optional": 1},
    "key": {"type": "string", "optional": 1},
    "url": {"type": "string", "optional": 1},
    "digits": {"type": "integer", "minimum": 6, "maximum": 8, "optional": 1},
    "step": {"type": "integer", "minimum": 10, "optional": 1},
}
SYNC_SCHEMA: Mapping[str, Mapping[str, Any]] = {
    "scope": {"type": "string", "enum": ["users", "groups", "both"], "optional": 1},
    "remove-vanished": {
        "type": "string",
        "pattern": r"(?:(?:(?:acl|properties|entry);)*(?:acl|properties|entry))|none",
        "optional": 1,
    },
    "enable-new": {"type": "boolean", "optional": 1},
    "full": {"type": "boolean", "optional": 1},
    "purge": {"type": "boolean", "optional": 1},
}

_BASIC = frozenset({"comment", "default", "tfa"})
_DIRECTORY = frozenset(
    {
        *(*_BASIC, "base_dn", "bind_dn", "capath", "case-sensitive", "cert", "certkey", "filter", "group_classes"),
        *("group_dn", "group_filter", "group_name_attr", "mode", "port", "secure", "server2", "sslversion"),
        *("sync-defaults-options", "sync_attributes", "user_attr", "user_classes", "verify"),
    }
)
_OPENID = frozenset(
    {
        *("acr-values", "audiences", "autocreate", "client-key", "comment", "default", "groups-autocreate"),
        *("groups-claim", "groups-overwrite", "prompt", "query-userinfo", "scopes"),
    }
)

DOMAINS_CFG = SectionFile(
    "domains.cfg",
    "file-domains_cfg",
    {
        "pam": SectionType((), frozenset(), _BASIC),
        "pve": SectionType((), frozenset(), _BASIC),
        "ldap": SectionType(("server1", "base_dn", "user_attr"), frozenset(), _DIRECTORY),
        "ad": SectionType(("server1", "domain"), frozenset(), _DIRECTORY),
        "openid": SectionType(("issuer-url", "client-id"), frozenset({"username-claim"}), _OPENID),
    },
    {
        "port": "integer",
        **dict[str, Kind].fromkeys(
            (
                *("autocreate", "case-sensitive", "default", "groups-autocreate", "groups-overwrite"),
                *("query-userinfo", "secure", "verify"),
            ),
            "boolean",
        ),
    },
)

_PORTS = {"ldap": 389, "ldap+starttls": 389, "ldaps": 636}
TIMEOUT = 5.0
"""Real seconds that a directory has to take a connection in."""


class Realms:
    """The realms of a cluster."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def read(self) -> tuple[dict[str, Entry], str]:
        """All realms, the built-in ones included, and the digest of the file."""
        entries, digest = DOMAINS_CFG.read(self.host)
        for realm, comment in BUILTIN.items():
            entry = entries.setdefault(realm, Entry(realm, realm))
            entry.values.setdefault("comment", comment)
        return entries, digest

    def get(self, realm: str) -> tuple[Entry, str]:
        """One realm and the digest of the file. Raises AgentError."""
        entries, digest = self.read()
        return _require(entries, realm), digest

    def requires_factor(self, userid: str) -> bool:
        """Whether the realm of a user lets nobody in without a second factor."""
        entry = self.read()[0].get(userid.rpartition("@")[2])
        return entry is not None and "tfa" in entry.values

    def factor_type(self, entry: Entry) -> str | None:
        """`oath` or `yubico`, where a realm demands it."""
        text = entry.values.get("tfa")
        return str(parse_property_string(text, TFA_SCHEMA)["type"]) if text else None

    async def create(self, realm: str, kind: str, values: dict[str, Any]) -> None:
        """Add a realm."""
        probe = values.pop("check-connection", 0)
        secret = values.pop("password", None)
        async with DOMAINS_CFG.locked(self.host, "add auth server failed: "):
            entries, _ = self.read()
            if realm in entries:
                raise AgentError(TEXTS["exists"].format(realm=realm))
            if kind in BUILTIN:
                raise AgentError(TEXTS["builtin_type"].format(type=kind))
            DOMAINS_CFG.check_create(kind, values)
            entries[realm] = Entry(realm, kind, values)
            await self._write(entries, entries[realm], probe, secret)

    async def update(self, realm: str, values: dict[str, Any], delete: str | None, digest: str | None) -> None:
        """Change a realm."""
        probe = values.pop("check-connection", 0)
        secret = values.pop("password", None)
        if not values and not delete and secret is None:
            raise AgentError(TEXTS["nothing"])
        async with DOMAINS_CFG.locked(self.host, "update auth server failed: "):
            entries, present = self.read()
            check_digest(present, digest)
            entry = _require(entries, realm)
            gone = [name for name in (delete or "").replace(";", ",").split(",") if name]
            if "password" in gone:
                await self._forget_secret(realm)
            DOMAINS_CFG.check_update(entry.type, values)
            DOMAINS_CFG.apply(entry, values, ",".join(name for name in gone if name != "password"))
            await self._write(entries, entry, probe, secret)

    async def delete(self, realm: str) -> None:
        """Remove a realm; its users stay and cannot log in any more."""
        async with DOMAINS_CFG.locked(self.host, "delete auth server failed: "):
            entries, _ = self.read()
            _require(entries, realm)
            if realm in BUILTIN:
                raise AgentError(TEXTS["builtin"].format(realm=realm))
            del entries[realm]
            await self._forget_secret(realm)
            await DOMAINS_CFG.write(self.host, entries.values())

    async def _write(self, entries: dict[str, Entry], entry: Entry, probe: int, secret: str | None) -> None:
        if entry.values.get("default"):
            for other in entries.values():
                if other is not entry:
                    other.values.pop("default", None)
        if probe and entry.type in ("ad", "ldap"):
            await _connect(entry.values)
        if secret is not None:
            directory = "priv/realm"
            if not self.host.files.is_directory(directory):
                await self.host.files.mkdir(directory, exist_ok=True)
            await self.host.files.write(f"{directory}/{entry.id}.pw", secret)
        await DOMAINS_CFG.write(self.host, entries.values())

    async def _forget_secret(self, realm: str) -> None:
        path = f"priv/realm/{realm}.pw"
        if self.host.files.exists(path):
            await self.host.files.delete(path)


def directory_of(host: Host, entry: Entry) -> Directory:
    """A realm's directory; its password lies in priv/realm."""
    # loaded by who asks a directory: most hosts never do, and its client takes 5 MiB
    from agentstack.access.directory import Directory

    password = host.files.read_text(f"priv/realm/{entry.id}.pw", default="") or None
    source = host.network.source(str(entry.values.get("server1", "")))
    return Directory(entry.type, entry.values, password, source, host.root)


def _require(entries: Mapping[str, Entry], realm: str) -> Entry:
    if realm not in entries:
        raise AgentError(TEXTS["missing"].format(realm=realm))
    return entries[realm]


async def _connect(values: Mapping[str, Any]) -> None:
    """Raise AgentError unless one of the directory's servers is there."""
    port = values.get("port", _PORTS["ldaps" if values.get("secure") else values.get("mode", "ldap")])
    for server in filter(None, (values["server1"], values.get("server2"))):
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(server, port), TIMEOUT)
        except (OSError, TimeoutError, UnicodeError):
            # the last: what cannot be the name of a server at all
            continue
        writer.close()
        return
    raise AgentError(TEXTS["unreachable"].format(server=values["server1"], port=port))
