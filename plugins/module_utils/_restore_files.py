# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single files out of a guest's backup, onto the machine where the module runs (facts §12). Private to this collection.

A path in a backup begins with the archive: ``/root.pxar.didx/etc/hosts`` of a container,
``/drive-scsi0.img.fidx/part/1/etc/hosts`` of a virtual machine. The API takes it in base64.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._api import Api, Result
from ._backups import CHOICE, Backup, check_choice, choose_backup
from ._errors import ApiError, InputError, QuorateError, StateError
from ._plan import CREATE, UPDATE, Change, raise_all, simple_change
from ._pure.lists import natural_sorted

ARGUMENTS: dict[str, Any] = {
    **CHOICE,
    "node": {"type": "str"},
    "files": {"type": "list", "elements": "str", "required": True},
    "dest": {"type": "path", "required": True},
    "overwrite": {"type": "bool", "default": False},
}

# What the server makes of a directory that is asked for as an archive
_ARCHIVE = ".tar.zst"


@dataclass(frozen=True)
class Wanted:
    """One file of the backup and its place here. ``size`` in bytes, None for a directory's archive."""

    path: str
    target: Path
    size: int | None
    mtime: int

    def is_there(self) -> bool:
        """Whether it was fetched already: what was fetched has the time that it has in the backup."""
        if not self.target.is_file():
            return False
        found = self.target.stat()
        return int(found.st_mtime) == self.mtime and self.size in (None, found.st_size)


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    check_choice(params)
    with Api.open(params, check_mode) as api:
        return _Run(api, params).go()


class _Run:
    """Files of one backup."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api, self.params = api, params
        self.node = self._node()

    def go(self) -> Result:
        """Look, fetch what is missing."""
        backup = choose_backup(self.api, self.params, self.node)
        if backup is None:
            changes = [simple_change(CREATE, "file", path, {}) for path in self.params["files"]]
            return self.api.result(changes, backup=None, files=[], bytes=0)
        wanted = self._wanted(backup)
        missing = [one for one in wanted if not one.is_there()]
        if not self.params["overwrite"]:
            raise_all(
                [
                    StateError(
                        f"{one.target} is there already, and is not what the backup has",
                        where="dest",
                        hint="Give another directory, or say overwrite: true.",
                    )
                    for one in missing
                    if one.target.exists()
                ]
            )
        changes = [self._change(one, backup) for one in missing]
        self.api.approve(changes)
        fetched = 0 if self.api.check_mode else sum(self._fetch(one, backup) for one in missing)
        return self.api.result(changes, backup=backup.shown(), files=[str(one.target) for one in wanted], bytes=fetched)

    def _node(self) -> str:
        node = self.params["node"]
        if node is not None:
            self.api.check_reference("node", node, "node")
            return str(node)
        online = natural_sorted(name for name in self.api.nodes if self.api.online(name))
        return online[0]

    def _path(self, backup: Backup, what: str) -> str:
        return f"/nodes/{self.node}/storage/{backup.storage}/file-restore/{what}"

    def _list(self, backup: Backup, path: str) -> list[Mapping[str, Any]]:
        filepath = "/" if path == "/" else _encoded(path)
        rows: list[Mapping[str, Any]] = self.api.client.get(
            self._path(backup, "list"), volume=backup.volid, filepath=filepath
        )
        return rows

    def _wanted(self, backup: Backup) -> list[Wanted]:
        """Every file with its place, looked up in the backup."""
        archives = [str(row["text"]) for row in self._list(backup, "/")]
        wanted: list[Wanted] = []
        errors: list[QuorateError] = []
        for index, path in enumerate(self.params["files"]):
            where = f"files[{index}] ({path})"
            try:
                one = self._one(backup, archives, path, where)
            except (InputError, StateError, ApiError) as error:
                errors.append(error.at(where))
                continue
            if any(one.target == other.target for other in wanted):
                errors.append(InputError("it is given twice", where=where))
            wanted.append(one)
        raise_all(errors)
        return wanted

    def _one(self, backup: Backup, archives: list[str], path: str, where: str) -> Wanted:
        parts = [part for part in path.split("/") if part]
        if ".." in parts or not parts:
            raise InputError("a path from the root of the backup is needed", where=where)
        inside = parts
        if parts[0] in archives:
            inside = parts[1:]
        elif backup.type == "ct" and len(archives) == 1:
            parts = [archives[0], *parts]
        if parts[0] not in archives or not inside:
            raise InputError(
                "the path names no archive of the backup",
                where=where,
                hint=f"It begins with one of: {', '.join(f'/{name}/' for name in archives) or 'none'}.",
            )
        folder, name = "/" + "/".join(parts[:-1]), parts[-1]
        row = next((row for row in self._list(backup, folder) if row["text"] == name), None)
        if row is None:
            raise StateError(f"{backup.volid} has no /{'/'.join(parts)}", where=where)
        target = Path(self.params["dest"]).joinpath(*inside)
        if row["type"] == "d":
            target = target.with_name(target.name + _ARCHIVE)
            return Wanted("/" + "/".join(parts), target, None, backup.time)
        if row["type"] != "f":
            raise StateError("it is neither a file nor a directory", where=where)
        return Wanted("/" + "/".join(parts), target, int(row["size"]), int(row.get("mtime") or backup.time))

    def _change(self, one: Wanted, backup: Backup) -> Change:
        after = {"path": one.path, "backup": backup.volid}
        if one.target.exists():
            return simple_change(UPDATE, "file", str(one.target), after, {"size": one.target.stat().st_size})
        return simple_change(CREATE, "file", str(one.target), after)

    def _fetch(self, one: Wanted, backup: Backup) -> int:
        """All of it or nothing, readable for its owner alone."""
        try:
            _make_private(one.target.parent)
            handle, temporary = tempfile.mkstemp(dir=one.target.parent, prefix=f".{one.target.name}.")
        except OSError as error:
            raise InputError(f"{one.target} cannot be written: {error.strerror}", where="dest") from error
        params: dict[str, Any] = {"volume": backup.volid, "filepath": _encoded(one.path)}
        if one.size is None:
            params["tar"] = 1
        try:
            with os.fdopen(handle, "wb") as file:
                fetched = self.api.client.download(self._path(backup, "download"), file, **params)
            if one.size not in (None, fetched):
                raise StateError(f"{one.path} has {one.size} bytes, and {fetched} arrived", hint="Run again.")
            os.utime(temporary, (one.mtime, one.mtime))
            Path(temporary).replace(one.target)
        except OSError as error:
            raise InputError(f"{one.target} cannot be written: {error.strerror}", where="dest") from error
        finally:
            Path(temporary).unlink(missing_ok=True)
        return fetched


def _make_private(directory: Path) -> None:
    """Make a directory and those above it that are missing, for their owner alone."""
    for missing in reversed([each for each in (directory, *directory.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _encoded(path: str) -> str:
    return base64.b64encode(path.encode()).decode()
