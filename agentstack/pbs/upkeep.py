# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a datastore in order: garbage collection, pruning, verification, each as the work of a task."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentstack._shared.prune import Backup, Mark, PruneOptions, mark_backups
from agentstack.access.identity import Identity
from agentstack.errors import AgentError
from agentstack.pbs.blob import DamagedBlob, check
from agentstack.pbs.chunks import MissingChunk
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.datastores import acl_path
from agentstack.pbs.index import DamagedIndex, is_index
from agentstack.pbs.snapshots import MANIFEST, BackupFile, Group, Manifest, Snapshot, owns
from agentstack.pbs.upid import parse_upid
from agentstack.tasks import Task
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

KEEP = ("keep-last", "keep-hourly", "keep-daily", "keep-weekly", "keep-monthly", "keep-yearly")
FAILED = "verification failed - please check the log for details"
MAX_DEPTH = 7
_DAY = 86_400
_MIB = 1024 * 1024


def keep_options(values: Mapping[str, Any]) -> PruneOptions:
    """The retention in the parameters of a call or the settings of a job."""
    return PruneOptions.from_mapping({key: values[key] for key in KEEP if key in values})


# --- garbage collection -----------------------------------------------------------------------------------------------


async def collect_garbage(host: Host, name: str, task: Task) -> None:
    """Remove the chunks that nothing refers to any more."""
    store = host.pbs.datastores.get(name, "write")
    task.log(f"starting garbage collection on store {name}")
    task.log("Start GC phase1 (mark used chunks)")
    found = await asyncio.to_thread(store.collect_garbage, host.clock.now())
    task.log(f"marked {found.index_file_count} index files")
    if found.missing_chunks:
        task.warn(f"{found.missing_chunks} chunks are referred to and missing")
    task.log("Start GC phase2 (sweep unused chunks)")
    task.log(f"Removed garbage: {_size(found.removed_bytes)}")
    task.log(f"Removed chunks: {found.removed_chunks}")
    if found.removed_bad:
        task.log(f"Removed bad chunks: {found.removed_bad}")
    if found.still_bad:
        task.log(f"Leftover bad chunks: {found.still_bad}")
    if found.pending_chunks:
        task.log(f"Pending removals: {_size(found.pending_bytes)} (in {found.pending_chunks} chunks)")
    task.log(f"Original data usage: {_size(found.index_data_bytes)}")
    share = 100 * found.disk_bytes / found.index_data_bytes if found.index_data_bytes else 0.0
    task.log(f"On-Disk usage: {_size(found.disk_bytes)} ({share:.2f}%)")
    task.log(f"On-Disk chunks: {found.disk_chunks}")
    factor = found.index_data_bytes / found.disk_bytes if found.disk_bytes else 1.0
    task.log(f"Deduplication factor: {factor:.2f}")


# --- pruning ----------------------------------------------------------------------------------------------------------


def marked(host: Host, store: Datastore, group: Group, options: PruneOptions) -> list[tuple[Snapshot, Mark]]:
    """What a retention does with the snapshots of a group, the newest first."""
    snapshots = store.snapshots(group)
    backups = [Backup(snapshot.time, protected=store.is_protected(snapshot)) for snapshot in snapshots]
    marks = mark_backups(backups, options, zone(host))
    return list(zip(reversed(snapshots), reversed(marks), strict=True))


async def prune(
    host: Host, name: str, ns: str, values: Mapping[str, Any], identity: Identity, task: Task, *, dry_run: bool = False
) -> None:
    """Apply a retention (`keep-*`, `max-depth` of `values`) to all groups that the caller may prune."""
    store, options = host.pbs.datastores.get(name, "write"), keep_options(values)
    depth = values.get("max-depth", MAX_DEPTH)
    task.log(
        f"Starting datastore prune on datastore '{name}', {place(ns)}{'' if depth == 0 else ', down to full depth'}"
    )
    if options.keeps_everything:
        task.log("No prune selection - keeping all files.")
    else:
        words = " ".join(f"--{key} {count}" for key, count in options.to_mapping().items())
        task.log(f"retention options: {words}")
    for space in list(store.namespaces(ns, depth)):
        for group in list(store.groups(space)):
            if may_touch(host, identity, name, store, group, "Datastore.Modify", "Datastore.Prune"):
                task.log(f'Pruning group {space}:"{group}"' if space else f'Pruning group "{group}"')
                for snapshot, mark in marked(host, store, group, options):
                    word = "remove" if mark == "remove" else "protected" if mark == "protected" else "keep"
                    task.log(f"{word} {snapshot}")
                    if mark == "remove" and not dry_run:
                        store.forget(snapshot)
                await asyncio.sleep(0)


def may_touch(
    host: Host, identity: Identity, name: str, store: Datastore, group: Group, all_groups: str, own_groups: str
) -> bool:
    """Whether somebody may do what takes the first privilege on any group, or the second one on an own group."""
    access, path = host.pbs.access, acl_path(name, group.ns)
    if access.may(identity, path, [all_groups]):
        return True
    return access.may(identity, path, [own_groups]) and owns(store.owner(group), identity.authid)


def place(ns: str) -> str:
    """A namespace in the words of logs."""
    return f"namespace '{ns}'" if ns else "root namespace"


# --- verification -----------------------------------------------------------------------------------------------------


class Damaged(AgentError):
    """What a verification ends with when it found damage; `names` are those of the snapshots."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(FAILED)
        self.names = names


@dataclass(frozen=True)
class Selection:
    """What to verify. `outdated_after` in days: verify again what was verified longer ago."""

    ns: str = ""
    max_depth: int = MAX_DEPTH
    group: Group | None = None
    snapshot: Snapshot | None = None
    ignore_verified: bool = True
    outdated_after: int | None = None

    @classmethod
    def from_values(cls, values: Mapping[str, Any], **chosen: Any) -> Selection:
        """From the parameters of a call or the settings of a job."""
        return cls(
            ns=values.get("ns", ""),
            max_depth=values.get("max-depth", MAX_DEPTH),
            ignore_verified=values.get("ignore-verified", True),
            outdated_after=values.get("outdated-after"),
            **chosen,
        )


@dataclass
class _Verification:
    """One run: each chunk is read once, however many snapshots share it."""

    host: Host
    store: Datastore
    task: Task
    good: set[bytes] = field(default_factory=set)
    bad: set[bytes] = field(default_factory=set)

    def groups(self, choice: Selection) -> Iterator[Group]:
        if choice.group is not None:
            yield choice.group
            return
        for ns in self.store.namespaces(choice.ns, choice.max_depth):
            yield from self.store.groups(ns)

    def is_due(self, manifest: Manifest, choice: Selection) -> bool:
        state = manifest.unprotected.get("verify_state")
        if not choice.ignore_verified or state is None:
            return True
        upid = parse_upid(state["upid"])
        if choice.outdated_after is None or upid is None:
            return upid is None
        return (self.host.clock.now() - upid.starttime) / _DAY > choice.outdated_after

    async def snapshot(self, snapshot: Snapshot, choice: Selection) -> bool:
        """Verify one snapshot and remember the result in its manifest; False if it is damaged."""
        try:
            manifest = self.store.manifest(snapshot)
        except FileNotFoundError:
            return True  # removed meanwhile
        except (DamagedBlob, ValueError) as error:
            self.task.log(f"verify {self._name(snapshot)}/{MANIFEST} failed: {error}")
            return False
        if not self.is_due(manifest, choice):
            self.task.log(f"SKIPPED: verify {self._name(snapshot)} (recently verified)")
            return True
        self.task.log(f"verify {self._name(snapshot)}")
        results = [await self._file(snapshot, entry) for entry in manifest.files]
        state = "ok" if all(results) else "failed"
        try:
            fresh = self.store.manifest(snapshot)
            self.store.write_manifest(fresh.noting(verify_state={"state": state, "upid": str(self.task.upid)}))
        except FileNotFoundError:
            return True
        return state == "ok"

    def _name(self, snapshot: Snapshot) -> str:
        ns = f"{snapshot.group.ns}:" if snapshot.group.ns else ""
        return f"{self.store.name}:{ns}{snapshot}"

    async def _file(self, snapshot: Snapshot, entry: BackupFile) -> bool:
        self.task.log(f"  check {entry.filename}")
        try:
            if is_index(entry.filename):
                return await self._image(snapshot, entry)
            content = (snapshot.path(self.store.base) / entry.filename).read_bytes()
            if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.csum:
                raise DamagedBlob("wrong checksum")
            check(content)
        except (OSError, DamagedBlob, DamagedIndex) as error:
            self.task.log(f"verify {self._name(snapshot)}/{entry.filename} failed: {error}")
            return False
        return True

    async def _image(self, snapshot: Snapshot, entry: BackupFile) -> bool:
        index = self.store.index(snapshot, entry.filename)
        if index.size != entry.size or index.checksum.hex() != entry.csum:
            raise DamagedIndex("wrong size or checksum")
        began, errors, count = self.host.clock.elapsed(), 0, 0
        seen: set[bytes] = set()
        for digest, _start, length in index.chunks():
            if digest in self.good or digest in seen:
                continue
            seen.add(digest)
            count += length
            errors += not await self._chunk(digest)
        seconds = self.host.clock.elapsed() - began
        size = count / _MIB
        rate = size / seconds if seconds else 0.0
        self.task.log(f"  verified {size:.2f} MiB in {seconds:.2f} seconds, speed {rate:.2f} MiB/s ({errors} errors)")
        if errors:
            self.task.log(f"verify {self._name(snapshot)}/{entry.filename} failed: chunks could not be verified")
        return not errors

    async def _chunk(self, digest: bytes) -> bool:
        if digest in self.bad:
            self.task.log(f"chunk {digest.hex()} was marked as corrupt")
            return False
        try:
            await asyncio.to_thread(self.store.chunks.verify, digest)
        except MissingChunk:
            self.task.log(
                f"can't verify chunk, load failed - store '{self.store.name}', unable to load chunk "
                f"'{digest.hex()}' - No such file or directory (os error 2)"
            )
        except DamagedBlob as error:
            self.task.log(
                f"can't verify chunk, load failed - store '{self.store.name}', chunk '{digest.hex()}': {error}"
            )
            aside = self.store.chunks.set_aside(digest)
            self.task.log(f'corrupted chunk renamed to "{aside.name}"')
        else:
            self.good.add(digest)
            return True
        self.bad.add(digest)
        return False


async def verify(host: Host, name: str, choice: Selection, identity: Identity, task: Task) -> None:
    """Read every chunk of the chosen snapshots; raises AgentError if any is damaged."""
    with host.pbs.datastores.reading(name) as store:
        run = _Verification(host, store, task)
        if choice.snapshot is None:
            task.log(f"verify datastore {name}" if choice.group is None else f"verify group {name}:{choice.group}")
        groups = [
            group
            for group in run.groups(choice)
            if may_touch(host, identity, name, store, group, "Datastore.Verify", "Datastore.Backup")
        ]
        if choice.group is None:
            task.log(f"found {len(groups)} groups")
        failed: list[Snapshot] = []
        for number, group in enumerate(groups, start=1):
            snapshots: Iterable[Snapshot] = [choice.snapshot] if choice.snapshot else reversed(store.snapshots(group))
            for snapshot in snapshots:
                if not await run.snapshot(snapshot, choice):
                    failed.append(snapshot)
            share = 100 * number / len(groups)
            task.log(f"percentage done: {share:.2f}% ({number}/{len(groups)} groups)")
        if failed:
            names = [f"{snapshot.group.ns + ':' if snapshot.group.ns else ''}{snapshot}" for snapshot in failed]
            task.log("Failed to verify the following snapshots/groups:")
            for name_of_failed in names:
                task.log(f"\t{name_of_failed}")
            raise Damaged(names)


def _size(size: int) -> str:
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{size} B" if unit == "B" else f"{value:.3f} {unit}"
