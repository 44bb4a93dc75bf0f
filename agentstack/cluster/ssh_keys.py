# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""root's SSH key of a node, and the list of keys that all nodes of a cluster accept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:
    from agentstack.host import Host

KEY = "root/.ssh/id_rsa"
AUTHORIZED, KNOWN_HOSTS = "priv/authorized_keys", "priv/known_hosts"
HOST_KEY = "etc/ssh/ssh_host_ed25519_key.pub"


async def ensure_root_key(host: Host) -> Path:
    """The path of root's private key, made if it is missing (some 60 ms)."""
    path = host.root / KEY
    if not path.exists():
        await asyncio.to_thread(_make_key, path, host.name)
    return path


def _make_key(path: Path, name: str) -> None:
    key = rsa.generate_private_key(65537, 2048)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path.with_suffix(".pub").write_bytes(public + f" root@{name}\n".encode())
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    draft.replace(path)


async def merge(host: Host) -> None:
    """Add this node's root key and host key to the cluster's lists; needs quorum if they are not there yet."""
    public = (await ensure_root_key(host)).with_suffix(".pub").read_text().strip()
    words = (host.root / HOST_KEY).read_text().split()[:2]
    await _add_lines(host, AUTHORIZED, [public])
    await _add_lines(host, KNOWN_HOSTS, [" ".join([name, *words]) for name in (host.address, host.name)])


async def _add_lines(host: Host, path: str, wanted: list[str]) -> None:
    if set(wanted) <= set(host.files.read_text(path, default="").splitlines()):
        return
    # all nodes of a cluster that starts do this in the same moment
    async with host.files.lock("file-ssh_keys", timeout=60):
        lines = host.files.read_text(path, default="").splitlines()
        lines += [line for line in wanted if line not in lines]
        await host.files.write(path, "".join(f"{line}\n" for line in lines))
