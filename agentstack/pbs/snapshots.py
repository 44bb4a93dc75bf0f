# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and manifests of backups: namespaces, groups, snapshots, and the `index.json.blob` that completes one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentstack.pbs.blob import decode, encode

TYPES = ("vm", "ct", "host")
MANIFEST = "index.json.blob"
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, order=True)
class Group:
    """All snapshots of one guest or host in a namespace ("" is the root, "a/b" a nested one)."""

    ns: str
    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}/{self.id}"

    def path(self, base: Path) -> Path:
        """The group's directory below a datastore."""
        return namespace_path(base, self.ns) / self.type / self.id


@dataclass(frozen=True, order=True)
class Snapshot:
    """One backup; `time` in seconds since the epoch."""

    group: Group
    time: int

    def __str__(self) -> str:
        return f"{self.group}/{self.stamp}"

    @property
    def stamp(self) -> str:
        return datetime.fromtimestamp(self.time, UTC).strftime(_TIME_FORMAT)

    def path(self, base: Path) -> Path:
        """The snapshot's directory below a datastore."""
        return self.group.path(base) / self.stamp


def namespace_path(base: Path, ns: str) -> Path:
    """The directory of a namespace: each level lies in a folder `ns` of its parent."""
    path = base
    for name in filter(None, ns.split("/")):
        path = path / "ns" / name
    return path


def parse_stamp(text: str) -> int | None:
    """Seconds since the epoch of a snapshot directory's name, None for another directory."""
    try:
        return int(datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def owns(owner: str, authid: str) -> bool:
    """Whether a group of `owner` is `authid`'s: its own, or that of a token of the user."""
    return owner == authid or owner.startswith(f"{authid}!")


def valid_id(text: str) -> bool:
    """Whether a backup id or namespace component has the server's form."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True)
class BackupFile:
    """One file of a snapshot: name as stored (`drive-scsi0.img.fidx`), size of the data in bytes, checksum in hex."""

    filename: str
    size: int
    csum: str
    crypt_mode: str = "none"

    def to_json(self) -> dict[str, Any]:
        return {"filename": self.filename, "crypt-mode": self.crypt_mode, "size": self.size, "csum": self.csum}


@dataclass(frozen=True)
class Manifest:
    """What a complete snapshot consists of, and what may change later (`unprotected`: notes, verify state)."""

    snapshot: Snapshot
    files: tuple[BackupFile, ...]
    unprotected: dict[str, Any] = field(default_factory=dict, hash=False)
    signature: str | None = None
    """Of an encrypted backup: what its key says about `signed`."""

    def file(self, filename: str) -> BackupFile | None:
        return next((entry for entry in self.files if entry.filename == filename), None)

    @property
    def size(self) -> int:
        """Bytes of data in all files."""
        return sum(entry.size for entry in self.files)

    def noting(self, **values: Any) -> Manifest:
        """The same manifest with some of the unprotected values set (None removes one)."""
        merged = {key: value for key, value in {**self.unprotected, **values}.items() if value is not None}
        return replace(self, unprotected=merged)

    @property
    def signed(self) -> dict[str, Any]:
        """What never changes: the part that a signature covers."""
        return {
            "backup-type": self.snapshot.group.type,
            "backup-id": self.snapshot.group.id,
            "backup-time": self.snapshot.time,
            "files": [entry.to_json() for entry in self.files],
        }

    @property
    def fingerprint(self) -> str | None:
        """That of the key that the backup is encrypted with."""
        found: str | None = self.unprotected.get("key-fingerprint")
        return found

    def encode(self) -> bytes:
        """The content of `index.json.blob`."""
        document = {**self.signed, "unprotected": self.unprotected, "signature": self.signature}
        return encode(json.dumps(document).encode())

    @classmethod
    def decode(cls, content: bytes, snapshot: Snapshot) -> Manifest:
        """Read a manifest; raises DamagedBlob, or ValueError if it describes another snapshot."""
        document = json.loads(decode(content))
        named = (document["backup-type"], document["backup-id"], document["backup-time"])
        if named != (snapshot.group.type, snapshot.group.id, snapshot.time):
            raise ValueError(f"manifest of {'/'.join(map(str, named))} found in {snapshot}")
        files = tuple(
            BackupFile(entry["filename"], entry["size"], entry["csum"], entry.get("crypt-mode", "none"))
            for entry in document["files"]
        )
        return cls(snapshot, files, document.get("unprotected", {}), document.get("signature"))
