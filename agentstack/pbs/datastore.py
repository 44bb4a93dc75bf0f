# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A datastore's directory: namespaces, groups and snapshots over one chunk store.

.chunks/0000…ffff/<sha256>             chunks, made as needed
[ns/NAME/…]TYPE/ID/owner               who made the first backup of the group
[ns/NAME/…]TYPE/ID/TIME/*.fidx, *.blob files of a snapshot; index.json.blob comes last and completes it
[ns/NAME/…]TYPE/ID/TIME/.protected     present: never pruned
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.pbs.blob import decode
from agentstack.pbs.chunks import ChunkStore, SyncLevel
from agentstack.pbs.garbage import STATUS, Garbage, collect
from agentstack.pbs.index import SUFFIXES, Index, decode_index
from agentstack.pbs.snapshots import MANIFEST, TYPES, Group, Manifest, Snapshot, namespace_path, owns, parse_stamp
from agentstack.pbs.writer import SnapshotWriter

OWNER = "owner"
NOTES = "notes"
PROTECTED = ".protected"


class Datastore:
    """One datastore; `name` as configured, `base` its directory on the host's disk."""

    def __init__(self, name: str, base: Path, sync: SyncLevel = "filesystem") -> None:
        self.name = name
        self.base = base
        self.chunks = ChunkStore(base, sync)
        self.room: Callable[[], int] | None = None
        """How many bytes the file system has left, where something knows."""
        self._writers: dict[Group, float] = {}
        self._digests: dict[Snapshot, frozenset[bytes]] = {}
        """Of the snapshot that was read last: its reader comes once for every chunk."""

    def create(self) -> None:
        """Make the directory and the empty chunk store."""
        self.base.mkdir(parents=True, exist_ok=True)
        self.chunks.create()

    @property
    def exists(self) -> bool:
        return self.chunks.base.is_dir()

    # --- namespaces -----------------------------------------------------------------------------------------------

    def has_namespace(self, ns: str) -> bool:
        return namespace_path(self.base, ns).is_dir()

    def create_namespace(self, ns: str) -> None:
        """Make a namespace below an existing parent; raises AgentError."""
        parent, _, _name = ns.rpartition("/")
        if not self.has_namespace(parent):
            raise AgentError(f"cannot create new namespace, parent {parent} doesn't already exists")
        if self.has_namespace(ns):
            raise AgentError(f"namespace '{ns}' already exists")
        namespace_path(self.base, ns).mkdir(parents=True)

    def namespaces(self, parent: str = "", max_depth: int = 7) -> Iterator[str]:
        """A namespace and those below it, down to `max_depth` more levels."""
        yield parent
        folder = namespace_path(self.base, parent) / "ns"
        if max_depth == 0 or not folder.is_dir():
            return
        for child in sorted(folder.iterdir()):
            yield from self.namespaces(f"{parent}/{child.name}" if parent else child.name, max_depth - 1)

    def remove_namespace(self, ns: str) -> None:
        """Remove an empty namespace; raises AgentError for one that still has groups or children."""
        folder = namespace_path(self.base, ns)
        if any(True for _ in self.groups(ns)) or any(True for child in self.namespaces(ns, 1) if child != ns):
            raise AgentError(f"cannot remove namespace '{ns}': not empty")
        shutil.rmtree(folder)

    # --- groups and snapshots -------------------------------------------------------------------------------------

    def groups(self, ns: str = "") -> Iterator[Group]:
        """The groups of one namespace."""
        for kind in TYPES:
            folder = namespace_path(self.base, ns) / kind
            if folder.is_dir():
                yield from (Group(ns, kind, entry.name) for entry in sorted(folder.iterdir()) if entry.is_dir())

    def owner(self, group: Group) -> str:
        """The authentication id that owns a group; FileNotFoundError if there is no such group."""
        return (group.path(self.base) / OWNER).read_text().strip()

    def set_owner(self, group: Group, owner: str) -> None:
        write_durably(group.path(self.base) / OWNER, f"{owner}\n".encode())

    def has_group(self, group: Group) -> bool:
        """Whether the group has an owner: it exists from its first backup on."""
        return (group.path(self.base) / OWNER).exists()

    def group_notes(self, group: Group) -> str:
        """What was noted about a group."""
        path = group.path(self.base) / NOTES
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def set_group_notes(self, group: Group, notes: str) -> None:
        write_durably(group.path(self.base) / NOTES, notes.encode())

    def remove_group(self, group: Group) -> tuple[int, int]:
        """Remove a group but for its protected snapshots; returns (snapshots removed, protected ones left)."""
        removed = protected = 0
        for snapshot in self.snapshots(group):
            if self.is_protected(snapshot):
                protected += 1
            else:
                self.forget(snapshot)
                removed += 1
        if not protected:
            shutil.rmtree(group.path(self.base), ignore_errors=True)
        return removed, protected

    def move_group(self, group: Group, ns: str, *, merge: bool) -> Group:
        """Move a group to another namespace of this datastore; returns it there. Raises AgentError.

        With `merge` its snapshots join a group of the same owner that is there, unless one is of the same time.
        """
        target = replace(group, ns=ns)
        if target == group:
            raise AgentError("source and target namespace must be different")
        if not self.has_namespace(ns):
            raise AgentError(f"target namespace '{ns}' does not exist")
        if group in self._writers or target in self._writers:
            raise AgentError(f"unable to acquire lock on backup group '{group}' - another backup is running")
        if not self.has_group(target):
            target.path(self.base).parent.mkdir(parents=True, exist_ok=True)
            group.path(self.base).rename(target.path(self.base))
            return target
        if not merge:
            raise AgentError(f"group '{group}' already exists in target namespace '{ns}'")
        if self.owner(group) != self.owner(target):
            raise AgentError(f"cannot merge group '{group}': owner differs")
        taken = {snapshot.time for snapshot in self.snapshots(target)}
        if any(snapshot.time in taken for snapshot in self.snapshots(group)):
            raise AgentError(f"cannot merge group '{group}': a snapshot exists in both")
        for snapshot in self.snapshots(group):
            snapshot.path(self.base).rename(Snapshot(target, snapshot.time).path(self.base))
        shutil.rmtree(group.path(self.base))
        return target

    def snapshots(self, group: Group) -> list[Snapshot]:
        """The complete snapshots of a group, oldest first."""
        folder = group.path(self.base)
        if not folder.is_dir():
            return []
        stamps = (parse_stamp(entry.name) for entry in folder.iterdir() if (entry / MANIFEST).exists())
        return [Snapshot(group, stamp) for stamp in sorted(filter(None, stamps))]

    def all_snapshots(self) -> Iterator[Snapshot]:
        """Every complete snapshot of the datastore."""
        for ns in self.namespaces():
            for group in self.groups(ns):
                yield from self.snapshots(group)

    def manifest(self, snapshot: Snapshot) -> Manifest:
        """A snapshot's manifest; FileNotFoundError, DamagedBlob, ValueError."""
        return Manifest.decode((snapshot.path(self.base) / MANIFEST).read_bytes(), snapshot)

    def write_manifest(self, manifest: Manifest) -> None:
        write_durably(manifest.snapshot.path(self.base) / MANIFEST, manifest.encode())

    def is_protected(self, snapshot: Snapshot) -> bool:
        return (snapshot.path(self.base) / PROTECTED).exists()

    def protect(self, snapshot: Snapshot, protected: bool) -> None:
        """Keep a snapshot from being pruned or forgotten, or release it."""
        marker = snapshot.path(self.base) / PROTECTED
        if protected:
            marker.touch()
        else:
            marker.unlink(missing_ok=True)

    def forget(self, snapshot: Snapshot) -> None:
        """Remove a snapshot; its chunks wait for garbage collection. Raises AgentError for a protected one."""
        if self.is_protected(snapshot):
            raise AgentError(f"cannot remove protected snapshot {snapshot}")
        folder = snapshot.path(self.base)
        # Without its manifest a snapshot does not exist any more, however far the removal of the rest gets.
        (folder / MANIFEST).unlink()
        shutil.rmtree(folder)
        if not any(entry.is_dir() for entry in snapshot.group.path(self.base).iterdir()):
            shutil.rmtree(snapshot.group.path(self.base))

    # --- reading and writing files --------------------------------------------------------------------------------

    def index(self, snapshot: Snapshot, filename: str) -> Index:
        """The index of an image or a stream; FileNotFoundError, DamagedIndex."""
        return decode_index((snapshot.path(self.base) / filename).read_bytes())

    def digests(self, snapshot: Snapshot) -> frozenset[bytes]:
        """Every chunk that a snapshot refers to."""
        if snapshot not in self._digests:
            self._digests.clear()
            files = [path for path in snapshot.path(self.base).iterdir() if path.suffix in SUFFIXES]
            found = (digest for path in files for digest in decode_index(path.read_bytes()).digests)
            self._digests[snapshot] = frozenset(found)
        return self._digests[snapshot]

    def blob(self, snapshot: Snapshot, filename: str) -> bytes:
        """The content of a `.blob` file of a snapshot; FileNotFoundError, DamagedBlob."""
        return decode((snapshot.path(self.base) / filename).read_bytes())

    @contextmanager
    def backup(self, group: Group, time: int, owner: str, now: float) -> Iterator[SnapshotWriter]:
        """Write one snapshot; it exists once the block is left without an error, else nothing of it is left.

        One writer a group at a time, by the group's owner, and only later than what is there (as the server demands).
        """
        if group in self._writers:
            raise AgentError(f"unable to acquire lock on backup group '{group}' - another backup is running")
        folder = group.path(self.base)
        if not self.has_namespace(group.ns):
            raise AgentError(f"namespace '{group.ns}' not found")
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / OWNER).exists():
            self.set_owner(group, owner)
        elif not owns(self.owner(group), owner):
            raise AgentError(f"backup owner check failed ({owner} != {self.owner(group)})")
        snapshot = Snapshot(group, time)
        existing = self.snapshots(group)
        if existing and existing[-1].time >= time:
            raise AgentError("backup timestamp is older than last backup.")
        shutil.rmtree(snapshot.path(self.base), ignore_errors=True)
        snapshot.path(self.base).mkdir()
        self._writers[group] = now
        try:
            writer = SnapshotWriter(self, snapshot, now)
            yield writer
            # a manifest promises that everything it names is on stable storage
            self.chunks.flush()
            self.write_manifest(writer.manifest)
        except BaseException:
            shutil.rmtree(snapshot.path(self.base), ignore_errors=True)
            raise
        finally:
            del self._writers[group]

    def discard_unfinished(self) -> None:
        """Remove what a crash left of backups that were being written; nobody may be writing one."""
        for ns in self.namespaces():
            for group in self.groups(ns):
                for folder in group.path(self.base).iterdir():
                    if parse_stamp(folder.name) is not None and not (folder / MANIFEST).exists():
                        shutil.rmtree(folder, ignore_errors=True)

    # --- upkeep ---------------------------------------------------------------------------------------------------

    def collect_garbage(self, now: float) -> Garbage:
        """Mark what is referenced, sweep the rest, and remember what was found.

        Indexes of unfinished snapshots count too, and nothing younger than the oldest running backup is swept.
        """
        found = collect(self.chunks, self._indexes(), now, list(self._writers.values()))
        write_durably(self.base / STATUS, json.dumps(found.to_json()).encode())
        return found

    def _indexes(self) -> Iterator[Path]:
        for ns in self.namespaces():
            for group in self.groups(ns):
                try:
                    folders = [path for path in group.path(self.base).iterdir() if parse_stamp(path.name) is not None]
                except FileNotFoundError:  # removed meanwhile, as may be every snapshot in it
                    continue
                for folder in folders:
                    with suppress(FileNotFoundError):
                        yield from [path for path in folder.iterdir() if path.suffix in SUFFIXES]

    @property
    def garbage(self) -> Garbage:
        """What the last garbage collection found; all zero before the first one."""
        path = self.base / STATUS
        return Garbage.from_json(json.loads(path.read_text())) if path.exists() else Garbage()

    @property
    def writers(self) -> int:
        """How many backups are being written."""
        return len(self._writers)
