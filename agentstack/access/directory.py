# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories behind the realms `ldap` and `ad`: who is in them, and whether a password is somebody's (facts §17).

A directory is spoken to from the node's own address, as its realm says: server, port, mode, bind_dn, filters.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from agentstack._shared.lists import split_list
from agentstack.errors import AgentError

PORTS = {"ldap": 389, "ldap+starttls": 389, "ldaps": 636}
AUTHORITIES, BUNDLE = "/etc/ssl/certs", "ca-certificates.crt"
"""Where a host has the authorities that it trusts, and all of them in one file."""
PATIENCE = 10
"""Real seconds for a connection, and for an answer."""
PAGE = 1000
"""Entries that a server is asked for at once."""

USER_CLASSES = "inetorgperson,posixaccount,person,user"
GROUP_CLASSES = "groupOfNames,group,univentionGroup,ipausergroup"
PROPERTIES = frozenset({"email", "firstname", "lastname", "comment", "keys", "expire", "enable"})
"""Settings of users that `sync_attributes` may name."""

TEXTS = {
    "unreachable": "failed to connect to {server}:{port}",
    "bind": "{what} failed: {why}",
    "no_authorities": "cannot verify the server: no certificates in /{path}",
    "no_attribute": "no 'user_attr' for realm type '{type}'",
}

# what user and group names may be made of (facts: the formats pve-userid and pve-groupid)
_USER = re.compile(r"[^\s:/]{1,60}")
_GROUP = re.compile(r"[A-Za-z0-9.\-_]+")


@dataclass
class Person:
    """A user as the directory has it: name, distinguished name, and the settings that attributes give."""

    name: str
    dn: str
    settings: dict[str, str] = field(default_factory=dict)


@dataclass
class Crowd:
    """A group, with the distinguished names of its members."""

    name: str
    dn: str
    members: set[str] = field(default_factory=set)


class Directory:
    """One realm's directory. Every call opens a connection and blocks: call it in a thread.

    `source`: the own address; `root`: the host's file system, in which the certificates are that it is told by.
    """

    def __init__(self, kind: str, values: Mapping[str, Any], password: str | None, source: str, root: Path) -> None:
        self._values = values
        self._password = password
        self._source = source
        self._root = root
        self._user_attr = str(values.get("user_attr") or ("sAMAccountName" if kind == "ad" else ""))
        if not self._user_attr:
            raise AgentError(TEXTS["no_attribute"].format(type=kind))
        self._mode = str(values.get("mode") or ("ldaps" if values.get("secure") else "ldap"))
        self._is_ad = kind == "ad"

    def check(self, name: str, password: str) -> bool:
        """Whether a password is that of a user: their own entry is bound to with it."""
        if not password:
            # an empty one would bind anonymously, which proves nothing (RFC 4513 §5.1.2)
            return False
        with self._open() as connection:
            found = self._search(connection, self._base, f"({self._user_attr}={escape_filter_chars(name)})", [])
        if len(found) != 1 and not self._is_ad:
            return False
        dn = f"{name}@{self._values['domain']}" if self._is_ad else str(found[0]["dn"])
        try:
            self._open(dn, password).unbind()
        except AgentError:
            return False
        return True

    def users(self) -> list[Person]:
        """All users that the realm's filter and classes let through."""
        wanted = {
            setting.strip(): attribute.strip()
            for setting, _, attribute in (part.partition("=") for part in self._listed("sync_attributes", ""))
            if setting.strip() in PROPERTIES
        }
        with self._open() as connection:
            query = _filter(self._values.get("filter"), self._listed("user_classes", USER_CLASSES))
            rows = self._search(connection, self._base, query, [self._user_attr, *wanted.values()])
        people = []
        for row in rows:
            name = _first(row, self._user_attr)
            if name is None or not _USER.fullmatch(name):
                continue
            known = {setting: _first(row, attribute) for setting, attribute in wanted.items()}
            settings = {setting: value for setting, value in known.items() if value is not None}
            people.append(Person(name, str(row["dn"]).lower(), settings))
        return people

    def groups(self) -> list[Crowd]:
        """All groups that the realm's filter and classes let through."""
        name_attr = str(self._values.get("group_name_attr") or "cn")
        with self._open() as connection:
            query = _filter(self._values.get("group_filter"), self._listed("group_classes", GROUP_CLASSES))
            base = str(self._values.get("group_dn") or self._base)
            rows = self._search(connection, base, query, [name_attr, "member", "uniqueMember"])
        crowds = []
        for row in rows:
            name = _first(row, name_attr)
            if name is None or not _GROUP.fullmatch(name):
                continue
            members = {value.lower() for attribute in ("member", "uniqueMember") for value in _all(row, attribute)}
            crowds.append(Crowd(name, str(row["dn"]).lower(), members))
        return crowds

    @property
    def _base(self) -> str:
        base = self._values.get("base_dn")
        if base:
            return str(base)
        return ",".join(f"dc={part}" for part in str(self._values.get("domain", "")).split("."))

    def _listed(self, name: str, default: str) -> list[str]:
        return split_list(str(self._values.get(name) or default))

    def _open(self, dn: str | None = None, password: str | None = None) -> ldap3.Connection:
        """A connection bound as `dn`, else as the realm says (anonymously without bind_dn). Raises AgentError."""
        if dn is None:
            dn, password = self._values.get("bind_dn"), self._password
        port = int(self._values.get("port") or PORTS[self._mode])
        tls = self._tls() if self._mode != "ldap" else None
        last: Exception | None = None
        for name in filter(None, (self._values.get("server1"), self._values.get("server2"))):
            server = ldap3.Server(
                str(name), port, use_ssl=self._mode == "ldaps", tls=tls, get_info=ldap3.NONE, connect_timeout=PATIENCE
            )
            try:
                connection = ldap3.Connection(
                    server,
                    user=dn,
                    password=password if dn else None,
                    source_address=self._source,
                    receive_timeout=PATIENCE,
                    raise_exceptions=True,
                    read_only=True,
                )
                connection.open()
            except (LDAPException, OSError) as error:
                last = error
                continue
            try:
                if self._mode == "ldap+starttls":
                    connection.start_tls()
                connection.bind()
            except (LDAPException, OSError) as error:
                connection.unbind()
                raise AgentError(TEXTS["bind"].format(what=f"bind to {name}", why=error)) from error
            return connection
        raise AgentError(TEXTS["unreachable"].format(server=self._values.get("server1"), port=port)) from last

    def _tls(self) -> ldap3.Tls:
        """How the server's certificate is looked at; `capath` is a file or a directory on the host."""
        if not self._values.get("verify"):
            return ldap3.Tls(validate=ssl.CERT_NONE)
        path = self._root / str(self._values.get("capath") or AUTHORITIES).lstrip("/")
        file = path / BUNDLE if path.is_dir() else path
        if not file.exists():
            raise AgentError(TEXTS["no_authorities"].format(path=file.relative_to(self._root)))
        return ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(file))

    def _search(
        self, connection: ldap3.Connection, base: str, query: str, attributes: list[str]
    ) -> list[Mapping[str, Any]]:
        try:
            rows = connection.extend.standard.paged_search(
                base, query, search_scope=ldap3.SUBTREE, attributes=attributes or None, paged_size=PAGE, generator=False
            )
        except (LDAPException, OSError) as error:
            raise AgentError(TEXTS["bind"].format(what=f"search below {base}", why=error)) from error
        return [row for row in rows if row.get("type") == "searchResEntry"]


def _filter(given: object, classes: Iterable[str]) -> str:
    """Entries of any of the classes that fit the realm's own filter, with or without brackets around it."""
    own = str(given or "").strip()
    own = own if not own or own.startswith("(") else f"({own})"
    return f"(&{own}(|{''.join(f'(objectclass={escape_filter_chars(each)})' for each in classes)}))"


def _all(row: Mapping[str, Any], attribute: str) -> list[str]:
    """The values of an attribute, whose name is written in any case."""
    attributes: Mapping[str, list[bytes]] = row["raw_attributes"]
    found = next((attributes[name] for name in attributes if name.lower() == attribute.lower()), [])
    return [value.decode("utf-8", "replace") for value in found]


def _first(row: Mapping[str, Any], attribute: str) -> str | None:
    return next(iter(_all(row, attribute)), None)
