# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's file system as its own programs see it: nothing outside of ROOT can be reached, /etc/pve is the store."""

from __future__ import annotations

import errno
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.host import Host

CLUSTER_FILES = "/etc/pve"
MAX_LINKS = 40
"""As many symbolic links as the kernel follows in one path (path_resolution(7))."""


@dataclass(frozen=True)
class Place:
    """Where a path leads. `path`: as the host sees it, without links; `cluster`: relative to /etc/pve, if below it."""

    path: str
    local: Path
    cluster: str | None


class RootFs:
    """Resolves paths of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def resolve(self, path: str, *, follow: bool = True, directory: str = "/root") -> Place:
        """Where `path` (relative ones begin in `directory`) leads; the last component need not exist.

        Links are followed as in a changed root: an absolute target begins at the host's root, and `..` stays there.
        With `follow` false a link as the last component is itself the place.
        """
        pending = posixpath.join(directory, path).split("/")[::-1]
        done: list[str] = []
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                done = done[:-1]
                continue
            here = "/" + "/".join([*done, name])
            target = self.link(here) if pending or follow else None
            if target is None:
                done.append(name)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                done = []
            pending += target.split("/")[::-1]
        final = "/" + "/".join(done)
        cluster = final[len(CLUSTER_FILES) :].lstrip("/") if self._is_cluster(final) else None
        return Place(final, self._local(final), cluster)

    def link(self, path: str) -> str | None:
        """What the link at `path` (absolute, without links before its last component) holds; None if it is none."""
        if self._is_cluster(path):
            directory, _, name = path.rpartition("/")
            return self.host.files.links.get(name) if directory == CLUSTER_FILES else None
        local = self._local(path)
        return os.readlink(local) if local.is_symlink() else None

    def read(self, path: str) -> bytes:
        """The content of a file; OSError as from the kernel."""
        place = self.resolve(path)
        if (shown := self.host.hardware.file(place.path)) is not None:
            return shown
        return place.local.read_bytes() if place.cluster is None else self.host.files.read(place.cluster)

    def exists(self, path: str) -> bool:
        """Whether the path leads to something."""
        place = self.resolve(path)
        if self.host.hardware.file(place.path) is not None:
            return True
        return place.local.exists() if place.cluster is None else self.host.files.exists(place.cluster)

    def is_directory(self, path: str) -> bool:
        """Whether the path leads to a directory."""
        place = self.resolve(path)
        return place.local.is_dir() if place.cluster is None else self.host.files.is_directory(place.cluster)

    def listdir(self, path: str) -> list[str]:
        """The names in a directory; OSError as from the kernel."""
        place = self.resolve(path)
        return os.listdir(place.local) if place.cluster is None else self.host.files.listdir(place.cluster)

    def _is_cluster(self, path: str) -> bool:
        if self.host.kind != "pve":
            return False
        return path == CLUSTER_FILES or path.startswith(f"{CLUSTER_FILES}/")

    def _local(self, path: str) -> Path:
        return self.host.root / path.lstrip("/")
