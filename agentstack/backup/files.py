# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of containers in backups: one tar stream, a catalogue of what is in it, and single files out of it.

A mount point's files lie below its path. A container whose root is one raw image has no file system that could be read
here: what its guest keeps on it is the stream's only file.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import zstandard

from agentstack.backup.exclude import Excludes, excluding
from agentstack.guests.guests import RECORDS
from agentstack.guests.process import AREA, RECORD_SIZE

FILES = "root.pxar.didx"
CATALOG = "catalog.pcat1.didx"
_TYPES = {tarfile.DIRTYPE: "d", tarfile.REGTYPE: "f", tarfile.AREGTYPE: "f", tarfile.SYMTYPE: "l", tarfile.LNKTYPE: "h"}
"""Types of entries as a catalogue names them; all others are `b`, a device or a pipe."""


@dataclass(frozen=True)
class Entry:
    """A file in the stream. `path` begins with `/`; `start`: where its content lies in the stream."""

    path: str
    kind: str
    size: int
    mtime: int
    start: int


_NOTHING = excluding((), tar=False)


def pack(target: Path, places: Sequence[tuple[str, Path]], excludes: Excludes = _NOTHING) -> None:
    """Write the stream of a container: (mount point, directory or raw image) of each of its volumes.

    What `excludes` names is left out, a directory with all that is in it.
    """

    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if excludes(_inside(member), member.isdir()) else member

    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for point, source in places:
            inside = "./" + point.strip("/")
            if source.is_dir():
                archive.add(source, arcname=inside.rstrip("/") or ".", filter=wanted)
            else:
                _add_image(archive, inside, source, excludes)


def _inside(member: tarfile.TarInfo) -> str:
    """Where a member lies in the container: `/var/log`."""
    return "/" + str(PurePosixPath("/", member.name)).strip("/")


def _add_image(archive: tarfile.TarFile, inside: str, source: Path, excludes: Excludes) -> None:
    base, mtime = PurePosixPath(inside), int(source.stat().st_mtime)
    for folder in reversed(PurePosixPath(RECORDS).parents):
        info = tarfile.TarInfo(f"./{base / folder}")
        info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, mtime
        if excludes(_inside(info), True):
            return
        archive.addfile(info)
    info = tarfile.TarInfo(f"./{base / RECORDS}")
    if excludes(_inside(info), False):
        return
    info.size, info.mode, info.mtime = max(0, _end_of_data(source) - AREA), 0o640, mtime
    with source.open("rb") as stream:
        stream.seek(AREA)
        archive.addfile(info, stream)


def _end_of_data(path: Path) -> int:
    """Behind the last byte of a sparse file that is not a hole."""
    with path.open("rb", buffering=0) as stream:
        position = end = 0
        while True:
            try:
                position = os.lseek(stream.fileno(), position, os.SEEK_DATA)
            except OSError:  # nothing but holes from here on
                return end
            position = end = os.lseek(stream.fileno(), position, os.SEEK_HOLE)


def unpack(source: IO[bytes], places: Sequence[tuple[str, Path]]) -> None:
    """Read a stream into a container's volumes, which exist and are empty; the longest mount point that fits counts."""
    ordered = sorted(((f"/{point.strip('/')}", target) for point, target in places), key=lambda one: -len(one[0]))
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            path = _inside(member)
            point, target = next(one for one in ordered if path == one[0] or path.startswith(one[0].rstrip("/") + "/"))
            inside = path[len(point) :].strip("/")
            if target.is_dir():
                member.name = inside or "."
                archive.extract(member, target, filter="tar", numeric_owner=True, set_attrs=member.isreg())
            elif inside == RECORDS and (content := archive.extractfile(member)) is not None:
                _write_image(target, content)


def _write_image(target: Path, content: IO[bytes]) -> None:
    with target.open("r+b") as image:
        image.seek(AREA)
        while data := content.read(1 << 20):
            image.write(data)


def catalogue(stream: Path) -> bytes:
    """The catalogue of a stream that lies in a file."""
    rows = []
    with tarfile.open(stream, "r:") as archive:
        for member in archive:
            path = _inside(member)
            kind = _TYPES.get(member.type, "b")
            rows.append([path, kind, member.size if kind == "f" else 0, int(member.mtime), member.offset_data])
    return json.dumps({"entries": rows}).encode()


def read_catalogue(content: bytes) -> list[Entry]:
    """The entries of a catalogue; raises ValueError."""
    return [Entry(*row) for row in json.loads(content)["entries"]]


def listing(entries: Sequence[Entry], path: str) -> list[Entry]:
    """What lies directly in a directory; raises FileNotFoundError for one that is not there."""
    base = "/" + path.strip("/")
    if base != "/" and not any(entry.path == base for entry in entries):
        raise FileNotFoundError(base)
    prefix = base.rstrip("/") + "/"
    inside = (entry for entry in entries if entry.path.startswith(prefix) and entry.path != base)
    return sorted((one for one in inside if "/" not in one.path[len(prefix) :]), key=lambda one: one.path)


class ChunkedStream(io.RawIOBase):
    """A stream under an index, read as a file. `chunks`: digest, offset, size of each; `read_chunk` gets the data."""

    def __init__(self, chunks: Sequence[tuple[bytes, int, int]], read_chunk: Callable[[bytes], bytes]) -> None:
        self._chunks = chunks
        self._read_chunk = read_chunk
        self._position = 0
        self._held: tuple[int, bytes] = (-1, b"")
        self.size = chunks[-1][1] + chunks[-1][2] if chunks else 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        number = self._number()
        if number is None:
            return 0
        digest, start, _ = self._chunks[number]
        if self._held[0] != number:
            self._held = number, self._read_chunk(digest)
        part = self._held[1][self._position - start :][: len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _number(self) -> int | None:
        low, high = 0, len(self._chunks)
        while low < high:
            middle = (low + high) // 2
            _, start, size = self._chunks[middle]
            if self._position < start:
                high = middle
            elif self._position >= start + size:
                low = middle + 1
            else:
                return middle
        return None


def content_of(stream: IO[bytes], entry: Entry, entries: Sequence[Entry], *, as_tar: bool) -> Iterator[bytes]:
    """A file's bytes; of a directory (or of anything `as_tar`) a tar archive with what lies in it."""
    if entry.kind == "f" and not as_tar:
        stream.seek(entry.start)
        left = entry.size
        while left and (data := stream.read(min(left, 1 << 20))):
            left -= len(data)
            yield data
        return
    buffer = io.BytesIO()
    parent = entry.path.rpartition("/")[0]
    with tarfile.open(fileobj=buffer, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for one in entries:
            if one.path != entry.path and not one.path.startswith(entry.path.rstrip("/") + "/"):
                continue
            info = tarfile.TarInfo(one.path[len(parent) :].strip("/") or ".")
            info.mtime, info.mode = one.mtime, 0o755 if one.kind == "d" else 0o644
            if one.kind == "d":
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            elif one.kind == "f":
                info.size = one.size
                stream.seek(one.start)
                archive.addfile(info, stream)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def for_download(parts: Iterable[bytes], entry: Entry, *, tar: bool) -> bytes:
    """What :func:`content_of` gives, as clients get it: a file's bytes, a directory as zip, or with `tar` tar.zst."""
    content = b"".join(parts)
    if tar:
        return zstandard.compress(content)
    if entry.kind != "d":
        return content
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive, zipfile.ZipFile(buffer, "w") as packed:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            packed.writestr(member.name + ("/" if member.isdir() else ""), file.read() if file else b"")
    return buffer.getvalue()


def disk_entries(records: bytes, mtime: int) -> list[Entry]:
    """A disk of a virtual machine as a file restore shows it: one partition, with what the guest keeps on the disk."""
    parts = PurePosixPath("/part/1", RECORDS)
    entries = [Entry(str(folder), "d", 0, mtime, 0) for folder in reversed(parts.parents) if str(folder) != "/"]
    return [*entries, Entry(str(parts), "f", len(records), mtime, 0)] if records else entries[:2]


def whole_records(data: bytes) -> bytes:
    """The records at the beginning of a disk's area for them; what lies behind them is zero."""
    size = len(data.rstrip(b"\0"))
    return data[: -(-size // RECORD_SIZE) * RECORD_SIZE]
