# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of a backup server: self-signed, in /etc/proxmox-backup/proxy.pem (facts §20.7)."""

from __future__ import annotations

import asyncio
import os
import uuid

from agentstack import certificates, x509
from agentstack.pbs.sections import CONFIG

CERTIFICATE, KEY = "proxy.pem", "proxy.key"


class Certificates(certificates.Certificates):
    """What the backup server shows to its clients."""

    @property
    def path(self) -> str:
        """The certificate's file as the host names it."""
        return f"/{CONFIG}/{CERTIFICATE}"

    async def update(self, *, force: bool = False) -> None:
        """Make the certificate where it is missing (`proxmox-backup-manager cert update`), and load it."""
        folder = self.host.root / CONFIG
        folder.mkdir(parents=True, exist_ok=True)
        if force or not (folder / CERTIFICATE).exists():
            host = self.host
            made = (str(uuid.uuid4()), host.fqdn, [host.address], host.clock.now())
            pair = await asyncio.to_thread(x509.make_self_signed, "Proxmox Backup Server", *made)
            with os.fdopen(os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as stream:
                stream.write(pair.key)
            (folder / CERTIFICATE).write_bytes(pair.certificate)
        self.reload()

    def _shown(self) -> tuple[bytes, bytes]:
        folder = self.host.root / CONFIG
        return (folder / CERTIFICATE).read_bytes(), (folder / KEY).read_bytes()
