# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data path between agents: how snapshots are written to and chunks read from a backup server.

Where the product upgrades a connection to HTTP/2 (`/backup`, `/reader`), agents use plain HTTP/1.1 below `/transfer/`.
As there, a backup is one connection: it is over when the connection is, whole or not at all, and a chunk can be
referred to only if it was sent or stands in the previous snapshot of the group.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from aiohttp.web import BaseRequest, Response

from agentstack.access.identity import Identity
from agentstack.errors import AgentError
from agentstack.pbs.access import DENIED
from agentstack.pbs.blob import DamagedBlob
from agentstack.pbs.chunks import MissingChunk
from agentstack.pbs.datastores import acl_path
from agentstack.pbs.index import DamagedIndex, FixedIndex, decode_index, is_index
from agentstack.pbs.snapshots import TYPES, Group, Snapshot, owns, valid_id
from agentstack.pbs.writer import SnapshotWriter
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

PREFIX = "/transfer/"
LARGEST = 17 * 1024 * 1024
"""Bytes of one request: a blob at its largest, with its header."""

CRYPT_MODES = ("none", "encrypt", "sign-only")

WATCH = 0.2
"""Real seconds between two looks at whether a client's connection still stands."""

IDLE = 900.0
"""Stack seconds after which a client that says nothing, and does not hang up either, is given up."""

_TEXTS = {
    "none": "no backup is running on this connection",
    "unfinished": "backup ended but finished flag is not set.",
    "idle": "connection timed out",
    "unknown_chunk": "archive '{name}' contains unknown chunk {digest}",
}


class _Transport(Protocol):
    def is_closing(self) -> bool: ...


class Session:
    """A backup that is being written over one connection."""

    def __init__(self, writer: SnapshotWriter, previous: Snapshot | None, transport: _Transport) -> None:
        self.writer = writer
        self.previous = previous
        self.transport = transport
        self.known: set[bytes] = set()
        self.finished = asyncio.Event()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: Task | None = None
        self.heard = 0.0

    def log(self, text: str) -> None:
        """Add a line to the log of the backup's task."""
        if self.task is not None:
            self.task.log(text)


class Transfer:
    """Serves the requests below `/transfer/`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._sessions: dict[_Transport, Session] = {}

    async def serve(self, request: BaseRequest, identity: Identity) -> Response:
        """Answer one request; raises AgentError."""
        verb, what = request.method, request.path.removeprefix(PREFIX)
        length = request.content_length or 0
        if length > LARGEST:
            raise AgentError("request body too large", status=413)
        body = await request.content.readexactly(length) if length else b""
        try:
            match verb, what:
                case "POST", "backup":
                    return self._begin(request, identity)
                case "GET", "chunk":
                    return Response(body=await self._chunk(request, identity))
            session = self._session(request)
            match verb, what:
                case "GET", "backup/previous":
                    return Response(body=self._previous(session, _name(request)))
                case "POST", "backup/chunk":
                    return await self._store(session, bytes.fromhex(request.query.get("digest", "")), body)
                case "POST", "backup/index":
                    self._index(session, request, body)
                case "POST", "backup/blob":
                    self._blob(session, request, body)
                case "POST", "backup/finish":
                    await self._finish(session, request)
                case _:
                    raise AgentError(f"Path '{request.path}' not found.", status=404)
        except (ValueError, KeyError, DamagedBlob, DamagedIndex, OSError) as error:
            raise AgentError(str(error)) from error
        except MissingChunk as error:
            raise AgentError(f"chunk {error} is missing") from error
        return Response()

    # --- reading ------------------------------------------------------------------------------------------------

    async def _chunk(self, request: BaseRequest, identity: Identity) -> bytes:
        name, snapshot = _snapshot(request)
        store = self.host.pbs.datastores.get(name, "read")
        access, path = self.host.pbs.access, acl_path(name, snapshot.group.ns)
        if not access.may(identity, path, ["Datastore.Read"]):
            access.check(identity, path, ["Datastore.Backup"])
            if not owns(store.owner(snapshot.group), identity.authid):
                raise AgentError(DENIED, status=403)
        digest = bytes.fromhex(request.query["digest"])
        if digest not in store.digests(snapshot):
            raise AgentError(f"chunk {digest.hex()} is not part of {snapshot}", status=403)
        return await asyncio.to_thread(store.chunks.blob, digest)

    # --- writing ------------------------------------------------------------------------------------------------

    def _begin(self, request: BaseRequest, identity: Identity) -> Response:
        transport = request.transport
        if transport is None or transport in self._sessions:
            raise AgentError("a backup is running on this connection")
        name, snapshot = _snapshot(request)
        self.host.pbs.access.check(identity, acl_path(name, snapshot.group.ns), ["Datastore.Backup"])
        store = self.host.pbs.datastores.get(name, "write")
        earlier = store.snapshots(snapshot.group)
        stack = ExitStack()
        writer = stack.enter_context(
            store.backup(snapshot.group, snapshot.time, identity.authid, self.host.clock.now())
        )
        session = Session(writer, earlier[-1] if earlier else None, transport)
        session.heard = self.host.clock.elapsed()
        self._sessions[transport] = session

        async def work(task: Task) -> None:
            session.task = task
            place = f"{snapshot.group.ns}:{snapshot}" if snapshot.group.ns else str(snapshot)
            task.log(f"starting new backup on datastore '{name}' from ::ffff:{request.remote}: \"{place}\"")
            try:
                with stack:
                    await self._until_finished(session)
            finally:
                del self._sessions[transport]
                if (failure := sys.exception()) is not None and session.finished.is_set():
                    session.closed.set_exception(AgentError(str(failure)))
                elif not session.closed.done():
                    session.closed.set_result(None)
            task.log("successfully finished backup")
            task.log("backup finished successfully")
            self.host.pbs.jobs.verify_new(name, snapshot)

        ns = f"{snapshot.group.ns}:" if snapshot.group.ns else ""
        upid = self.host.tasks.start(identity, "backup", f"{name}:{ns}{snapshot.group}", work)
        return Response(body=json.dumps({"upid": upid}).encode())

    async def _until_finished(self, session: Session) -> None:
        while not session.finished.is_set():
            if self.host.clock.elapsed() - session.heard > IDLE:
                raise AgentError(_TEXTS["idle"])
            if session.transport.is_closing():
                session.log(f"backup ended and finish failed: {_TEXTS['unfinished']}")
                session.log("removing unfinished backup")
                raise AgentError(_TEXTS["unfinished"])
            try:
                await asyncio.wait_for(session.finished.wait(), WATCH)
            except TimeoutError:
                continue

    def _session(self, request: BaseRequest) -> Session:
        session = self._sessions.get(request.transport) if request.transport else None
        if session is None:
            raise AgentError(_TEXTS["none"])
        session.heard = self.host.clock.elapsed()
        return session

    def _previous(self, session: Session, name: str) -> bytes:
        if session.previous is None:
            return b""
        store = session.writer.store
        try:
            index = store.index(session.previous, name)
        except (FileNotFoundError, DamagedIndex):
            return b""
        # a chunk that was lost or set aside since then has to come again
        session.known.update(digest for digest in set(index.digests) if store.chunks.has(digest))
        session.log(f"register chunks in '{name}' from previous backup.")
        if not session.known.issuperset(index.digests):
            return b""
        session.log(f"download '{name}' from previous backup.")
        return index.encode()

    async def _store(self, session: Session, digest: bytes, blob: bytes) -> Response:
        written = await asyncio.to_thread(session.writer.received, digest, blob)
        session.known.add(digest)
        return Response(body=json.dumps({"written": written}).encode())

    def _index(self, session: Session, request: BaseRequest, body: bytes) -> None:
        name, index = _name(request), decode_index(body)
        kind = "fixed" if name.endswith(".fidx") else "dynamic"
        if not name.endswith(".fidx" if isinstance(index, FixedIndex) else ".didx"):
            raise AgentError(f"wrong archive extension: '{name}'")
        for digest in index.digests:
            if digest not in session.known:
                raise AgentError(_TEXTS["unknown_chunk"].format(name=name, digest=digest.hex()))
        number = 1 + sum(is_index(entry.filename) for entry in session.writer.files)
        session.log(f'created new {kind} index {number} ("{session.writer.snapshot}/{name}")')
        session.writer.image(name, index, _crypt_mode(request))
        session.log(f"Upload statistics for '{name}'")
        session.log(f"Size: {index.size}")
        session.log(f"Chunk count: {len(index.digests)}")
        session.log(f"successfully closed {kind} index {number}")

    def _blob(self, session: Session, request: BaseRequest, content: bytes) -> None:
        name = _name(request)
        if not name.endswith(".blob"):
            raise AgentError(f"wrong blob file extension: '{name}'")
        session.writer.encoded(name, content, _crypt_mode(request))
        session.log(f'add blob "{session.writer.snapshot}/{name}" ({len(content)} bytes)')

    async def _finish(self, session: Session, request: BaseRequest) -> None:
        if not session.writer.files:
            raise AgentError("backup contains no files")
        if fingerprint := request.query.get("key-fingerprint"):
            session.writer.unprotected["key-fingerprint"] = fingerprint
            session.writer.signature = request.query.get("signature")
        session.finished.set()
        await session.closed


def _name(request: BaseRequest) -> str:
    name = request.query.get("file-name", "")
    if not valid_id(name):
        raise AgentError(f"invalid file name '{name}'")
    return name


def _crypt_mode(request: BaseRequest) -> str:
    mode = request.query.get("crypt-mode", "none")
    if mode not in CRYPT_MODES:
        raise AgentError(f"invalid crypt mode '{mode}'")
    return mode


def _snapshot(request: BaseRequest) -> tuple[str, Snapshot]:
    query = request.query
    ns, kind, ident = query.get("ns", ""), query["backup-type"], query["backup-id"]
    if kind not in TYPES or not all(valid_id(part) for part in (ident, *filter(None, ns.split("/")))):
        raise AgentError(f"invalid backup group '{kind}/{ident}'")
    return query["store"], Snapshot(Group(ns, kind, ident), int(query["backup-time"]))
