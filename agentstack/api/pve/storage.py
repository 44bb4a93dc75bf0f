# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/storage and /nodes/{node}/storage (facts §12)."""

from __future__ import annotations

from typing import Any

from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import AgentError, ParameterError
from agentstack.guests import config as configs
from agentstack.sections import Entry
from agentstack.storage import config, rights
from agentstack.storage.types import STORAGE_TYPES
from agentstack.storage.volumes import TEXTS as VOLUMES
from agentstack.storage.volumes import Volume
from agentstack.tasks import Task

TEXTS = {"no_such": "No such storage.", "wrong_storage": "storage id in volume and parameter do not match"}

_SEE = ["Datastore.Audit", "Datastore.AllocateSpace"]
_UPDATE_CONTROL = frozenset({"storage", "delete", "digest"})


@pve("GET", "/storage")
async def list_storages(call: Call) -> Json:
    entries, digest = config.read(call.host)
    wanted = call.get("type")
    return shuffled(
        config.answer(entry, digest)
        for entry in entries.values()
        if wanted in (None, entry.type) and call.host.access.may(call.identity, f"/storage/{entry.id}", _SEE, any=True)
    )


@pve("POST", "/storage")
async def create_storage(call: Call) -> Json:
    values = {key: value for key, value in call.params.items() if key not in ("storage", "type")}
    return await config.create(call.host, call["storage"], call["type"], values)


@pve("GET", "/storage/{storage}")
async def read_storage(call: Call) -> Json:
    entry = config.get(call.host, call["storage"])
    return config.answer(entry, config.read(call.host)[1])


@pve("PUT", "/storage/{storage}")
async def update_storage(call: Call) -> Json:
    values = {key: value for key, value in call.params.items() if key not in _UPDATE_CONTROL}
    return await config.update(call.host, call["storage"], values, call.get("delete"), call.get("digest"))


@pve("DELETE", "/storage/{storage}")
async def delete_storage(call: Call) -> Json:
    await config.delete(call.host, call["storage"])


# ---- on a node ------------------------------------------------------------------------------------------------------


def _formats(entry: Entry) -> dict[str, Any]:
    formats = list(STORAGE_TYPES[entry.type].formats)
    return {"formats": {"supported": formats, "default": entry.values.get("format", formats[0])}}


@pve("GET", "/nodes/{node}/storage")
async def list_node_storages(call: Call) -> Json:
    host = call.host
    await host.storage.refresh(call.get("storage"))
    entries, _ = config.read(host)
    if (only := call.get("storage")) and only not in entries:
        raise AgentError(config.TEXTS["missing"].format(id=only))
    wanted = set(split_list(call.get("content")))
    rows = []
    for ident, status in host.storage.statuses().items():
        entry = entries[ident]
        if only not in (None, ident) or not host.access.may(call.identity, f"/storage/{ident}", _SEE, any=True):
            continue
        if wanted and not wanted & set(split_list(entry.values["content"])):
            continue
        if call.get("enabled") and not status["enabled"]:
            continue
        if (target := call.get("target")) and not config.is_enabled(entry, target):
            continue
        row = status | {"storage": ident}
        if status["total"]:
            row["used_fraction"] = status["used"] / status["total"]
        if call.get("format"):
            row |= _formats(entry)
        rows.append(row)
    return shuffled(rows)


def _node_entry(call: Call) -> Entry:
    entries, _ = config.read(call.host)
    entry = entries.get(call["storage"])
    nodes = config.nodes_of(entry) if entry else None
    if entry is None or (nodes is not None and call.host.name not in nodes):
        raise ParameterError({"storage": TEXTS["no_such"]})
    return entry


@pve("GET", "/nodes/{node}/storage/{storage}/status")
async def storage_status(call: Call) -> Json:
    entry = _node_entry(call)
    await call.host.storage.refresh(entry.id)
    return call.host.storage.status(entry)


def _row(volume: Volume) -> dict[str, Any]:
    row: dict[str, Any] = {
        **{"volid": volume.volid, "content": volume.content, "format": volume.format, "size": volume.size},
        **{"ctime": volume.created},
    }
    if volume.content in ("images", "rootdir"):
        row["used"] = volume.used
    if volume.vmid is not None:
        row["vmid"] = volume.vmid
    return row | dict(volume.extra)


@pve("GET", "/nodes/{node}/storage/{storage}/content")
async def list_content(call: Call) -> Json:
    await call.host.storage.refresh(call["storage"], content=True)
    volumes = call.host.storage.volumes(call["storage"], call.get("vmid"))
    wanted = call.get("content")
    return [
        _row(volume)
        for volume in volumes
        if wanted in (None, _listed_as(call, volume)) and rights.may_see(call.host, call.identity, volume)
    ]


def _listed_as(call: Call, volume: Volume) -> str:
    """Guests' disks are rootdir for containers and images for VMs, whatever their format."""
    if volume.content not in ("images", "rootdir") or volume.vmid is None:
        return volume.content
    place = configs.place(call.host, volume.vmid)
    return volume.content if place is None else "rootdir" if place.kind is configs.LXC else "images"


_UNITS = {"": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@pve("POST", "/nodes/{node}/storage/{storage}/content")
async def allocate(call: Call) -> Json:
    number = call["size"].rstrip("MG")
    size = int(number) * _UNITS[call["size"][len(number) :]]
    return call.host.storage.allocate(
        call["storage"], call["vmid"], size, form=call.get("format"), name=call["filename"]
    )


def _volume(call: Call) -> str:
    volume: str = call["volume"]
    storage = call.get("storage")
    if ":" not in volume:
        return f"{storage}:{volume}"
    if storage and volume.partition(":")[0] != storage:
        raise AgentError(TEXTS["wrong_storage"])
    return volume


def _find(call: Call, volid: str) -> Volume | None:
    storage = call.host.storage
    return next((volume for volume in storage.volumes(storage.split(volid)[0]) if volume.volid == volid), None)


def _check_may_miss(call: Call, volid: str) -> None:
    """That a volume is not there is for those to know who may see all that is on the storage."""
    call.host.access.check(call.identity, f"/storage/{volid.partition(':')[0]}", ["Datastore.Allocate"])


@pve("GET", "/nodes/{node}/storage/{storage}/content/{volume}")
async def read_volume(call: Call) -> Json:
    volid = _volume(call)
    await call.host.storage.refresh(volid.partition(":")[0], content=True)
    volume, storage = _find(call, volid), call.host.storage
    if volume is None:
        _check_may_miss(call, volid)
        storage.path(volid)
        raise AgentError(VOLUMES["missing"].format(volid=volid))
    rights.check_see(call.host, call.identity, volume)
    return {"path": storage.device(volid), "size": volume.size, "used": volume.used, "format": volume.format}


@pve("DELETE", "/nodes/{node}/storage/{storage}/content/{volume}")
async def free_volume(call: Call) -> Json:
    host, volid = call.host, _volume(call)
    await host.storage.refresh(volid.partition(":")[0], content=True)
    # a name that cannot be one is refused before there is a task
    host.storage.device(volid)
    volume, storage = _find(call, volid), volid.partition(":")[0]
    if volume is None:
        _check_may_miss(call, volid)
    else:
        rights.check_remove(host, call.identity, volume)
    owner = volume.vmid if volume is not None else None

    async def work(task: Task) -> None:
        await host.storage.remove(volid)
        await host.clock.sleep(1)
        task.log(f"Removed volume '{volid}'")

    return host.tasks.start(call.identity, "imgdel", f"{owner}@{storage}" if owner else storage, work)
