# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/admin/datastore: datastores, namespaces and groups, and how full they are (facts §20.6)."""

from __future__ import annotations

from typing import Any

from agentstack._shared.property_string import parse_property_string
from agentstack.api.endpoint import Call, Json, pbs
from agentstack.errors import AgentError
from agentstack.pbs.access import DENIED
from agentstack.pbs.blob import DamagedBlob
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.datastores import MAINTENANCE, Operation, acl_path
from agentstack.pbs.snapshots import MANIFEST, Group, Manifest, Snapshot, owns
from agentstack.pbs.upkeep import MAX_DEPTH

SEES = ("Datastore.Audit", "Datastore.Backup", "Datastore.Read")


def require(call: Call, ns: str, *privileges: str) -> None:
    """Raise 403 unless the caller has one of the privileges on a namespace of the call's datastore."""
    call.host.pbs.access.check(call.identity, acl_path(call["store"], ns), privileges, any=True)


def open_store(call: Call, operation: Operation = "read") -> Datastore:
    """The call's datastore."""
    return call.host.pbs.datastores.get(call["store"], operation)


def namespace(call: Call, store: Datastore, name: str = "ns") -> str:
    """The namespace that the call names; raises 404."""
    ns: str = call.get(name, "").strip("/")
    if not store.has_namespace(ns):
        raise AgentError("namespace not found", status=404)
    return ns


def group_of(call: Call, store: Datastore, all_groups: str, own_groups: str) -> Group:
    """The group that the call names: of anybody with the first privilege, one's own with the second one."""
    group = Group(namespace(call, store), call["backup-type"], call["backup-id"])
    access, path = call.host.pbs.access, acl_path(call["store"], group.ns)
    everything = access.may(call.identity, path, [all_groups])
    if not everything:
        access.check(call.identity, path, [own_groups])
    if not store.has_group(group):
        raise AgentError(f"group '{group}' does not exist.", status=404)
    if not everything and not owns(store.owner(group), call.identity.authid):
        raise AgentError(DENIED, status=403)
    return group


def snapshot_of(call: Call, store: Datastore, all_groups: str, own_groups: str) -> tuple[Snapshot, Manifest]:
    """The snapshot that the call names, under the same rule."""
    snapshot = Snapshot(group_of(call, store, all_groups, own_groups), call["backup-time"])
    try:
        return snapshot, store.manifest(snapshot)
    except FileNotFoundError:
        raise AgentError(f"snapshot '{snapshot}' does not exist.", status=404) from None
    except (DamagedBlob, ValueError) as error:
        raise AgentError(f"unable to load manifest of '{snapshot}' - {error}") from error


def visible_groups(call: Call, store: Datastore, ns: str) -> list[Group]:
    """The groups of a namespace that the caller may see: all of them to audit, else one's own."""
    everything = call.host.pbs.access.may(call.identity, acl_path(store.name, ns), ["Datastore.Audit"])
    return [group for group in store.groups(ns) if everything or owns(store.owner(group), call.identity.authid)]


def is_visible(call: Call, name: str) -> bool:
    """Whether the caller may know of a datastore: by rights on it or on something in it."""
    access, base = call.host.pbs.access, acl_path(name)
    paths = [base, *(path for path in access.acl.entries if path.startswith(f"{base}/"))]
    return any(access.may(call.identity, path, SEES, any=True) for path in paths)


@pbs("GET", "/admin/datastore")
async def list_datastores(call: Call) -> Json:
    rows = []
    for name, values in call.host.pbs.datastores.configured().items():
        if is_visible(call, name):
            row = {"store": name, "backend-type": "filesystem", "mount-status": "nonremovable"}
            for key, shown in (("comment", "comment"), ("maintenance-mode", "maintenance")):
                if key in values:
                    row[shown] = values[key]
            rows.append(row)
    return rows


@pbs("GET", "/admin/datastore/{store}/status")
async def status(call: Call) -> Json:
    """Zeros for those who may back up but not audit."""
    require(call, "", *SEES)
    store = open_store(call)
    if not call.host.pbs.access.may(call.identity, acl_path(call["store"]), ["Datastore.Audit"]):
        return {"total": 0, "used": 0, "avail": 0, "backend-type": "filesystem"}
    row: dict[str, Any] = {**_usage(call, call["store"]), "backend-type": "filesystem"}
    if call.get("verbose"):
        counts: dict[str, dict[str, int]] = {}
        for ns in store.namespaces():
            for group in store.groups(ns):
                count = counts.setdefault(group.type, {"groups": 0, "snapshots": 0})
                count["groups"] += 1
                count["snapshots"] += len(store.snapshots(group))
        row |= {"counts": counts, "gc-status": store.garbage.to_json()}
    return row


def _usage(call: Call, name: str) -> dict[str, int]:
    stores = call.host.pbs.datastores
    return dict(stores.usage(stores.settings(name)["path"]).__dict__)


@pbs("GET", "/status/datastore-usage")
async def usage(call: Call) -> Json:
    access, rows = call.host.pbs.access, list[dict[str, Any]]()
    for name, values in call.host.pbs.datastores.configured().items():
        if not is_visible(call, name):
            continue
        row: dict[str, Any] = {"store": name, "backend-type": "filesystem", "mount-status": "nonremovable"}
        if access.may(call.identity, acl_path(name), ["Datastore.Audit"]):
            try:
                store = call.host.pbs.datastores.get(name)
                row |= {**_usage(call, name), "gc-status": store.garbage.to_json()}
            except AgentError as error:
                row["error"] = error.text
        elif "maintenance-mode" in values:
            row["error"] = f"datastore is in {parse_property_string(values['maintenance-mode'], MAINTENANCE)['type']}"
        rows.append(row)
    return rows


@pbs("GET", "/admin/datastore/{store}/active-operations")
async def active_operations(call: Call) -> Json:
    call.host.pbs.datastores.settings(call["store"])
    return call.host.pbs.datastores.active(call["store"])


# --- namespaces -------------------------------------------------------------------------------------------------------


@pbs("GET", "/admin/datastore/{store}/namespace")
async def list_namespaces(call: Call) -> Json:
    store = open_store(call)
    parent = namespace(call, store, "parent")
    access, name = call.host.pbs.access, call["store"]
    if not is_visible(call, name):
        raise AgentError(DENIED, status=403)
    return [
        {"ns": ns}
        for ns in store.namespaces(parent, call.get("max-depth", MAX_DEPTH))
        if access.may(call.identity, acl_path(name, ns), SEES, any=True)
    ]


@pbs("POST", "/admin/datastore/{store}/namespace")
async def create_namespace(call: Call) -> Json:
    parent = call.get("parent", "").strip("/")
    require(call, parent, "Datastore.Modify")
    ns = f"{parent}/{call['name']}" if parent else call["name"]
    if ns.count("/") >= MAX_DEPTH:
        raise AgentError(f"namespace too deep, {ns.count('/') + 1} > max {MAX_DEPTH}")
    open_store(call, "write").create_namespace(ns)
    return ns


@pbs("DELETE", "/admin/datastore/{store}/namespace")
async def delete_namespace(call: Call) -> Json:
    store = open_store(call, "write")
    ns = namespace(call, store)
    if not ns:
        raise AgentError("cannot delete root namespace!")
    require(call, ns.rpartition("/")[0], "Datastore.Modify")
    below = sorted(store.namespaces(ns), reverse=True)
    if call.get("delete-groups"):
        protected = sum(store.remove_group(group)[1] for space in below for group in list(store.groups(space)))
        if protected and call.get("error-on-protected", True):
            raise AgentError("group only partially deleted due to protected snapshots")
    for space in below:
        if not any(True for _ in store.groups(space)):
            store.remove_namespace(space)
    if store.has_namespace(ns):
        raise AgentError("only partially deleted namespace recursively")


# --- groups -----------------------------------------------------------------------------------------------------------


@pbs("GET", "/admin/datastore/{store}/groups")
async def list_groups(call: Call) -> Json:
    store = open_store(call)
    ns = namespace(call, store)
    require(call, ns, *SEES)
    rows = []
    for group in visible_groups(call, store, ns):
        snapshots = store.snapshots(group)
        if not snapshots:
            continue
        try:
            files = [entry.filename for entry in store.manifest(snapshots[-1]).files]
        except (DamagedBlob, ValueError):
            files = []
        row = {
            "backup-type": group.type,
            "backup-id": group.id,
            "backup-count": len(snapshots),
            "last-backup": snapshots[-1].time,
            "files": [*files, MANIFEST],
            "owner": store.owner(group),
        }
        if notes := store.group_notes(group):
            row["comment"] = notes.splitlines()[0]
        rows.append(row)
    return rows


@pbs("DELETE", "/admin/datastore/{store}/groups")
async def delete_group(call: Call) -> Json:
    store = open_store(call, "write")
    group = group_of(call, store, "Datastore.Modify", "Datastore.Prune")
    removed, protected = store.remove_group(group)
    if protected and call.get("error-on-protected", True):
        raise AgentError("group only partially deleted due to protected snapshots")
    return {"removed-groups": int(not protected), "removed-snapshots": removed, "protected-snapshots": protected}


@pbs("GET", "/admin/datastore/{store}/group-notes")
async def group_notes(call: Call) -> Json:
    store = open_store(call)
    return store.group_notes(group_of(call, store, "Datastore.Audit", "Datastore.Backup"))


@pbs("PUT", "/admin/datastore/{store}/group-notes")
async def set_group_notes(call: Call) -> Json:
    store = open_store(call, "write")
    store.set_group_notes(group_of(call, store, "Datastore.Modify", "Datastore.Backup"), call["notes"])


@pbs("POST", "/admin/datastore/{store}/change-owner")
async def change_owner(call: Call) -> Json:
    """With Datastore.Backup alone only between oneself and one's own tokens."""
    store, owner = open_store(call, "write"), call["new-owner"]
    group = group_of(call, store, "Datastore.Modify", "Datastore.Backup")
    access, identity = call.host.pbs.access, call.identity
    if not access.may(identity, acl_path(call["store"], group.ns), ["Datastore.Modify"]) and not (
        identity.token is None and owns(owner, identity.authid)
    ):
        raise AgentError(DENIED, status=403)
    if not access.exists(owner):
        raise AgentError(f"API token '{owner}' does not exist" if "!" in owner else f"user '{owner}' does not exist")
    store.set_owner(group, owner)
