# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/admin/datastore/{store}: snapshots and their files (facts §20.6)."""

from __future__ import annotations

from typing import Any

from aiohttp.web import Response

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.datastore import SEES, group_of, namespace, open_store, require, snapshot_of, visible_groups
from agentstack.errors import AgentError
from agentstack.pbs.blob import DamagedBlob
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.snapshots import MANIFEST, Manifest, Snapshot
from agentstack.pbs.upkeep import keep_options, marked
from agentstack.tasks import Task

_PATH = "/admin/datastore/{store}"


def _files(store: Datastore, snapshot: Snapshot, manifest: Manifest) -> list[dict[str, Any]]:
    rows = [entry.to_json() for entry in manifest.files]
    for row in rows:
        del row["csum"]
    size = (snapshot.path(store.base) / MANIFEST).stat().st_size
    return [*rows, {"filename": MANIFEST, "crypt-mode": "sign-only" if manifest.signature else "none", "size": size}]


def describe(store: Datastore, snapshot: Snapshot, owner: str) -> dict[str, Any]:
    """A snapshot as lists show it; of one with a damaged manifest only what its directory says."""
    row: dict[str, Any] = {
        "backup-type": snapshot.group.type,
        "backup-id": snapshot.group.id,
        "backup-time": snapshot.time,
        "owner": owner,
        "protected": store.is_protected(snapshot),
        "files": [],
    }
    try:
        manifest = store.manifest(snapshot)
    except (DamagedBlob, ValueError):
        return row
    row["files"] = _files(store, snapshot, manifest)
    row["size"] = manifest.size
    if manifest.fingerprint is not None:
        row["fingerprint"] = manifest.fingerprint
    if notes := manifest.unprotected.get("notes"):
        row["comment"] = notes.splitlines()[0]
    if state := manifest.unprotected.get("verify_state"):
        row["verification"] = state
    return row


@pbs("GET", f"{_PATH}/snapshots")
async def list_snapshots(call: Call) -> Json:
    store = open_store(call)
    ns = namespace(call, store)
    require(call, ns, *SEES)
    return [
        describe(store, snapshot, store.owner(group))
        for group in visible_groups(call, store, ns)
        if call.get("backup-type", group.type) == group.type and call.get("backup-id", group.id) == group.id
        for snapshot in store.snapshots(group)
    ]


@pbs("DELETE", f"{_PATH}/snapshots")
async def forget_snapshot(call: Call) -> Json:
    store = open_store(call, "write")
    snapshot, _ = snapshot_of(call, store, "Datastore.Modify", "Datastore.Prune")
    store.forget(snapshot)


@pbs("GET", f"{_PATH}/files")
async def list_files(call: Call) -> Json:
    store = open_store(call)
    return _files(store, *snapshot_of(call, store, "Datastore.Audit", "Datastore.Backup"))


@pbs("GET", f"{_PATH}/download")
async def download(call: Call) -> Json:
    """A file as it lies on disk."""
    store, name = open_store(call), call["file-name"]
    snapshot, manifest = snapshot_of(call, store, "Datastore.Read", "Datastore.Backup")
    if name != MANIFEST and manifest.file(name) is None:
        raise AgentError(f"unable to open '{snapshot}/{name}' - No such file or directory", status=404)
    content = (snapshot.path(store.base) / name).read_bytes()
    return Response(body=content, headers={"Content-Type": "application/octet-stream"})


@pbs("GET", f"{_PATH}/notes")
async def notes(call: Call) -> Json:
    store = open_store(call)
    _, manifest = snapshot_of(call, store, "Datastore.Audit", "Datastore.Backup")
    return manifest.unprotected.get("notes", "")


@pbs("PUT", f"{_PATH}/notes")
async def set_notes(call: Call) -> Json:
    store = open_store(call, "write")
    _, manifest = snapshot_of(call, store, "Datastore.Modify", "Datastore.Backup")
    store.write_manifest(manifest.noting(notes=call["notes"]))


@pbs("GET", f"{_PATH}/protected")
async def protected(call: Call) -> Json:
    store = open_store(call)
    snapshot, _ = snapshot_of(call, store, "Datastore.Audit", "Datastore.Backup")
    return store.is_protected(snapshot)


@pbs("PUT", f"{_PATH}/protected")
async def set_protected(call: Call) -> Json:
    store = open_store(call, "write")
    snapshot, _ = snapshot_of(call, store, "Datastore.Modify", "Datastore.Backup")
    store.protect(snapshot, call["protected"])


@pbs("POST", f"{_PATH}/prune")
async def prune_group(call: Call) -> Json:
    """Answers with what is kept; what is not is gone, unless it was a dry run. With `use-task` a task does it."""
    store, dry_run = open_store(call, "write"), call.get("dry-run", False)
    group = group_of(call, store, "Datastore.Modify", "Datastore.Prune")
    options = keep_options(call.params)

    def apply(task: Task | None = None) -> list[dict[str, Any]]:
        rows = []
        for snapshot, mark in marked(call.host, store, group, options):
            keep = mark != "remove"
            if not keep and not dry_run:
                store.forget(snapshot)
            rows.append({**_place(snapshot), "keep": keep, "protected": mark == "protected"})
            if task is not None:
                task.log(f"{'keep' if keep else 'remove'} {snapshot}")
        return rows

    async def work(task: Task) -> None:
        task.log(f"retention options: {' '.join(f'--{k} {n}' for k, n in options.to_mapping().items())}")
        apply(task)

    if call.get("use-task"):
        return call.host.tasks.start(call.identity, "prune", f"{call['store']}:{group}", work)
    return apply()


def _place(snapshot: Snapshot) -> dict[str, Any]:
    place: dict[str, Any] = {"backup-type": snapshot.group.type, "backup-id": snapshot.group.id}
    place["backup-time"] = snapshot.time
    return {**place, "ns": snapshot.group.ns} if snapshot.group.ns else place
