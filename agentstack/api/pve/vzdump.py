# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/vzdump: a backup now, its defaults, and the configuration inside of one (facts §13)."""

from __future__ import annotations

import asyncio

from agentstack.api.endpoint import Call, Json, pve
from agentstack.backup import archive
from agentstack.backup.options import DEFAULT_STORAGE, Options
from agentstack.backup.rights import check_read
from agentstack.backup.service import chosen
from agentstack.backup.sources import opened
from agentstack.backup.targets import annotate_file
from agentstack.errors import ParameterError
from agentstack.guests.config import LXC, QEMU
from agentstack.storage.pbs import parse_name

DEFAULTS = {"mode": "snapshot", "compress": "0", "ionice": 7, "lockwait": 180, "stopwait": 10, "stdexcludes": 1,
            "remove": 1, "quiet": 0, "stop": 0, "protected": 0, "bwlimit": 0, "all": 0, "pigz": 0, "zstd": 1,
            "mailnotification": "always", "notification-mode": "auto", "storage": "local"}  # fmt: skip
_TUNING = ("bwlimit", "ionice", "performance")


@pve("POST", "/nodes/{node}/vzdump")
async def back_up(call: Call) -> Json:
    values = {key: value for key, value in call.params.items() if key != "node"}
    host, identity = call.host, call.identity
    if values.pop("stop", 0):
        host.backup.cancel()
        if not any(values.get(name) for name in ("vmid", "all", "pool")):
            return "OK"
    given = [name for name in ("vmid", "all", "pool") if values.get(name)]
    if not given:
        raise ParameterError({"vmid": "property is missing"})
    if len(given) > 1:
        raise ParameterError({given[1]: f"option conflicts with option '{given[0]}'"})
    if "exclude" in values and not values.get("all"):
        raise ParameterError({"exclude": "option conflicts with option 'vmid'"})
    if "prune-backups" in values and not values.get("remove", 1):
        raise ParameterError({"remove": "option conflicts with option 'prune-backups'"})
    host.backup_jobs.check_root_only(values, is_root=identity.is_root)
    if any(name in values for name in _TUNING):
        host.access.check(identity, "/", ["Sys.Modify"])
    if "storage" in values:
        host.access.check(identity, f"/storage/{values['storage']}", ["Datastore.AllocateSpace"])
    if "prune-backups" in values:
        storage = values.get("storage", DEFAULT_STORAGE)
        host.access.check(identity, f"/storage/{storage}", ["Datastore.Allocate"])
    if fleecing := Options.from_values(values).fleecing:
        host.access.check(identity, f"/storage/{fleecing}", ["Datastore.AllocateSpace"])
    places = chosen(host, values)
    if values.get("vmid"):
        for vmid in places:
            host.access.check(identity, f"/vms/{vmid}", ["VM.Backup"])
    else:
        places = {vmid: at for vmid, at in places.items() if host.access.may(identity, f"/vms/{vmid}", ["VM.Backup"])}
    return host.backup.run(identity, values, places)


@pve("GET", "/nodes/{node}/vzdump/defaults")
async def defaults(call: Call) -> Json:
    found = dict(DEFAULTS)
    if storage := call.get("storage"):
        call.host.access.check(
            call.identity, f"/storage/{storage}", ["Datastore.Audit", "Datastore.AllocateSpace"], True
        )
        entry = call.host.storage.entry(storage)
        found["storage"] = storage
        if "prune-backups" in entry.values:
            found["prune-backups"] = entry.values["prune-backups"]
    return found


@pve("GET", "/nodes/{node}/vzdump/extractconfig")
async def extract_config(call: Call) -> Json:
    """The guest's configuration as it stands in a backup."""
    host, volume = call.host, call["volume"]
    ident, name = host.storage.split(volume)
    check_read(host, call.identity, volume)
    entry = host.storage.entry(ident)
    if entry.type != "pbs":
        return (await asyncio.to_thread(archive.read_header, host.storage.path(volume)))["config"]
    group = parse_name(name, entry.values.get("namespace", "")).group
    async with opened(host, LXC if group.type == "ct" else QEMU, volume) as source:
        return await source.config()


@pve("PUT", "/nodes/{node}/storage/{storage}/content/{volume}")
async def change_backup(call: Call) -> Json:
    """Notes and protection of a backup."""
    host, storage = call.host, call["storage"]
    name = call["volume"].removeprefix(f"{storage}:")
    entry = host.storage.entry(storage)
    check_read(host, call.identity, f"{entry.id}:{name}")
    if "protected" in call.params:
        host.access.check(call.identity, f"/storage/{entry.id}", ["Datastore.Allocate"])
    if entry.type == "pbs":
        await host.storage.pbs.annotate(entry, name, call.get("notes"), call.get("protected"))
    else:
        annotate_file(host.storage.path(f"{entry.id}:{name}"), call.get("notes"), call.get("protected"))
