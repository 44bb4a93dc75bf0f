# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the tree in the host's root file system, for readers that know files only. Nobody writes there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from agentstack.cluster.tree import LOCKS, Entry, Tree


class Mirror:
    """`ROOT/etc/pve`. Below `priv` directories only the owner reads (observed: files).

    Locks are not copied: they come and go with every change, and nobody reads them there.
    """

    def __init__(self, root: Path, links: Mapping[str, str]) -> None:
        """`links`: name -> target of the links in the top directory."""
        self.root = root
        self.links = links

    def rebuild(self, tree: Tree) -> None:
        """Bring the whole copy in line with the tree."""
        self.root.mkdir(parents=True, exist_ok=True)
        for directory, _, files in os.walk(self.root, topdown=False):
            relative = os.path.relpath(directory, self.root)
            inside = "" if relative == "." else relative
            for name in files:
                path = f"{inside}/{name}" if inside else name
                entry = tree.entries.get(path)
                if entry is None or entry.data is None:
                    Path(directory, name).unlink()
            if inside and inside not in tree.children and not Path(directory).is_symlink():
                shutil.rmtree(directory)
        for path, entry in tree.walk():
            if not _is_lock(path):
                self._put(path, entry)
        for name, target in self.links.items():
            link = self.root / name
            if not link.is_symlink() or os.readlink(link) != target:
                link.unlink(missing_ok=True)
                link.symlink_to(target)

    def update(self, changes: Mapping[str, Entry | None]) -> None:
        """Follow changes of the tree."""
        changes = {path: entry for path, entry in changes.items() if not _is_lock(path)}
        for path in sorted((path for path, entry in changes.items() if entry is None), reverse=True):
            target = self.root / path
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        for path in sorted(changes):
            entry = changes[path]
            if entry is not None:
                self._put(path, entry)

    def _put(self, path: str, entry: Entry) -> None:
        target = self.root / path
        private = "priv" in path.split("/")
        if entry.data is None:
            target.mkdir(mode=0o700 if private else 0o755, parents=True, exist_ok=True)
            return
        if target.is_file() and target.read_bytes() == entry.data:
            os.utime(target, (entry.mtime, entry.mtime))
            return
        temporary = target.with_name(f".{target.name}.new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400 if private else 0o440)
        with open(descriptor, "wb") as stream:
            stream.write(entry.data)
        os.utime(temporary, (entry.mtime, entry.mtime))
        temporary.replace(target)


def _is_lock(path: str) -> bool:
    return path.startswith(f"{LOCKS}/")
