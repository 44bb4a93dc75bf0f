# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/admin/datastore/{store}: what is inside of snapshots - decoded files, catalogues, single files (facts §20.6)."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Iterator
from typing import IO, Any, cast

from aiohttp.web import Response

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.datastore import open_store, snapshot_of
from agentstack.backup import files
from agentstack.errors import AgentError
from agentstack.pbs.blob import DamagedBlob, is_encrypted
from agentstack.pbs.chunks import MissingChunk
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import DamagedIndex, is_index
from agentstack.pbs.snapshots import Manifest, Snapshot

_STORE = "/admin/datastore/{store}"
_OCTETS = {"Content-Type": "application/octet-stream"}
_ENCRYPTED = "cannot read '{name}' - is encrypted"


def _require_plain(manifest: Manifest, name: str) -> None:
    entry = manifest.file(name)
    if entry is None:
        raise AgentError(f"unable to find file '{name}' in the snapshot", status=404)
    if entry.crypt_mode == "encrypt":
        raise AgentError(_ENCRYPTED.format(name=name))


def _stream(store: Datastore, snapshot: Snapshot, name: str) -> files.ChunkedStream:
    try:
        index = store.index(snapshot, name)
    except (FileNotFoundError, DamagedIndex) as error:
        raise AgentError(f"unable to read '{name}' - {error}") from error
    return files.ChunkedStream(list(index.chunks()), store.chunks.read)


async def _sent(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (data := await asyncio.to_thread(next, parts, None)) is not None:
        yield data


@pbs("GET", f"{_STORE}/download-decoded")
async def download_decoded(call: Call) -> Json:
    """A file as it was before it was backed up."""
    store, name = open_store(call), call["file-name"]
    snapshot, manifest = snapshot_of(call, store, "Datastore.Read", "Datastore.Backup")
    _require_plain(manifest, name)
    if not is_index(name):
        try:
            if is_encrypted((snapshot.path(store.base) / name).read_bytes()):
                raise AgentError(_ENCRYPTED.format(name=name))
            return Response(body=store.blob(snapshot, name), headers=_OCTETS)
        except DamagedBlob as error:
            raise AgentError(str(error)) from error
    stream = _stream(store, snapshot, name)
    return Response(body=_sent(iter(lambda: stream.read(1 << 20), b"")), headers=_OCTETS)


def _entries(store: Datastore, snapshot: Snapshot, manifest: Manifest) -> list[files.Entry]:
    _require_plain(manifest, files.CATALOG)
    try:
        return files.read_catalogue(_stream(store, snapshot, files.CATALOG).readall())
    except (ValueError, DamagedBlob, MissingChunk) as error:
        raise AgentError(f"unable to read the catalog - {error}") from error


def decoded_path(text: str) -> str:
    """A path in the form that file restore takes it in: base64, or `/` for the top."""
    if text in ("/", "root", ""):
        return "/"
    try:
        return "/" + base64.b64decode(text, validate=True).decode().strip("/")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise AgentError(f"unable to decode the path: {error}") from error


def _split(path: str) -> tuple[str, str]:
    """Archive and path in it."""
    archive, _, inside = path.strip("/").partition("/")
    return archive, "/" + inside


@pbs("GET", f"{_STORE}/catalog")
async def catalog(call: Call) -> Json:
    """What lies in a directory; the archives are the directories at the top."""
    store, path = open_store(call), decoded_path(call["filepath"])
    snapshot, manifest = snapshot_of(call, store, "Datastore.Read", "Datastore.Backup")
    if path == "/":
        return [_archive(entry.filename) for entry in manifest.files if entry.filename == files.FILES]
    archive, inside = _split(path)
    if archive != files.FILES:
        raise AgentError(f"no catalog for '{archive}'")
    entries = await asyncio.to_thread(_entries, store, snapshot, manifest)
    try:
        return [row(archive, entry) for entry in files.listing(entries, inside)]
    except FileNotFoundError as error:
        raise AgentError(f"'{path}' not found") from error


def _archive(name: str) -> dict[str, Any]:
    return {"filepath": base64.b64encode(f"/{name}".encode()).decode(), "text": name, "type": "d", "leaf": False}


def row(archive: str, entry: files.Entry) -> dict[str, Any]:
    """A file as clients list it."""
    path = base64.b64encode(f"/{archive}{entry.path}".encode()).decode()
    found: dict[str, Any] = {"filepath": path, "text": entry.path.rpartition("/")[2], "type": entry.kind}
    found |= {"leaf": entry.kind != "d", "mtime": entry.mtime}
    return {**found, "size": entry.size} if entry.kind == "f" else found


@pbs("GET", f"{_STORE}/pxar-file-download")
async def download_file(call: Call) -> Json:
    """A single file; of a directory a zip archive, or with `tar` a tar.zst archive."""
    store, path = open_store(call), decoded_path(call["filepath"])
    snapshot, manifest = snapshot_of(call, store, "Datastore.Read", "Datastore.Backup")
    archive, inside = _split(path)
    _require_plain(manifest, archive)
    entries = await asyncio.to_thread(_entries, store, snapshot, manifest)
    entry = next((entry for entry in entries if entry.path == inside), None)
    if entry is None:
        raise AgentError(f"'{path}' not found", status=404)
    stream = cast(IO[bytes], _stream(store, snapshot, archive))
    tar = bool(call.get("tar"))
    parts = files.content_of(stream, entry, entries, as_tar=tar or entry.kind == "d")
    return Response(body=await asyncio.to_thread(files.for_download, parts, entry, tar=tar), headers=_OCTETS)
