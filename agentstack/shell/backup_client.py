# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""proxmox-backup-client, as far as administrators look at backups and take things out of them by hand.

`list`, `snapshot` with `list`, `files`, `forget`, `notes` and `protected`, `namespace list`, `restore`, `status`,
`version`; backups are made by vzdump.
"""

from __future__ import annotations

import asyncio
import io as memory
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from agentstack.backup import files
from agentstack.backup.sources import PbsSource
from agentstack.errors import AgentError
from agentstack.pbs.client import DEFAULT_PORT, Login, PbsClient
from agentstack.pbs.index import is_index
from agentstack.pbs.keys import BadKeyFile, Key
from agentstack.pbs.snapshots import MANIFEST, Group, Snapshot, parse_stamp
from agentstack.sections import Entry
from agentstack.shell.output import render, table
from agentstack.shell.registry import CommandIO, command
from agentstack.shell.rootfs import RootFs

if TYPE_CHECKING:
    from agentstack.host import Host

FORMATS = ("text", "json", "json-pretty")
USAGE = 255
# [[AUTHID@]SERVER[:PORT]:]DATASTORE; the auth id has an @ of its own
_REPOSITORY = re.compile(
    r"(?:(?:(?P<auth>[^\s:/@]+@[^\s:/@]+)@)?(?P<server>[^\s:@]+)(?::(?P<port>\d+))?:)?(?P<store>[\w.-]+)"
)
_SUFFIXES = {".img": ".fidx", ".pxar": ".didx"}


@dataclass(frozen=True)
class _Session:
    """A repository with what was given to open it."""

    client: PbsClient
    store: str
    ns: str
    key: Key | None

    async def rows(self, what: str, **given: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.client.call(
            "GET", f"/admin/datastore/{self.store}/{what}", ns=self.ns or None, **given
        )
        return found


@command("proxmox-backup-client", kinds=("pve", "pbs"))
async def proxmox_backup_client(host: Host, argv: list[str], io: CommandIO) -> int:
    words, given = _split(argv)
    form = given.get("output-format", "text")
    if form not in FORMATS:
        io.err(f"Error: parameter verification failed - 'output-format': value '{form}' is not defined.\n")
        return USAGE
    if words == ["version"]:
        io.out("client version: 4.0.0\n")
        return 0
    try:
        async with _opened(host, given, io.environment) as session:
            return await _run(host, session, words, form, io)
    except AgentError as error:
        io.err(f"Error: {error.text}\n")
        return USAGE


async def _run(host: Host, session: _Session, words: list[str], form: str, io: CommandIO) -> int:
    match words:
        case ["list"]:
            rows = [_group(row) for row in await session.rows("groups")]
            io.out(
                _shown(rows, ("group", "last snapshot", "backup-count", "files"), await session.rows("groups"), form)
            )
        case ["snapshot", "list"] | ["snapshots"]:
            await _snapshots(session, {}, form, io)
        case ["snapshot", "list", group] | ["snapshots", group]:
            kind, _, ident = group.partition("/")
            await _snapshots(session, {"backup-type": kind, "backup-id": ident}, form, io)
        case ["snapshot", "files", name]:
            snapshot = _snapshot(name, session.ns)
            manifest = await session.client.manifest(session.store, snapshot)
            listed = [entry.to_json() for entry in manifest.files]
            io.out(_shown(listed, ("filename", "size"), listed, form))
        case ["snapshot", "forget", name]:
            await _change(session, "DELETE", "snapshots", name)
        case ["snapshot", "notes", "show", name]:
            io.out(f"{await _one(session, 'notes', name) or ''}\n")
        case ["snapshot", "notes", "update", name, notes]:
            await _change(session, "PUT", "notes", name, notes=notes)
        case ["snapshot", "protected", "show", name]:
            io.out(f"{'true' if await _one(session, 'protected', name) else 'false'}\n")
        case ["snapshot", "protected", "update", name, ("true" | "false" | "1" | "0") as flag]:
            await _change(session, "PUT", "protected", name, protected=int(flag in ("true", "1")))
        case ["namespace", "list"]:
            names = [row for row in await session.rows("namespace") if row["ns"]]
            io.out("".join(f"{row['ns']}\n" for row in names) if form == "text" else render(names, form))
        case ["status"]:
            row = await session.client.call("GET", f"/admin/datastore/{session.store}/status")
            io.out(render(row, form) if form != "text" else table([row], ("total", "used", "avail")))
        case ["restore", name, archive, target]:
            await _restore(host, session, _snapshot(name, session.ns), archive, target, io)
        case _:
            io.err(f"Error: no such command '{' '.join(words)}'\n")
            return USAGE
    return 0


def _split(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    words, given = list[str](), dict[str, str]()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            words.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        given[name] = value if equals else rest.pop(0) if rest else ""
    return words, given


@asynccontextmanager
async def _opened(host: Host, given: Mapping[str, str], environment: Mapping[str, str]) -> AsyncIterator[_Session]:
    """The repository of `--repository` or PBS_REPOSITORY, opened with PBS_PASSWORD or PBS_PASSWORD_FILE."""
    text = given.get("repository", environment.get("PBS_REPOSITORY"))
    if not text:
        raise AgentError("unable to get (default) repository")
    found = _REPOSITORY.fullmatch(text)
    if found is None:
        raise AgentError(f"unable to parse repository url '{text}'")
    root = RootFs(host)
    password = environment.get("PBS_PASSWORD")
    if password is None and "PBS_PASSWORD_FILE" in environment:
        password = root.read(environment["PBS_PASSWORD_FILE"]).decode().partition("\n")[0]
    if password is None:
        raise AgentError("no password input mechanism available")
    key = None
    if "keyfile" in given:
        try:
            key = Key.from_file(root.read(given["keyfile"]).decode())
        except BadKeyFile as error:
            raise AgentError(f"unable to load encryption key: {error}") from error
    login = Login(
        found["server"] or "localhost",
        found["auth"] or "root@pam",
        password,
        int(found["port"] or DEFAULT_PORT),
        environment.get("PBS_FINGERPRINT"),
    )
    async with PbsClient(login, host.address) as client:
        yield _Session(client, found["store"], given.get("ns", ""), key)


def _shown(rows: list[dict[str, Any]], columns: tuple[str, ...], data: Any, form: str) -> str:
    return table(rows, columns) if form == "text" else render(data, form)


def _moment(stamp: int) -> str:
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _group(row: Mapping[str, Any]) -> dict[str, Any]:
    group = f"{row['backup-type']}/{row['backup-id']}"
    last = f"{group}/{_moment(row['last-backup'])}"
    names = " ".join(_plain(name) for name in row["files"])
    return {"group": group, "last snapshot": last, "backup-count": row["backup-count"], "files": names}


async def _snapshots(session: _Session, chosen: Mapping[str, str], form: str, io: CommandIO) -> None:
    data = await session.rows("snapshots", **chosen)
    rows = [
        {
            "snapshot": f"{row['backup-type']}/{row['backup-id']}/{_moment(row['backup-time'])}",
            "size": row.get("size"),
            "files": " ".join(_plain(entry["filename"]) for entry in row["files"]),
        }
        for row in sorted(data, key=lambda row: (row["backup-type"], row["backup-id"], row["backup-time"]))
    ]
    io.out(_shown(rows, ("snapshot", "size", "files"), data, form))


def _place(session: _Session, name: str) -> dict[str, Any]:
    snapshot = _snapshot(name, session.ns)
    group = {"backup-type": snapshot.group.type, "backup-id": snapshot.group.id}
    return {**group, "backup-time": snapshot.time, **({"ns": session.ns} if session.ns else {})}


async def _one(session: _Session, what: str, name: str) -> Any:
    return await session.client.call("GET", f"/admin/datastore/{session.store}/{what}", **_place(session, name))


async def _change(session: _Session, verb: str, what: str, name: str, **given: Any) -> None:
    await session.client.call(verb, f"/admin/datastore/{session.store}/{what}", **_place(session, name), **given)


def _plain(filename: str) -> str:
    """A file's name without the server's own suffix."""
    return re.sub(r"\.(fidx|didx|blob)$", "", filename)


def _snapshot(text: str, ns: str) -> Snapshot:
    kind, _, rest = text.partition("/")
    ident, _, moment = rest.partition("/")
    stamp = parse_stamp(moment)
    if stamp is None or not ident:
        raise AgentError(f"unable to parse snapshot path '{text}'")
    return Snapshot(Group(ns, kind, ident), stamp)


async def _restore(host: Host, session: _Session, snapshot: Snapshot, archive: str, target: str, io: CommandIO) -> None:
    """An image or a small file into a file or (`-`) to standard output, a file archive into a directory."""
    manifest = await session.client.manifest(session.store, snapshot, session.key)
    if manifest.fingerprint is not None and session.key is None:
        raise AgentError(f"missing key - manifest was created with key {manifest.fingerprint}")
    key = session.key if manifest.fingerprint is not None else None
    name = _stored_name(archive)
    if name != MANIFEST and manifest.file(name) is None:
        raise AgentError(f"archive not found in manifest: '{archive}'")
    source = PbsSource(session.client, Entry("client", "pbs", {"datastore": session.store}), snapshot, manifest, key)
    place = RootFs(host).resolve(target).local if target != "-" else None
    if name.endswith(".didx"):
        if place is None:
            raise AgentError("a file archive needs a directory to be restored to")
        await _unpack(source, place)
    elif is_index(name):
        await _write_image(source, name, place, io)
    else:
        own = None if name == MANIFEST else key
        content = await session.client.blob(session.store, snapshot, name, own)
        if place is None:
            io.out(content)
        else:
            await asyncio.to_thread(_write_new, place, content)


def _stored_name(archive: str) -> str:
    suffix = next((_SUFFIXES[end] for end in _SUFFIXES if archive.endswith(end)), None)
    if suffix is not None:
        return archive + suffix
    return archive if archive.endswith((".fidx", ".didx", ".blob")) else f"{archive}.blob"


async def _write_image(source: PbsSource, name: str, place: Path | None, io: CommandIO) -> None:
    index = await source.index(name)
    if place is None:
        for digest, _, _ in index.chunks():
            io.out(await source.chunk(digest))
        return
    await asyncio.to_thread(_write_new, place, b"")
    with place.open("r+b") as file:
        for digest, start, _ in index.chunks():
            data = await source.chunk(digest)
            if data.strip(b"\0"):
                file.seek(start)
                await asyncio.to_thread(file.write, data)
        file.truncate(index.size)


async def _unpack(source: PbsSource, place: Path) -> None:
    await asyncio.to_thread(_make_empty, place)
    index = await source.index(files.FILES)
    content = b"".join([await source.chunk(digest) for digest, _, _ in index.chunks()])
    await asyncio.to_thread(files.unpack, cast(IO[bytes], memory.BytesIO(content)), [("/", place)])


def _make_empty(place: Path) -> None:
    if place.exists() and any(place.iterdir()):
        raise AgentError(f"restore failed: target directory '{place.name}' is not empty")
    place.mkdir(parents=True, exist_ok=True)


def _write_new(place: Path, content: bytes) -> None:
    """Nothing is overwritten."""
    try:
        with place.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise AgentError(f"unable to create output file '{place.name}' - {error.strerror}") from error
