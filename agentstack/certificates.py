# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's certificates below /etc/pve, and the TLS context that its API server shows them with."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from typing import TYPE_CHECKING

from agentstack import x509

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

CA = "pve-root-ca.pem"
CA_KEY = "priv/pve-root-ca.key"


class Certificates:
    """The certificates of a PVE node.

    `context` is one object for the host's whole life: after `reload` new connections see the new certificate, those
    that exist keep theirs.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.root / "run/pveproxy"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    @property
    def fqdn(self) -> str:
        """The node's full name."""
        return self.host.fqdn

    @property
    def certificate(self) -> bytes:
        """What the API server shows: an uploaded certificate if there is one, else the node's own (PEM)."""
        return self._shown()[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 fingerprint of what the API server shows, as `AB:CD:…`."""
        return x509.fingerprint(self.certificate)

    async def start(self) -> None:
        """Make what is missing (first start only), then load."""
        await self.update()

    async def stop(self) -> None:
        """Nothing runs."""

    async def update(self, *, force: bool = False) -> None:
        """`pvecm updatecerts`: make the CA and the node's certificate where they are missing, and load them.

        With `force` the node's certificate is made anew, by the CA that now lies in /etc/pve: so a node that has
        joined a cluster gets one that its cluster vouches for (facts §6.3). Needs quorum where it writes.
        """
        files = self.host.files
        if not files.exists(CA) or not files.exists(CA_KEY):
            ca = await asyncio.to_thread(x509.make_ca, self.host.clock.now())
            await files.write(CA_KEY, ca.key)
            await files.write(CA, ca.certificate)
            force = True
        if force or not files.exists(self._own("pve-ssl.pem")) or not files.exists(self._own("pve-ssl.key")):
            ca = x509.Pair(files.read(CA), files.read(CA_KEY))
            addresses = [self.host.address]
            pair = await asyncio.to_thread(x509.make_node_certificate, ca, self.fqdn, addresses, self.host.clock.now())
            await files.write(self._own("pve-ssl.key"), pair.key)
            await files.write(self._own("pve-ssl.pem"), pair.certificate)
            log.info("new node certificate %s", x509.fingerprint(pair.certificate))
        self.reload()

    def reload(self) -> None:
        """Show to new connections what now lies in /etc/pve."""
        self.directory.mkdir(parents=True, exist_ok=True)
        chain = self.directory / "chain.pem"
        certificate, key = self._shown()
        # the ssl module takes certificates from files only
        with os.fdopen(os.open(chain, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(key + b"\n" + certificate)
        self.context.load_cert_chain(chain)
        chain.unlink()

    def _shown(self) -> tuple[bytes, bytes]:
        files = self.host.files
        custom = files.exists(self._own("pveproxy-ssl.pem")) and files.exists(self._own("pveproxy-ssl.key"))
        stem = "pveproxy-ssl" if custom else "pve-ssl"
        return files.read(self._own(f"{stem}.pem")), files.read(self._own(f"{stem}.key"))

    def _own(self, name: str) -> str:
        return f"nodes/{self.host.name}/{name}"
