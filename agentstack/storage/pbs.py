# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages on a backup server (`pbs`): its datastore's figures and snapshots as a node sees them (facts §12).

What is listed is what the server said last; `refresh` asks it anew.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.pbs.client import PbsClient
from agentstack.pbs.keys import BadKeyFile, Key
from agentstack.pbs.snapshots import Group, Snapshot, parse_stamp
from agentstack.sections import Entry
from agentstack.storage import config, pbs_client
from agentstack.storage.volumes import Usage, Volume

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "volume": "unable to parse PBS volume name '{name}'",
    "missing": "volume '{volid}' does not exist",
    "alloc": "can't allocate space in pbs storage",
    "unsupported": "not implemented in storage plugin 'pbs'",
}

PERIOD = 10.0
SHORTEST = 5.0
"""Stack seconds, and real ones at least, between two looks at a server that nobody asked for."""

_NAME = re.compile(r"backup/(vm|ct|host)/([\w.-]+)/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_SUBTYPES = {"vm": "qemu", "ct": "lxc"}


def parse_name(name: str, ns: str = "") -> Snapshot:
    """The snapshot behind `backup/vm/100/2026-11-21T22:30:00Z`; raises AgentError."""
    match = _NAME.fullmatch(name)
    time = parse_stamp(match[3]) if match else None
    if match is None or time is None:
        raise AgentError(TEXTS["volume"].format(name=name))
    return Snapshot(Group(ns, match[1], match[2]), time)


class PbsStorage:
    """All storages of type `pbs`, as one node uses them."""

    shared_files = True

    def __init__(self, host: Host) -> None:
        self.host = host
        self._usage: dict[str, Usage] = {}
        self._volumes: dict[str, list[Volume]] = {}
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at the servers now and then, as the status daemon does."""
        self._loop = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            if self.host.files.mounted:
                for entry in self._entries():
                    await self.refresh(entry)
            await asyncio.sleep(max(self.host.clock.real(PERIOD), SHORTEST))

    def _entries(self) -> list[Entry]:
        entries, _ = config.read(self.host)
        return [entry for entry in entries.values() if entry.type == "pbs" and config.is_enabled(entry, self.host.name)]

    # ---- the server --------------------------------------------------------------------------------------------------

    def client(self, entry: Entry, timeout: float = pbs_client.TIMEOUT, password: str | None = None) -> PbsClient:
        """A session with the storage's server; `timeout` in real seconds per call, `password` if not the stored one."""
        secret = password if password is not None else config.secret(self.host, entry, "password")
        return PbsClient(pbs_client.login(entry.values, secret or ""), self.host.address, timeout)

    def key(self, entry: Entry) -> Key | None:
        """The key that backups on the storage are encrypted with; raises AgentError for a file that is none."""
        text = config.secret(self.host, entry, "encryption-key")
        if text is None:
            return None
        try:
            return Key.from_file(text)
        except BadKeyFile as error:
            raise AgentError(f"unable to load encryption key of storage '{entry.id}': {error}") from error

    async def activate(self, entry: Entry, password: str | None = None) -> None:
        """Log in and find the datastore; raises AgentError with the texts of facts §12."""
        secret = password if password is not None else config.secret(self.host, entry, "password")
        await pbs_client.check_datastore(self.host.address, entry.id, entry.values, secret or "")
        await self.refresh(entry, password)

    async def refresh(self, entry: Entry, password: str | None = None) -> None:
        """Ask the server how full the datastore is; one that cannot be asked makes the storage inactive."""
        try:
            async with self.client(entry, password=password) as client:
                row = await client.call("GET", f"/admin/datastore/{entry.values['datastore']}/status")
        except AgentError:
            self._usage.pop(entry.id, None)
            return
        self._usage[entry.id] = Usage(row["total"], row["used"], row["avail"])

    async def read(self, entry: Entry) -> None:
        """Ask the server for its snapshots; raises AgentError."""
        ns = entry.values.get("namespace", "")
        try:
            async with self.client(entry) as client:
                path = f"/admin/datastore/{entry.values['datastore']}/snapshots"
                rows = await client.call("GET", path, ns=ns or None)
        except AgentError as error:
            raise AgentError(f"proxmox-backup-client failed: Error: {error.text}") from error
        volumes = (self._volume(entry, row) for row in rows)
        self._volumes[entry.id] = [volume for volume in volumes if volume is not None]

    def _volume(self, entry: Entry, row: dict[str, Any]) -> Volume | None:
        kind, ident, time = row["backup-type"], row["backup-id"], row["backup-time"]
        stamp = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        volid = f"{entry.id}:backup/{kind}/{ident}/{stamp}"
        extra: dict[str, Any] = {}
        if kind in _SUBTYPES:
            extra["subtype"] = _SUBTYPES[kind]
        if comment := row.get("comment"):
            extra["notes"] = comment
        if verification := row.get("verification"):
            extra["verification"] = verification
        if fingerprint := row.get("fingerprint"):
            extra["encrypted"] = fingerprint
        if row.get("protected"):
            extra["protected"] = 1
        vmid = int(ident) if kind in _SUBTYPES and ident.isdigit() else None
        size = row.get("size", 1)
        return Volume(volid, "backup", f"pbs-{kind}", size, size, time, vmid, extra)

    async def remove(self, entry: Entry, name: str) -> None:
        """Forget a snapshot on the server."""
        snapshot = parse_name(name, entry.values.get("namespace", ""))
        async with self.client(entry) as client:
            await client.call("DELETE", self._snapshots(entry), **place(snapshot))

    async def annotate(self, entry: Entry, name: str, notes: str | None, protected: bool | None) -> None:
        """Set the notes or the protection of a snapshot on the server; None leaves them."""
        snapshot = parse_name(name, entry.values.get("namespace", ""))
        path = f"/admin/datastore/{entry.values['datastore']}"
        async with self.client(entry) as client:
            if notes is not None:
                await client.call("PUT", f"{path}/notes", notes=notes, **place(snapshot))
            if protected is not None:
                await client.call("PUT", f"{path}/protected", protected=bool(protected), **place(snapshot))

    def _snapshots(self, entry: Entry) -> str:
        return f"/admin/datastore/{entry.values['datastore']}/snapshots"

    # ---- what every storage does -------------------------------------------------------------------------------------

    def usage(self, entry: Entry) -> Usage | None:
        return self._usage.get(entry.id)

    def list(self, entry: Entry) -> Iterator[Volume]:
        yield from self._volumes.get(entry.id, [])

    def path(self, entry: Entry, name: str) -> Path:
        """A name only: a snapshot is no file of this node."""
        parse_name(name)
        volid = f"{entry.id}:{name}"
        if not any(volume.volid == volid for volume in self._volumes.get(entry.id, [])):
            raise AgentError(TEXTS["missing"].format(volid=volid))
        return Path(self.device(entry, name))

    def device(self, entry: Entry, name: str) -> str:
        values = entry.values
        repository = f"{values.get('username', 'root@pam')}@{values['server']}:{values['datastore']}"
        return f"{repository}:{name.removeprefix('backup/')}"

    def allocate(self, entry: Entry, vmid: int, name: str | None, form: str, size: int) -> str:
        raise AgentError(TEXTS["alloc"])

    def free(self, entry: Entry, name: str) -> None:
        """Only by `remove`: the server has to be asked."""
        raise AgentError(TEXTS["unsupported"])

    def resize(self, entry: Entry, name: str, size: int) -> None:
        raise AgentError(TEXTS["unsupported"])

    def snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        raise AgentError(TEXTS["unsupported"])

    def rollback(self, entry: Entry, name: str, snapshot: str) -> None:
        raise AgentError(TEXTS["unsupported"])

    def delete_snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        raise AgentError(TEXTS["unsupported"])

    def snapshot_path(self, entry: Entry, name: str, snapshot: str) -> Path:
        raise AgentError(TEXTS["unsupported"])

    def can_snapshot(self, entry: Entry, name: str) -> bool:
        return False


def place(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot in the parameters of `PbsClient.call`."""
    group = snapshot.group
    return {"backup_type": group.type, "backup_id": group.id, "backup_time": snapshot.time, "ns": group.ns or None}
