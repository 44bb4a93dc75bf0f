# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a synchronisation takes snapshots from: another backup server, or another datastore of this one."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Protocol

from agentstack.errors import AgentError
from agentstack.pbs.client import DEFAULT_PORT, Login, PbsClient
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.sections import REMOTES
from agentstack.pbs.snapshots import Group, Snapshot

if TYPE_CHECKING:
    from agentstack.host import Host


class Source(Protocol):
    """What a synchronisation reads. All methods raise AgentError."""

    async def namespaces(self, ns: str, depth: int) -> list[str]:
        """A namespace and those below it."""

    async def groups(self, ns: str) -> list[Group]:
        """The groups of a namespace that can be read."""

    async def snapshots(self, group: Group) -> list[Snapshot]:
        """The complete snapshots of a group, oldest first."""

    async def file(self, snapshot: Snapshot, filename: str) -> bytes:
        """A file of a snapshot as it lies on disk."""

    async def chunk(self, snapshot: Snapshot, digest: bytes) -> bytes:
        """A chunk of a snapshot as it lies on disk."""


class RemoteSource:
    """A datastore of another server."""

    def __init__(self, client: PbsClient, store: str) -> None:
        self.client = client
        self.store = store
        self._path = f"/admin/datastore/{store}"

    async def namespaces(self, ns: str, depth: int) -> list[str]:
        found = await self.client.call("GET", f"{self._path}/namespace", parent=ns or None, max_depth=depth)
        return [entry["ns"] for entry in found]

    async def groups(self, ns: str) -> list[Group]:
        found = await self.client.call("GET", f"{self._path}/groups", ns=ns or None)
        return sorted(Group(ns, entry["backup-type"], entry["backup-id"]) for entry in found)

    async def snapshots(self, group: Group) -> list[Snapshot]:
        found = await self.client.call(
            "GET", f"{self._path}/snapshots", ns=group.ns or None, backup_type=group.type, backup_id=group.id
        )
        return sorted(Snapshot(group, entry["backup-time"]) for entry in found)

    async def file(self, snapshot: Snapshot, filename: str) -> bytes:
        return await self.client.file(self.store, snapshot, filename)

    async def chunk(self, snapshot: Snapshot, digest: bytes) -> bytes:
        return await self.client.chunk(self.store, snapshot, digest)


class LocalSource:
    """Another datastore of this server."""

    def __init__(self, store: Datastore) -> None:
        self.store = store

    async def namespaces(self, ns: str, depth: int) -> list[str]:
        return list(self.store.namespaces(ns, depth))

    async def groups(self, ns: str) -> list[Group]:
        return list(self.store.groups(ns))

    async def snapshots(self, group: Group) -> list[Snapshot]:
        return self.store.snapshots(group)

    async def file(self, snapshot: Snapshot, filename: str) -> bytes:
        try:
            return (snapshot.path(self.store.base) / filename).read_bytes()
        except FileNotFoundError:
            raise AgentError(f"unable to open '{snapshot}/{filename}' - No such file or directory") from None

    async def chunk(self, snapshot: Snapshot, digest: bytes) -> bytes:
        return await asyncio.to_thread(self.store.chunks.blob, digest)


def login_of(host: Host, remote: str) -> Login:
    """Address and credentials of a configured remote; raises 404."""
    values = REMOTES.read(host).of("remote").get(remote)
    if values is None:
        raise AgentError(f"remote '{remote}' does not exist.", status=404)
    return Login(
        server=values["host"],
        authid=values["auth-id"],
        secret=base64.b64decode(values["password"]).decode(),
        port=values.get("port", DEFAULT_PORT),
        fingerprint=values.get("fingerprint"),
    )
