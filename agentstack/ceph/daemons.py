# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons of one host: their directories below /var/lib/ceph, and which of them run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["mon", "mgr", "mds", "osd"]
KINDS: tuple[Kind, ...] = ("mon", "mgr", "mds", "osd")
STOPPED = "stopped"


@dataclass(frozen=True)
class LocalOsd:
    """An OSD whose data lies on this host: `device` is the kernel's name of its disk (/dev/nvme0n1)."""

    number: int
    uuid: str
    device: str


class Daemons:
    """What is installed below `directory` (ROOT/var/lib/ceph)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._starts: dict[tuple[Kind, str], int] = {}

    def starts(self, kind: Kind, name: str) -> int:
        """How often a daemon was started since the host's boot."""
        return self._starts.get((kind, name), 0)

    def path(self, kind: Kind, name: str) -> Path:
        return self.directory / kind / f"ceph-{name}"

    def names(self, kind: Kind) -> list[str]:
        """Daemons of a kind that exist here."""
        folder = self.directory / kind
        if not folder.is_dir():
            return []
        return sorted(entry.name.removeprefix("ceph-") for entry in folder.iterdir())

    def create(self, kind: Kind, name: str) -> None:
        """Make a daemon's directory; it runs from now on, after every boot."""
        path = self.path(kind, name)
        path.mkdir(parents=True, exist_ok=True)
        (path / "keyring").touch(mode=0o600)

    def destroy(self, kind: Kind, name: str) -> None:
        """Remove a daemon's directory."""
        shutil.rmtree(self.path(kind, name), ignore_errors=True)

    def runs(self, kind: Kind, name: str) -> bool:
        """Whether the daemon exists and has not been stopped; one that lost what its directory held does not run."""
        path = self.path(kind, name)
        return (path / "keyring").exists() and not (path / STOPPED).exists()

    def running(self, kind: Kind) -> list[str]:
        """The daemons of a kind that run here."""
        return [name for name in self.names(kind) if self.runs(kind, name)]

    def switch(self, kind: Kind, name: str, on: bool) -> None:
        """Start or stop a daemon."""
        marker = self.path(kind, name) / STOPPED
        if on:
            marker.unlink(missing_ok=True)
            self._starts[kind, name] = self.starts(kind, name) + 1
        else:
            marker.touch()

    def create_osd(self, osd: LocalOsd) -> None:
        """Make an OSD's directory."""
        self.create("osd", str(osd.number))
        path = self.path("osd", str(osd.number))
        (path / "whoami").write_text(f"{osd.number}\n")
        (path / "fsid").write_text(f"{osd.uuid}\n")
        (path / "block.json").write_text(json.dumps({"device": osd.device}))

    def osds(self) -> list[LocalOsd]:
        """The OSDs of this host, by number."""
        found = []
        for name in self.names("osd"):
            path = self.path("osd", name)
            device = json.loads((path / "block.json").read_text())["device"]
            found.append(LocalOsd(int(name), (path / "fsid").read_text().strip(), device))
        return sorted(found, key=lambda osd: osd.number)
