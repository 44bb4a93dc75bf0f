# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/storage/{storage}/file-restore: single files out of a backup on a backup server.

What a container's backup holds can be listed and fetched. Of a virtual machine's only the disks are shown: guests of
agents keep records on their disks, and no file system that could be looked into.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from typing import IO, cast

from aiohttp.web import Response

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.pbs.snapshot_content import decoded_path, row
from agentstack.backup import files
from agentstack.backup.sources import PbsSource, Source, opened
from agentstack.errors import AgentError
from agentstack.guests.config import LXC, QEMU

_PATH = "/nodes/{node}/storage/{storage}/file-restore"


def _volume(call: Call) -> str:
    host, storage = call.host, call["storage"]
    host.access.check(call.identity, f"/storage/{storage}", ["Datastore.AllocateSpace"])
    if host.storage.entry(storage).type != "pbs":
        raise AgentError("Only PBS storages supported for file-restore.")
    volume: str = call["volume"]
    return volume if volume.startswith(f"{storage}:") else f"{storage}:{volume}"


async def _read(source: PbsSource, filename: str) -> bytes:
    index = await source.index(filename)
    return b"".join([await source.chunk(digest) for digest, _, _ in index.chunks()])


def _split(path: str) -> tuple[str, str]:
    archive, _, inside = path.strip("/").partition("/")
    return archive, "/" + inside


@pve("GET", f"{_PATH}/list")
async def list_files(call: Call) -> Json:
    volume, path = _volume(call), decoded_path(call["filepath"])
    kind = LXC if "/ct/" in volume else QEMU
    async with opened(call.host, kind, volume) as source:
        if kind is QEMU:
            return await _disks(source, path)
        if path == "/":
            name = base64.b64encode(f"/{files.FILES}".encode()).decode()
            return [{"filepath": name, "text": files.FILES, "type": "d", "leaf": 0}]
        archive, inside = _split(path)
        entries = files.read_catalogue(await _read(cast(PbsSource, source), files.CATALOG))
        try:
            rows = [row(archive, entry) for entry in files.listing(entries, inside)]
        except FileNotFoundError as error:
            raise AgentError(f"'{path}' not found") from error
        return [{**one, "leaf": int(one["leaf"])} for one in rows]


async def _disks(source: Source, path: str) -> Json:
    if path != "/":
        return []
    names = [(f"drive-{key}.img.fidx", size) for key, size in (await source.sizes()).items()]
    return [
        {"filepath": base64.b64encode(f"/{name}".encode()).decode(), "text": name, "type": "v", "leaf": 0, "size": size}
        for name, size in names
    ]


@pve("GET", f"{_PATH}/download")
async def download(call: Call) -> Json:
    """A file; of a directory (or with `tar`) an archive of what lies in it."""
    volume, path = _volume(call), decoded_path(call["filepath"])
    archive, inside = _split(path)
    if "/ct/" not in volume or archive != files.FILES:
        raise AgentError(f"'{path}' cannot be downloaded: only files of containers can be")
    async with opened(call.host, LXC, volume) as source:
        entries = files.read_catalogue(await _read(cast(PbsSource, source), files.CATALOG))
        entry = next((entry for entry in entries if entry.path == inside), None)
        if entry is None:
            raise AgentError(f"'{path}' not found")
        parts = [part async for part in _content(cast(PbsSource, source), entry, entries, tar=bool(call.get("tar")))]
    return Response(body=b"".join(parts), headers={"Content-Type": "application/octet-stream"})


async def _content(
    source: PbsSource, entry: files.Entry, entries: list[files.Entry], *, tar: bool
) -> AsyncIterator[bytes]:
    index = await source.index(files.FILES)
    chunks = [chunk for chunk in index.chunks() if _touches(chunk, entry, entries)]
    held = {digest: await source.chunk(digest) for digest, _, _ in chunks}
    stream = cast(IO[bytes], files.ChunkedStream(list(index.chunks()), held.__getitem__))
    parts: Iterator[bytes] = files.content_of(stream, entry, entries, as_tar=tar or entry.kind == "d")
    while (data := await asyncio.to_thread(next, parts, None)) is not None:
        yield data


def _touches(chunk: tuple[bytes, int, int], entry: files.Entry, entries: list[files.Entry]) -> bool:
    _, start, size = chunk
    prefix = entry.path.rstrip("/") + "/"
    wanted = (one for one in entries if one.path == entry.path or one.path.startswith(prefix))
    return any(one.kind == "f" and one.start < start + size and one.start + one.size > start for one in wanted)
