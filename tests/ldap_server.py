# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's slapd with a small directory, on a free port of 127.0.0.1, for as long as a test wants it.

dc=example: people ann and bob (in groups staff and admins), the account cn=reader that may search.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ldap3

from agentstack import x509

from .stacks import wait_until

SLAPD = shutil.which("slapd") or "/usr/sbin/slapd"
BASE = "dc=example"
ADMIN, SECRET = f"cn=admin,{BASE}", "verwalter"
READER, READ_SECRET = f"cn=reader,{BASE}", "leser"

CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
TLSCertificateFile {directory}/server.pem
TLSCertificateKeyFile {directory}/server.key
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {secret}
directory {directory}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
"""


def is_there() -> bool:
    """Whether slapd is installed."""
    return Path(SLAPD).exists()


@dataclass
class LdapServer:
    """A running directory."""

    port: int
    tls_port: int
    authority: bytes
    """The certificate of who has signed the server's."""

    def change(self, dn: str, **attributes: str | list[str] | None) -> None:
        """Add an entry (with an objectClass), change attributes, or (with none) remove it."""
        with self._admin() as connection:
            if not attributes:
                connection.delete(dn)
            elif "objectClass" in attributes:
                connection.add(dn, attributes=attributes)
            else:
                given = {name: [value] if isinstance(value, str) else value or [] for name, value in attributes.items()}
                connection.modify(dn, {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in given.items()})

    def person(self, name: str, password: str, **more: str) -> None:
        """Add a user."""
        given = {"objectClass": "inetOrgPerson", "cn": name, "sn": name.title(), "uid": name, "userPassword": password}
        self.change(f"uid={name},{BASE}", **given, **more)

    def _admin(self) -> ldap3.Connection:
        server = ldap3.Server("127.0.0.1", self.port, get_info=ldap3.NONE)
        return ldap3.Connection(server, ADMIN, SECRET, auto_bind=True, raise_exceptions=True)


@contextmanager
def ldap_server(directory: Path) -> Iterator[LdapServer]:
    """Run one; its files lie in `directory`."""
    (directory / "data").mkdir(parents=True)
    words = {"directory": directory, "base": BASE, "admin": ADMIN, "secret": SECRET, "reader": READER}
    configuration = directory / "slapd.conf"
    configuration.write_text(CONFIGURATION.format(**words))
    authority = x509.make_ca(time.time())
    pair = x509.make_node_certificate(authority, "ldap.example", [], time.time())
    (directory / "server.pem").write_bytes(pair.certificate)
    (directory / "server.key").write_bytes(pair.key)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        port, tls_port = one.getsockname()[1], other.getsockname()[1]
    # -d: it stays in the foreground
    urls = f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port}"
    command = [SLAPD, "-f", str(configuration), "-h", urls, "-d", "0"]
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            server = LdapServer(port, tls_port, authority.certificate)
            _wait(port, process)
            server.change(BASE, objectClass=["dcObject", "organization"], o="Example")
            server.change(READER, objectClass=["organizationalRole", "simpleSecurityObject"], userPassword=READ_SECRET)
            server.person("ann", "annas", mail="ann@example.org", givenName="Ann")
            server.person("bob", "bobs", mail="bob@example.org")
            server.person("odd name", "x")
            members = [f"uid=ann,{BASE}", f"uid=bob,{BASE}"]
            server.change(f"cn=staff,{BASE}", objectClass="groupOfNames", member=members)
            server.change(f"cn=admins,{BASE}", objectClass="groupOfNames", member=members[:1])
            yield server
        finally:
            process.terminate()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert process.poll() is None, "slapd ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, 60)
