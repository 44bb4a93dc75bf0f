# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pushing snapshots of a datastore to another backup server (facts §20.4: `sync-direction`).

What the other server's groups do not have yet goes over, under the remote's user, who owns it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.pbs.blob import DamagedBlob
from agentstack.pbs.chunks import MissingChunk
from agentstack.pbs.client import PbsClient, Unreachable
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import DamagedIndex, decode_index, is_index
from agentstack.pbs.snapshots import Group, Manifest, Snapshot
from agentstack.pbs.source import RemoteSource, login_of
from agentstack.pbs.sync import INCOMPLETE, matches, moved
from agentstack.pbs.traffic import Bucket, limits
from agentstack.pbs.upkeep import MAX_DEPTH, place
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

_MIB = 1024 * 1024


@dataclass
class Push:
    """One run. `values` are the settings of a sync job or the parameters of /push."""

    host: Host
    store: Datastore
    client: PbsClient
    values: Mapping[str, Any]
    task: Task
    sent: int = 0
    groups: int = 0
    snapshots: int = 0
    failed: bool = False
    bucket: Bucket | None = field(init=False)

    def __post_init__(self) -> None:
        self.there = RemoteSource(self.client, self.values["remote-store"])
        self.path = f"/admin/datastore/{self.values['remote-store']}"
        self.bucket = limits(self.host.clock, self.values).get("out")

    async def run(self) -> None:
        """Send everything; raises AgentError at the end if part of it failed."""
        ns, remote_ns = self.values.get("ns", ""), self.values.get("remote-ns", "")
        depth = self.values.get("max-depth", MAX_DEPTH)
        known = set(await self.there.namespaces("", MAX_DEPTH))
        spaces = {space: moved(space, ns, remote_ns) for space in sorted(self.store.namespaces(ns, depth))}
        for space, target in spaces.items():
            self.task.log("----")
            self.task.log(f"Syncing datastore '{self.store.name}', {place(space)} into {place(target)}")
            await self._make_namespace(target, known)
            await self._namespace(space, target)
            self.task.log(
                f"Finished syncing {place(space)}, current progress: {self.groups} groups, {self.snapshots} snapshots"
            )
        self.task.log(f"Summary: sync job pushed {self.sent / _MIB:.2f} MiB")
        if self.failed:
            raise AgentError(INCOMPLETE)

    async def _make_namespace(self, ns: str, known: set[str]) -> None:
        parent = ""
        for name in filter(None, ns.split("/")):
            path = f"{parent}/{name}" if parent else name
            if path not in known:
                await self.client.call("POST", f"{self.path}/namespace", name=name, parent=parent or None)
                known.add(path)
            parent = path

    async def _namespace(self, space: str, target: str) -> None:
        here = list(self.store.groups(space))
        chosen = [group for group in here if matches(self.values.get("group-filter", []), group)]
        self.task.log(f"found {len(chosen)} groups to sync (out of {len(here)} total)")
        for group in chosen:
            try:
                await self._group(group, replace(group, ns=target))
                self.groups += 1
            except (AgentError, DamagedBlob, DamagedIndex, MissingChunk, ValueError, OSError) as error:
                if isinstance(error, Unreachable):
                    raise
                self.failed = True
                self.task.log(f"sync group {group} failed - {error}")
        if self.values.get("remove-vanished"):
            kept = {replace(group, ns=target) for group in chosen}
            for group in await self.there.groups(target):
                if group not in kept and matches(self.values.get("group-filter", []), group):
                    self.task.log(f'delete vanished group "{group}"')
                    await self.client.call("DELETE", f"{self.path}/groups", **_of(group), error_on_protected=False)

    async def _group(self, group: Group, target: Group) -> None:
        there = [snapshot.time for snapshot in await self.there.snapshots(target)]
        newest = max(there, default=0)
        here = self.store.snapshots(group)
        wanted = [snapshot for snapshot in here if snapshot.time > newest and self._fits(self.store.manifest(snapshot))]
        if last := self.values.get("transfer-last"):
            wanted = wanted[-last:]
        for snapshot in wanted:
            await self._snapshot(snapshot, Snapshot(target, snapshot.time))
            self.snapshots += 1
        if self.values.get("remove-vanished"):
            times = {snapshot.time for snapshot in here}
            for time in sorted(set(there) - times):
                self.task.log(f"delete vanished snapshot {Snapshot(target, time)}")
                await self.client.call("DELETE", f"{self.path}/snapshots", **_of(target), backup_time=time)

    def _fits(self, manifest: Manifest) -> bool:
        if self.values.get("encrypted-only") and manifest.fingerprint is None:
            return False
        verified = manifest.unprotected.get("verify_state", {}).get("state") == "ok"
        return verified or not self.values.get("verified-only")

    async def _snapshot(self, here: Snapshot, there: Snapshot) -> None:
        self.task.log(f"sync snapshot {here}")
        manifest = self.store.manifest(here)
        async with PbsClient(self.client.login, self.host.address) as client:
            await client.begin_backup(self.values["remote-store"], there)
            for entry in manifest.files:
                self.task.log(f"sync archive {entry.filename}")
                content = (here.path(self.store.base) / entry.filename).read_bytes()
                if is_index(entry.filename):
                    index = decode_index(content)
                    previous = await client.previous_index(entry.filename)
                    known = set(previous.digests) if previous else set()
                    for digest in dict.fromkeys(index.digests):
                        if digest not in known:
                            blob = await asyncio.to_thread(self.store.chunks.blob, digest)
                            await client.send_encoded_chunk(digest, blob)
                            self.sent += len(blob)
                            if self.bucket is not None:
                                await self.bucket.take(len(blob))
                await client.send_file(entry, content)
            await client.finish_copy(manifest)
        if notes := manifest.unprotected.get("notes"):
            await self.client.call("PUT", f"{self.path}/notes", **_of(there.group), backup_time=there.time, notes=notes)


def _of(group: Group) -> dict[str, Any]:
    return {"backup_type": group.type, "backup_id": group.id, "ns": group.ns or None}


async def push(host: Host, values: Mapping[str, Any], task: Task) -> None:
    """Run a push from start to end."""
    remote = values["remote"]
    task.log(f"sync datastore '{values['store']}' to '{remote}/{values['remote-store']}'")
    with host.pbs.datastores.reading(values["store"]) as store:
        try:
            async with PbsClient(login_of(host, remote), host.address) as client:
                await Push(host, store, client, values, task).run()
        except Unreachable as error:
            raise AgentError(f"remote connection to '{remote}' failed - {error.text}") from error
