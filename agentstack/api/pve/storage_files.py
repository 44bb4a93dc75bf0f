# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on a node's storages: uploads, downloads, templates, copies, and pruning of backups (facts §12, §13)."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import aiohttp

from agentstack._shared.prune import Backup, PruneOptions, mark_backups
from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError, ParameterError
from agentstack.storage import sparse
from agentstack.tasks import Task
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.sections import Entry

STORAGE = "/nodes/{node}/storage/{storage}"

DIRECTORIES = {"iso": "template/iso", "vztmpl": "template/cache", "import": "import"}
NAMES = {
    "iso": re.compile(r"[^/]+\.(?i:iso|img)"),
    "vztmpl": re.compile(r"[^/]+\.tar\.(?:gz|xz|zst|bz2)"),
    "import": re.compile(r"[^/]+\.(?:ova|ovf|qcow2|raw|vmdk)"),
}
TEXTS = {
    "extension": "wrong file extension",
    "checksum": "checksum mismatch: got '{got}' != expect '{wanted}'",
    "exists": "refusing to override existing file '{name}'",
    "path": "storage '{id}' does not support '{content}' content",
    "resolve": "wget: unable to resolve host address \u2018{host}\u2019",
    "download": "download failed: {why}",
    "no_file": "no file was sent",
    "template": "no such template",
    "retention": "prune-backups must be set for storage or as parameter",
    "elsewhere": "files are taken by the node that has the storage: ask '{node}' itself",
}
TIMEOUT = aiohttp.ClientTimeout(total=30)


def _place(host: Host, ident: str, content: str, name: str) -> Path:
    """Where a file goes on the real disk. Raises AgentError for a storage that takes no such files."""
    if NAMES[content].fullmatch(name) is None or name.startswith("."):
        raise ParameterError({"filename": TEXTS["extension"]})
    entry: Entry = host.storage.check_content(ident, content)
    base = getattr(host.storage.backend(entry), "base", None)
    if base is None:
        raise AgentError(TEXTS["path"].format(id=ident, content=content))
    directory: Path = base(entry)
    return directory / DIRECTORIES[content] / name


def _verify(task: Task, path: Path, algorithm: str | None, wanted: str | None) -> None:
    if algorithm is None or wanted is None:
        return
    with path.open("rb") as stream:
        got = hashlib.file_digest(stream, algorithm).hexdigest()
    if got.lower() != wanted.lower():
        raise AgentError(TEXTS["checksum"].format(got=got, wanted=wanted))
    task.log("calculating checksum...OK, checksum verified")


@pve("POST", f"{STORAGE}/upload")
async def upload(call: Call) -> Json:
    """The HTTP layer has put the file's content aside; what the form calls `filename` names the volume."""
    host = call.host
    if call["node"] not in (host.name, "localhost"):
        raise AgentError(TEXTS["elsewhere"].format(node=call["node"]))
    if "tmpfilename" not in call.params:
        raise AgentError(TEXTS["no_file"])
    source = host.root / call["tmpfilename"].lstrip("/")
    name = re.sub(r"[^-a-zA-Z0-9_.+]", "_", call["filename"].rpartition("/")[2])
    try:
        target = _place(host, call["storage"], call["content"], name)
    except AgentError:
        source.unlink(missing_ok=True)
        raise

    async def work(task: Task) -> None:
        try:
            task.log(f"starting file import from: {call['tmpfilename']}")
            task.log(f"target node: {host.name}")
            size = source.stat().st_size
            task.log(f"file size is: {size} B")
            _verify(task, source, call.get("checksum-algorithm"), call.get("checksum"))
            target.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(shutil.copyfile, source, target)
            task.log("finished file import successfully")
        finally:
            source.unlink(missing_ok=True)

    return host.tasks.start(call.identity, "imgcopy", "", work)


# ---- downloads ------------------------------------------------------------------------------------------------------


def _reachable(url: str) -> str:
    """The host of an URL, if there is a way to it: a stack has no name service and no way out."""
    host = urlsplit(url).hostname or ""
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise AgentError(TEXTS["resolve"].format(host=host))


async def _fetch(call: Call, url: str, target: Path | None) -> tuple[int, str, str]:
    """Size, media type and name of what is behind an URL; its content goes to `target` if there is one."""
    _reachable(url)
    verify = bool(call.get("verify-certificates", 1))
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.request("GET" if target else "HEAD", url, ssl=verify) as answer,
        ):
            if answer.status != 200:
                raise AgentError(TEXTS["download"].format(why=f"{answer.status} {answer.reason}"))
            if target is not None:
                with target.open("wb") as stream:
                    async for piece in answer.content.iter_chunked(sparse.CHUNK):
                        stream.write(piece)
            shown = answer.content_disposition.filename if answer.content_disposition else None
            name = shown or unquote(urlsplit(str(answer.url)).path.rpartition("/")[2])
            return answer.content_length or 0, answer.content_type, name
    except (aiohttp.ClientError, TimeoutError) as error:
        raise AgentError(TEXTS["download"].format(why=error)) from error


@pve("GET", "/nodes/{node}/query-url-metadata")
async def url_metadata(call: Call) -> Json:
    size, kind, name = await _fetch(call, call["url"], None)
    return {"filename": name, "size": size, "mimetype": kind}


@pve("POST", f"{STORAGE}/download-url")
async def download(call: Call) -> Json:
    host, name = call.host, re.sub(r"[^-a-zA-Z0-9_.+]", "_", call["filename"].rpartition("/")[2])
    target = _place(host, call["storage"], call["content"], name)
    if target.exists():
        raise AgentError(TEXTS["exists"].format(name=name))

    async def work(task: Task) -> None:
        draft = target.with_name(f".{target.name}.tmp_dwnl")
        target.parent.mkdir(parents=True, exist_ok=True)
        task.log(f"downloading {call['url']} to {target.name}")
        try:
            size, _, _ = await _fetch(call, call["url"], draft)
            task.log(f"download of '{call['url']}' finished ({size or draft.stat().st_size} B)")
            _verify(task, draft, call.get("checksum-algorithm"), call.get("checksum"))
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)

    return host.tasks.start(call.identity, "download", name, work)


TEMPLATES: tuple[dict[str, str], ...] = (
    {"os": "debian-13", "package": "debian-13-standard", "version": "13.1-2", "section": "system",
     "headline": "Debian 13 Trixie (standard)", "source": "http://download.proxmox.com/images/system",
     "template": "debian-13-standard_13.1-2_amd64.tar.zst"},
    {"os": "debian-12", "package": "debian-12-standard", "version": "12.12-1", "section": "system",
     "headline": "Debian 12 Bookworm (standard)", "source": "http://download.proxmox.com/images/system",
     "template": "debian-12-standard_12.12-1_amd64.tar.zst"},
    {"os": "alpine", "package": "alpine-3.22-default", "version": "20250617", "section": "system",
     "headline": "LXC default image for alpine 3.22 (20250617)",
     "source": "http://download.proxmox.com/images/system",
     "template": "alpine-3.22-default_20250617_amd64.tar.xz"},
)  # fmt: skip


@pve("GET", "/nodes/{node}/aplinfo")
async def templates(call: Call) -> Json:
    return [{**row, "architecture": "amd64", "type": "lxc", "location": f"{row['source']}/{row['template']}"}
            for row in TEMPLATES]  # fmt: skip


@pve("POST", "/nodes/{node}/aplinfo")
async def download_template(call: Call) -> Json:
    """Fetch a template from where the list says; the way there ends at the stack's border."""
    host, wanted = call.host, call["template"]
    row = next((row for row in TEMPLATES if row["template"] == wanted), None)
    if row is None:
        raise ParameterError({"template": TEXTS["template"]})
    _place(host, call["storage"], "vztmpl", wanted)

    async def work(task: Task) -> None:
        task.log(f"downloading {row['source']}/{wanted}")
        _reachable(f"{row['source']}/{wanted}")

    return host.tasks.start(call.identity, "download", wanted, work)


# ---- backups --------------------------------------------------------------------------------------------------------

_STANDARD = re.compile(r"vzdump-(qemu|lxc)-(\d+)-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.")
_SNAPSHOT = re.compile(r"backup/(?:ns/.*/)?(vm|ct)/(\d+)/")
_KINDS = {"vm": "qemu", "ct": "lxc"}


async def _marked(call: Call) -> list[dict[str, Any]]:
    """The backups of a storage with what the retention says of each."""
    host, ident = call.host, call["storage"]
    entry = host.storage.entry(ident)
    await host.storage.refresh(ident, content=True)
    retention = call.get("prune-backups") or entry.values.get("prune-backups")
    if not retention:
        raise AgentError(TEXTS["retention"])
    options = PruneOptions.from_property_string(retention)
    rows: list[dict[str, Any]] = []
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for volume in host.storage.volumes(ident):
        if volume.content != "backup":
            continue
        name = volume.volid.partition(":")[2]
        match = _STANDARD.match(name.rpartition("/")[2]) or _SNAPSHOT.match(name)
        kind = _KINDS.get(match[1], match[1]) if match else "unknown"
        row = {"volid": volume.volid, "ctime": volume.created, "type": kind, "mark": "renamed"}
        if volume.vmid is not None:
            row["vmid"] = volume.vmid
        if call.get("vmid") not in (None, volume.vmid) or call.get("type") not in (None, kind):
            continue
        rows.append(row)
        if match:
            row["protected"] = bool(volume.extra.get("protected"))
            groups.setdefault((kind, int(match[2])), []).append(row)
    for members in groups.values():
        backups = [Backup(row["ctime"], protected=row.pop("protected")) for row in members]
        for row, mark in zip(members, mark_backups(backups, options, zone(host)), strict=True):
            row["mark"] = "keep" if mark == "keep-partial" else mark
    return sorted(rows, key=lambda row: (row["type"], row.get("vmid", 0), row["ctime"]))


@pve("GET", f"{STORAGE}/prunebackups")
async def show_pruning(call: Call) -> Json:
    """What `prunebackups` would do."""
    return await _marked(call)


@pve("DELETE", f"{STORAGE}/prunebackups")
async def prune(call: Call) -> Json:
    host, ident = call.host, call["storage"]
    if "vmid" in call.params:
        host.access.check(call.identity, f"/storage/{ident}", ["Datastore.AllocateSpace"])
        host.access.check(call.identity, f"/vms/{call['vmid']}", ["VM.Backup"])
    else:
        host.access.check(call.identity, f"/storage/{ident}", ["Datastore.Allocate"])

    async def work(task: Task) -> None:
        for row in await _marked(call):
            task.log(f"{row['mark']:<10} {row['volid']}")
            if row["mark"] == "remove":
                await host.storage.remove(row["volid"])

    worker_id = f"{call['vmid']}@{ident}" if "vmid" in call.params else ident
    return host.tasks.start(call.identity, "prunebackups", worker_id, work)


@pve("POST", f"{STORAGE}/content/{{volume}}")
async def copy_volume(call: Call) -> Json:
    """Copy a volume on this node under another name; root@pam alone may."""
    host, volume = call.host, call["volume"]
    source = volume if ":" in volume else f"{call['storage']}:{volume}"
    target = call["target"] if ":" in call["target"] else f"{call['storage']}:{call['target']}"
    if call.get("target_node") not in (None, host.name):
        raise AgentError(TEXTS["elsewhere"].format(node=call["target_node"]))
    path = host.storage.path(source)
    ident, name = host.storage.split(target)
    match = re.fullmatch(r"(?:.*/)?((?:vm|subvol)-(\d+)-[\w.-]+)", name)
    if match is None:
        raise ParameterError({"target": f"unable to parse volume name '{name}'"})

    async def work(task: Task) -> None:
        form = host.storage.format_of(source)
        made = host.storage.allocate(ident, int(match[2]), host.storage.size(source), form=form, name=match[1])
        sparse.copy(path, host.storage.path(made))
        host.storage.commit(made)
        task.log(f"copied '{source}' to '{made}'")

    return host.tasks.start(call.identity, "imgcopy", "", work)
