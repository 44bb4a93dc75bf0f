# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling snapshots into a datastore, from another backup server or another datastore (facts §20.4).

Of each group what is newer than its newest snapshot here comes over, and of that only chunks that are not here yet.
The remote's user has to be allowed to read there, the job's owner has to own the groups here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agentstack.access.identity import ROOT
from agentstack.errors import AgentError
from agentstack.pbs.blob import DamagedBlob
from agentstack.pbs.chunks import MissingChunk
from agentstack.pbs.client import PbsClient, Unreachable
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import DamagedIndex, Index, decode_index, is_index
from agentstack.pbs.snapshots import MANIFEST, Group, Manifest, Snapshot, owns
from agentstack.pbs.source import LocalSource, RemoteSource, Source, login_of
from agentstack.pbs.traffic import Bucket, limits
from agentstack.pbs.upkeep import MAX_DEPTH, place
from agentstack.pbs.writer import SnapshotWriter
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

INCOMPLETE = "sync failed with some errors."
_FILTER = re.compile(r"(?:(?P<mode>include|exclude):)?(?P<kind>all|type|group|regex)(?::(?P<what>.+))?")
_MIB = 1024 * 1024


@asynccontextmanager
async def source_of(host: Host, values: Mapping[str, Any]) -> AsyncIterator[Source]:
    """What `remote` and `remote-store` of a sync job stand for."""
    store = values["remote-store"]
    remote = values.get("remote")
    if remote is None:
        with host.pbs.datastores.reading(store) as local:
            yield LocalSource(local)
        return
    try:
        async with PbsClient(login_of(host, remote), host.address) as client:
            yield RemoteSource(client, store)
    except Unreachable as error:
        raise AgentError(f"remote connection to '{remote}' failed - {error.text}") from error


def matches(filters: list[str], group: Group) -> bool:
    """Whether a group is chosen by `group-filter`; without an including filter all are."""
    including: list[bool] = []
    for text in filters:
        found = _FILTER.fullmatch(text)
        if found is None:
            raise AgentError(f"invalid group filter '{text}'")
        what = found["what"] or ""
        match found["kind"]:
            case "type":
                hit = group.type == what
            case "group":
                hit = str(group) == what
            case "regex":
                hit = re.search(what, str(group)) is not None
            case _:
                hit = True
        if found["mode"] == "exclude" and hit:
            return False
        if found["mode"] != "exclude":
            including.append(hit)
    return not including or any(including)


@dataclass
class Pull:
    """One run. `values` are the settings of a sync job or the parameters of /pull."""

    host: Host
    store: Datastore
    source: Source
    values: Mapping[str, Any]
    task: Task
    fetched: int = 0
    groups: int = 0
    snapshots: int = 0
    failed: bool = False
    owner: str = field(init=False)
    bucket: Bucket | None = field(init=False)

    def __post_init__(self) -> None:
        self.owner = self.values.get("owner", ROOT)
        self.bucket = limits(self.host.clock, self.values).get("in")

    async def run(self) -> None:
        """Synchronise everything; raises AgentError at the end if part of it failed."""
        remote_ns, ns = self.values.get("remote-ns", ""), self.values.get("ns", "")
        found = await self.source.namespaces(remote_ns, self.values.get("max-depth", MAX_DEPTH))
        spaces = {space: moved(space, remote_ns, ns) for space in sorted(found)}
        for space, target in spaces.items():
            self.task.log("----")
            self.task.log(f"Syncing {place(space)} into datastore '{self.store.name}', {place(target)}")
            self._make_namespace(target)
            await self._namespace(space, target)
            self.task.log(
                f"Finished syncing {place(space)}, current progress: {self.groups} groups, {self.snapshots} snapshots"
            )
        if self.values.get("remove-vanished"):
            self._remove_namespaces(ns, set(spaces.values()))
        self.task.log(f"Summary: sync job pulled {self.fetched / _MIB:.2f} MiB")
        if self.failed:
            raise AgentError(INCOMPLETE)

    def _make_namespace(self, ns: str) -> None:
        path = ""
        for name in filter(None, ns.split("/")):
            path = f"{path}/{name}" if path else name
            if not self.store.has_namespace(path):
                self.store.create_namespace(path)

    async def _namespace(self, space: str, target: str) -> None:
        there = await self.source.groups(space)
        chosen = [group for group in there if matches(self.values.get("group-filter", []), group)]
        self.task.log(f"found {len(chosen)} groups to sync (out of {len(there)} total)")
        for number, group in enumerate(chosen, start=1):
            try:
                await self._group(group, replace(group, ns=target))
                self.groups += 1
            except (AgentError, DamagedBlob, DamagedIndex, MissingChunk, ValueError, OSError) as error:
                if isinstance(error, Unreachable):
                    raise
                self.failed = True
                self.task.log(f"sync group {group} failed - {error}")
            self.task.log(f"percentage done: {100 * number / len(chosen):.2f}% ({number}/{len(chosen)} groups)")
        if self.values.get("remove-vanished"):
            kept = {replace(group, ns=target) for group in chosen}
            for group in list(self.store.groups(target)):
                if group not in kept and matches(self.values.get("group-filter", []), group) and self._owns(group):
                    self.task.log(f'delete vanished group "{group}"')
                    _removed, protected = self.store.remove_group(group)
                    if protected:
                        self.task.log(f"kept {protected} protected snapshots of group '{group}'")

    def _owns(self, group: Group) -> bool:
        return self.store.has_group(group) and owns(self.store.owner(group), self.owner)

    async def _group(self, group: Group, here: Group) -> None:
        if self.store.has_group(here) and not self._owns(here):
            raise AgentError(f"owner check failed ({self.owner} != {self.store.owner(here)})")
        there = await self.source.snapshots(group)
        local = self.store.snapshots(here)
        newest = local[-1].time if local else 0
        wanted = [snapshot for snapshot in there if snapshot.time > newest]
        if len(there) > len(wanted):
            self.task.log(f"skipped: {len(there) - len(wanted)} snapshot(s) - older than the newest local snapshot")
        if last := self.values.get("transfer-last"):
            wanted = wanted[-last:]
        if self.values.get("resync-corrupt"):
            known = {snapshot.time: snapshot for snapshot in there}
            for old in local:
                if old.time in known and self._is_corrupt(old):
                    await self._mend(known[old.time], old)
        for snapshot in wanted:
            await self._snapshot(snapshot, Snapshot(here, snapshot.time))
            self.snapshots += 1
        if self.values.get("remove-vanished"):
            times = {snapshot.time for snapshot in there}
            for old in local:
                if old.time not in times:
                    if self.store.is_protected(old):
                        self.task.log(f"don't delete vanished snapshot {old} (protected)")
                    else:
                        self.task.log(f"delete vanished snapshot {old}")
                        self.store.forget(old)

    async def _snapshot(self, there: Snapshot, here: Snapshot) -> None:
        self.task.log(f"sync snapshot {there}")
        manifest = Manifest.decode(await self.source.file(there, MANIFEST), there)
        with self.store.backup(here.group, here.time, self.owner, self.host.clock.now()) as writer:
            for entry in manifest.files:
                self.task.log(f"sync archive {entry.filename}")
                content = await self.source.file(there, entry.filename)
                if is_index(entry.filename):
                    index = decode_index(content)
                    if index.checksum.hex() != entry.csum or index.size != entry.size:
                        raise AgentError(f"wrong checksum for file '{entry.filename}'")
                    await self._chunks(there, index, writer)
                writer.copy(entry, content)
            # what was verified there says nothing about the copy
            writer.signature = manifest.signature
            writer.unprotected = {key: value for key, value in manifest.unprotected.items() if key != "verify_state"}

    def _is_corrupt(self, here: Snapshot) -> bool:
        """Whether the last verification of a snapshot failed."""
        state = self.store.manifest(here).unprotected.get("verify_state")
        return state is not None and state["state"] == "failed"

    async def _mend(self, there: Snapshot, here: Snapshot) -> None:
        """Fetch what verification has set aside, or found missing; the snapshot counts as not verified then."""
        self.task.log(f"re-sync snapshot {here} due to corruption")
        manifest = self.store.manifest(here)
        writer = SnapshotWriter(self.store, here, self.host.clock.now())
        for entry in manifest.files:
            if is_index(entry.filename):
                index = decode_index(await self.source.file(there, entry.filename))
                if index.checksum.hex() != entry.csum:
                    raise AgentError(f"wrong checksum for file '{entry.filename}'")
                await self._chunks(there, index, writer)
        self.store.write_manifest(manifest.noting(verify_state=None))

    async def _chunks(self, there: Snapshot, index: Index, writer: SnapshotWriter) -> None:
        began, before, chunks = self.host.clock.elapsed(), self.fetched, self.store.chunks
        for digest in dict.fromkeys(index.digests):
            if chunks.has(digest):
                chunks.touch(digest, self.host.clock.now())
                continue
            blob = await self.source.chunk(there, digest)
            await asyncio.to_thread(writer.received, digest, blob)
            self.fetched += len(blob)
            if self.bucket is not None:
                await self.bucket.take(len(blob))
        size, seconds = (self.fetched - before) / _MIB, self.host.clock.elapsed() - began
        self.task.log(f"downloaded {size:.3f} MiB ({size / seconds if seconds else 0.0:.3f} MiB/s)")

    def _remove_namespaces(self, ns: str, kept: set[str]) -> None:
        for space in sorted(self.store.namespaces(ns, self.values.get("max-depth", MAX_DEPTH)), reverse=True):
            if space not in kept and space != ns:
                for group in list(self.store.groups(space)):
                    if self._owns(group):
                        self.store.remove_group(group)
                if not any(True for _ in self.store.groups(space)):
                    self.store.remove_namespace(space)
                    self.task.log(f"removed namespace '{space}'")


def moved(space: str, source: str, target: str) -> str:
    """Where a namespace below `source` belongs below `target`."""
    rest = space.removeprefix(source).strip("/")
    return "/".join(filter(None, (target, rest)))


async def pull(host: Host, values: Mapping[str, Any], task: Task) -> None:
    """Run a pull from start to end."""
    remote = values.get("remote")
    origin = f"'{remote}/{values['remote-store']}'" if remote else f"local datastore '{values['remote-store']}'"
    task.log(f"sync datastore '{values['store']}' from {origin}")
    store = host.pbs.datastores.get(values["store"], "write")
    async with source_of(host, values) as source:
        await Pull(host, store, source, values, task).run()
