# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: what stands behind `STORAGE:NAME`, and what each kind of storage can do with it.

A new kind of storage is a class with the methods of `Backend`, entered in the table of `storages`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from agentstack.errors import AgentError
from agentstack.sections import Entry
from agentstack.storage import sparse

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "parse": "unable to parse volume ID '{volid}'",
    "name": "illegal name '{name}' - should be '{prefix}-{vmid}-*'",
    "directory_name": "unable to parse directory volume name '{name}'",
    "missing": "volume '{volid}' does not exist",
    "exists": "disk image '{path}' already exists",
    "no_directory": "unable to activate storage '{id}' - directory '{path}' does not exist or is unreachable",
    "no_mount": "unable to activate storage '{id}' - directory is expected to be a mount point but is not mounted: "
    "'{path}'",
    "used": "base volume '{volid}' is still in use by linked cloned\n",
    "protected": "cannot remove protected volume '{name}' on '{id}'\n",
}

_IMAGE = re.compile(r"(\d+)/((?:vm|base|subvol|basevol)-(\d+)-[\w.-]+?)(?:\.(raw|qcow2|vmdk|subvol))?", re.ASCII)
_LINKED = re.compile(r"(\d+/base(?:vol)?-\d+-[\w.-]+)/(\d+/.+)", re.ASCII)
"""Volumes that are clones of a base volume are named with it: `100/base-100-disk-0.raw/101/vm-101-disk-0.qcow2`."""

_FILE_KINDS = {
    "iso": ("template/iso", (".iso", ".img")),
    "vztmpl": ("template/cache", (".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tar")),
    "backup": ("dump", (".vma", ".vma.gz", ".vma.lzo", ".vma.zst", ".tar", ".tar.gz", ".tar.lzo", ".tar.zst", ".tgz")),
    "snippets": ("snippets", ("",)),
    "import": ("import", (".ova", ".ovf", ".qcow2", ".raw", ".vmdk")),
}
_BACKUP_OWNER = re.compile(r"vzdump-(?:qemu|lxc)-(\d+)-")


@dataclass(frozen=True)
class Volume:
    """A volume as `content` lists it. Sizes in bytes, `created` in seconds since the epoch."""

    volid: str
    content: str
    format: str
    size: int
    used: int
    created: int
    vmid: int | None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What else the listing of a backup tells: notes, protection, verification."""


@dataclass(frozen=True)
class Usage:
    """Bytes of a storage."""

    total: int
    used: int
    available: int


class Backend(Protocol):
    """What a kind of storage does; `name` is the part of a volume id behind the colon."""

    shared_files: bool
    """The same bytes are reached from every node."""

    async def activate(self, entry: Entry) -> None: ...
    def usage(self, entry: Entry) -> Usage | None: ...
    def allocate(self, entry: Entry, vmid: int, name: str | None, form: str, size: int) -> str: ...
    def free(self, entry: Entry, name: str) -> None: ...
    def path(self, entry: Entry, name: str) -> Path: ...
    def device(self, entry: Entry, name: str) -> str: ...
    def list(self, entry: Entry) -> Iterator[Volume]: ...
    def resize(self, entry: Entry, name: str, size: int) -> None: ...
    def snapshot(self, entry: Entry, name: str, snapshot: str) -> None: ...
    def rollback(self, entry: Entry, name: str, snapshot: str) -> None: ...
    def delete_snapshot(self, entry: Entry, name: str, snapshot: str) -> None: ...
    def can_snapshot(self, entry: Entry, name: str) -> bool: ...
    def snapshot_path(self, entry: Entry, name: str, snapshot: str) -> Path: ...


@runtime_checkable
class Cloning(Protocol):
    """What a kind of storage does that has base volumes and clones that depend on them."""

    def make_base(self, entry: Entry, name: str) -> str: ...
    def clone(self, entry: Entry, name: str, vmid: int) -> str: ...


def base_name(name: str) -> str:
    """A volume's name as a base of clones: `vm-100-disk-0` is `base-100-disk-0` then."""
    directory, slash, last = name.rpartition("/")
    return directory + slash + re.sub(r"^(vm|subvol)-", lambda match: _BASES[match[1]], last)


_BASES = {"vm": "base-", "subvol": "basevol-"}


def free_name(taken: set[str], vmid: int, form: str, suffix: str = "") -> str:
    """The first `vm-VMID-disk-N` (or `subvol-…`) that is not taken."""
    prefix = "subvol" if form == "subvol" else "vm"
    number = 0
    while (name := f"{prefix}-{vmid}-disk-{number}{suffix}") in taken:
        number += 1
    return name


def check_name(name: str, vmid: int, form: str) -> None:
    """Raise AgentError for a volume name that does not belong to the guest."""
    prefix = "subvol" if form == "subvol" else "vm"
    if not re.fullmatch(rf"{prefix}-{vmid}-[\w.-]+", name, re.ASCII):
        raise AgentError(TEXTS["name"].format(name=name, prefix=prefix, vmid=vmid))


class Directory:
    """Files below a directory of the host (`dir`)."""

    shared_files = False

    def __init__(self, host: Host) -> None:
        self.host = host

    def base(self, entry: Entry) -> Path:
        """The directory on the real disk."""
        path: str = entry.values["path"]
        return self.host.root / os.path.normpath(path).lstrip("/")

    async def activate(self, entry: Entry) -> None:
        self._activate(entry)

    def _activate(self, entry: Entry) -> None:
        path = entry.values["path"]
        mountpoint = entry.values.get("is_mountpoint", "no")
        if mountpoint not in ("no", "0"):
            wanted = path if mountpoint in ("yes", "1") else mountpoint
            if wanted not in self.host.disks.mounts().values():
                raise AgentError(TEXTS["no_mount"].format(id=entry.id, path=wanted))
        base = self.base(entry)
        if entry.values.get("create-base-path", entry.values.get("mkdir", 1)):
            base.mkdir(parents=True, exist_ok=True)
        if not base.is_dir():
            raise AgentError(TEXTS["no_directory"].format(id=entry.id, path=path))

    def usage(self, entry: Entry) -> Usage | None:
        try:  # a look at a storage's status activates it: so each node makes the directory for itself
            self._activate(entry)
        except AgentError:
            return None
        return self.host.storage.filesystem(entry.values["path"])

    def _split(self, name: str) -> tuple[Path, str, int | None, str]:
        """Relative path, content type, owner and format of a volume name."""
        if linked := _LINKED.fullmatch(name):
            name = linked[2]
        if match := _IMAGE.fullmatch(name):
            if match[1] != match[3] or ".." in name:
                raise AgentError(TEXTS["directory_name"].format(name=name))
            return Path("images") / name, "images", int(match[1]), match[4] or "raw"
        kind, _, file = name.partition("/")
        if kind not in _FILE_KINDS or not file or "/" in file or file.startswith("."):
            raise AgentError(TEXTS["directory_name"].format(name=name))
        owner = _BACKUP_OWNER.match(file)
        return Path(_FILE_KINDS[kind][0]) / file, kind, int(owner[1]) if owner else None, file.rpartition(".")[2]

    def allocate(self, entry: Entry, vmid: int, name: str | None, form: str, size: int) -> str:
        directory = self.base(entry) / "images" / str(vmid)
        suffix = "" if form == "subvol" else f".{form}"
        if name is None:
            name = free_name({file.name for file in directory.glob("*")}, vmid, form, suffix)
        check_name(name, vmid, form)
        path = directory / name
        if path.exists():
            raise AgentError(TEXTS["exists"].format(path=self.device(entry, f"{vmid}/{name}")))
        if form == "subvol":
            path.mkdir(parents=True)
        else:
            sparse.create(path, size)
        return f"{vmid}/{name}"

    def free(self, entry: Entry, name: str) -> None:
        path = self.path(entry, name)
        if self._has_clones(entry, path):
            raise AgentError(TEXTS["used"].format(volid=f"{entry.id}:{name}"))
        for kept in path.parent.glob(f".{path.name}*"):
            kept.unlink()
        if path.is_dir():
            for file in sorted(path.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            path.rmdir()
        else:
            if _beside(path, ".protected").exists():
                raise AgentError(TEXTS["protected"].format(name=name, id=entry.id))
            if path.parent.name == "dump":
                _beside(path, ".notes").unlink(missing_ok=True)
                path.with_name(f"{path.name.partition('.')[0]}.log").unlink(missing_ok=True)
            path.unlink()
        if path.parent.parent.name == "images" and not any(path.parent.iterdir()):
            path.parent.rmdir()

    def path(self, entry: Entry, name: str) -> Path:
        path = self.base(entry) / self._split(name)[0]
        if not path.exists():
            raise AgentError(TEXTS["missing"].format(volid=f"{entry.id}:{name}"))
        return path

    def device(self, entry: Entry, name: str) -> str:
        return f"{entry.values['path']}/{self._split(name)[0]}"

    def list(self, entry: Entry) -> Iterator[Volume]:
        base = self.base(entry)
        for path in sorted((base / "images").glob("*/*")):
            name = f"{path.parent.name}/{path.name}"
            if _IMAGE.fullmatch(name):
                _, _, vmid, form = self._split(name)
                volume = self._volume(entry, path, name, "images", form, vmid)
                if (parent := _beside(path.with_name(f".{path.name}"), ".parent")).exists():
                    under = parent.read_text(encoding="utf-8")
                    origin = path.parents[1] / under
                    used = sparse.written(path, origin) if origin.exists() else volume.used
                    volume = replace(volume, volid=f"{entry.id}:{under}/{name}", used=used)
                yield volume
        for kind, (directory, suffixes) in _FILE_KINDS.items():
            for path in sorted((base / directory).glob("*")):
                suffix = next((suffix for suffix in suffixes if path.name.endswith(suffix)), None)
                if suffix is not None and path.is_file():
                    owner = _BACKUP_OWNER.match(path.name)
                    form = suffix.lstrip(".") if kind != "snippets" else "snippet"
                    name = f"{kind}/{path.name}"
                    yield self._volume(entry, path, name, kind, form, int(owner[1]) if owner else None)

    def _volume(self, entry: Entry, path: Path, name: str, content: str, form: str, vmid: int | None) -> Volume:
        stat = path.stat()
        size = sparse.allocated(path) if path.is_dir() else stat.st_size
        extra = _backup_extra(path) if content == "backup" else {}
        used, created = sparse.allocated(path), int(stat.st_mtime)
        return Volume(f"{entry.id}:{name}", content, form, size, used, created, vmid, extra)

    def resize(self, entry: Entry, name: str, size: int) -> None:
        os.truncate(self.path(entry, name), size)

    def can_snapshot(self, entry: Entry, name: str) -> bool:
        return self._split(name)[3] == "qcow2"

    def make_base(self, entry: Entry, name: str) -> str:
        path = self.path(entry, name)
        new = base_name(name)
        path.rename(path.with_name(new.rpartition("/")[2]))
        return new

    def clone(self, entry: Entry, name: str, vmid: int) -> str:
        base = self.path(entry, name)
        directory = self.base(entry) / "images" / str(vmid)
        directory.mkdir(parents=True, exist_ok=True)
        # only qcow2 can lie over another image, whatever the format of that one is
        own = free_name({file.name for file in directory.glob("*")}, vmid, "qcow2", ".qcow2")
        sparse.copy(base, directory / own)
        parent = f"{base.parent.name}/{base.name}"
        _beside(directory / f".{own}", ".parent").write_text(parent, encoding="utf-8")
        return f"{parent}/{vmid}/{own}"

    def _has_clones(self, entry: Entry, path: Path) -> bool:
        own = f"{path.parent.name}/{path.name}"
        clones = (self.base(entry) / "images").glob("*/.*.parent")
        return any(file.read_text(encoding="utf-8") == own for file in clones)

    def snapshot_path(self, entry: Entry, name: str, snapshot: str) -> Path:
        # where qcow2 keeps its snapshots inside the image, a copy stands beside it, out of sight of `list`
        path = self.path(entry, name)
        return path.with_name(f".{path.name}@{snapshot}")

    def snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        sparse.copy(self.path(entry, name), self.snapshot_path(entry, name, snapshot))

    def rollback(self, entry: Entry, name: str, snapshot: str) -> None:
        sparse.copy(self.snapshot_path(entry, name, snapshot), self.path(entry, name))

    def delete_snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        self.snapshot_path(entry, name, snapshot).unlink(missing_ok=True)


def _backup_extra(path: Path) -> dict[str, Any]:
    """What is noted in files beside a backup, and what its name says."""
    found: dict[str, Any] = {}
    if match := re.match(r"vzdump-(qemu|lxc)-", path.name):
        found["subtype"] = match[1]
    if (notes := _beside(path, ".notes")).exists():
        found["notes"] = notes.read_text(encoding="utf-8")
    if _beside(path, ".protected").exists():
        found["protected"] = 1
    return found


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
