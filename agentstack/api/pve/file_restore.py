# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/storage/{storage}/file-restore: single files out of a backup on a backup server.

What a container's backup holds can be listed and fetched. A virtual machine's disks are shown with one partition each:
guests of agents keep records on their disks and no file system, so that these records are the only file there.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import IO, Any, cast

from aiohttp.web import Response

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.pbs.snapshot_content import decoded_path, row
from agentstack.backup import files
from agentstack.backup.rights import check_read
from agentstack.backup.sources import PbsSource, opened
from agentstack.errors import AgentError
from agentstack.guests.config import LXC, QEMU
from agentstack.guests.process import AREA

_PATH = "/nodes/{node}/storage/{storage}/file-restore"


def _volume(call: Call) -> str:
    host, storage = call.host, call["storage"]
    if host.storage.entry(storage).type != "pbs":
        raise AgentError("Only PBS storages supported for file-restore.")
    volume: str = call["volume"]
    volid = volume if volume.startswith(f"{storage}:") else f"{storage}:{volume}"
    check_read(host, call.identity, volid)
    return volid


async def _read(source: PbsSource, filename: str) -> bytes:
    index = await source.index(filename)
    return b"".join([await source.chunk(digest) for digest, _, _ in index.chunks()])


def _split(path: str) -> tuple[str, str]:
    archive, _, inside = path.strip("/").partition("/")
    return archive, "/" + inside


@dataclass(frozen=True)
class _Content:
    """What an archive holds: its catalogue, and how to read the stream under it."""

    entries: list[files.Entry]
    read: Callable[[files.Entry], Awaitable[IO[bytes]]]


async def _content(source: PbsSource, archive: str) -> _Content:
    if archive == files.FILES:
        entries = files.read_catalogue(await _read(source, files.CATALOG))
        return _Content(entries, lambda entry: _stream(source, entry, entries))
    key = archive.removeprefix("drive-").removesuffix(".img.fidx")
    if key not in await source.sizes():
        raise AgentError(f"'{archive}' not found")
    records = files.whole_records(await _area(source, key))

    async def stream(_entry: files.Entry) -> IO[bytes]:
        return io.BytesIO(records)

    return _Content(files.disk_entries(records, source.snapshot.time), stream)


async def _area(source: PbsSource, key: str) -> bytes:
    """A disk's data from the beginning of the area for records, as far as there is any without a hole."""
    found = bytearray()
    async with aclosing(source.data(key)) as pieces:  # type: ignore[type-var]
        async for start, data in pieces:
            behind = start + len(data) - AREA
            if behind > len(found):
                if start - AREA > len(found):
                    break
                found += data[len(data) - (behind - len(found)) :]
    return bytes(found)


async def _stream(source: PbsSource, entry: files.Entry, entries: list[files.Entry]) -> IO[bytes]:
    index = await source.index(files.FILES)
    chunks = [chunk for chunk in index.chunks() if _touches(chunk, entry, entries)]
    held = {digest: await source.chunk(digest) for digest, _, _ in chunks}
    return cast(IO[bytes], files.ChunkedStream(list(index.chunks()), held.__getitem__))


@pve("GET", f"{_PATH}/list")
async def list_files(call: Call) -> Json:
    volume, path = _volume(call), decoded_path(call["filepath"])
    kind = LXC if "/ct/" in volume else QEMU
    async with opened(call.host, kind, volume) as opened_source:
        source = cast(PbsSource, opened_source)
        if path == "/":
            return [_archive(files.FILES, "d")] if kind is LXC else await _disks(source)
        archive, inside = _split(path)
        content = await _content(source, archive)
        try:
            rows = [row(archive, entry) for entry in files.listing(content.entries, inside)]
        except FileNotFoundError as error:
            raise AgentError(f"'{path}' not found") from error
        return [{**one, "leaf": int(one["leaf"])} for one in rows]


def _archive(name: str, kind: str) -> dict[str, Any]:
    return {"filepath": base64.b64encode(f"/{name}".encode()).decode(), "text": name, "type": kind, "leaf": 0}


async def _disks(source: PbsSource) -> Json:
    return [{**_archive(f"drive-{key}.img.fidx", "v"), "size": size} for key, size in (await source.sizes()).items()]


@pve("GET", f"{_PATH}/download")
async def download(call: Call) -> Json:
    """A file; of a directory a zip archive, or with `tar` a tar.zst archive of what lies in it."""
    volume, path = _volume(call), decoded_path(call["filepath"])
    archive, inside = _split(path)
    tar = bool(call.get("tar"))
    async with opened(call.host, LXC if "/ct/" in volume else QEMU, volume) as source:
        content = await _content(cast(PbsSource, source), archive)
        entry = next((entry for entry in content.entries if entry.path == inside), None)
        if entry is None:
            raise AgentError(f"'{path}' not found")
        stream = await content.read(entry)
        parts = files.content_of(stream, entry, content.entries, as_tar=tar or entry.kind == "d")
        body = await asyncio.to_thread(files.for_download, parts, entry, tar=tar)
    return Response(body=body, headers={"Content-Type": "application/octet-stream"})


def _touches(chunk: tuple[bytes, int, int], entry: files.Entry, entries: list[files.Entry]) -> bool:
    _, start, size = chunk
    prefix = entry.path.rstrip("/") + "/"
    wanted = (one for one in entries if one.path == entry.path or one.path.startswith(prefix))
    return any(one.kind == "f" and one.start < start + size and one.start + one.size > start for one in wanted)
