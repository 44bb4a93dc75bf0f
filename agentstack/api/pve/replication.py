# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/replication and /nodes/{node}/replication (facts §9)."""

from __future__ import annotations

import os
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.guests import config as configs
from agentstack.replication.jobs import answer, split_id
from agentstack.sections import Entry

_CONTROL = frozenset({"id", "type", "delete", "digest", "keep", "force", "node", "guest"})


def _privilege(call: Call) -> str:
    return "Datastore.Allocate" if call.host.release.startswith("8.") else "VM.Replicate"


def _check(call: Call) -> None:
    """Whoever replicates a guest needs the right on it, before 9 on the storages (facts §9.1)."""
    path = "/storage" if call.host.release.startswith("8.") else f"/vms/{split_id(call['id'])[0]}"
    call.host.access.check(call.identity, path, [_privilege(call)])


def _values(call: Call) -> dict[str, Any]:
    return {key: value for key, value in call.params.items() if key not in _CONTROL}


@pve("GET", "/cluster/replication")
async def list_jobs(call: Call) -> Json:
    entries, _ = call.host.replication.jobs()
    may = call.host.access.may
    return shuffled(
        answer(entry) for entry in entries.values() if may(call.identity, f"/vms/{split_id(entry.id)[0]}", ["VM.Audit"])
    )


@pve("POST", "/cluster/replication")
async def create_job(call: Call) -> Json:
    _check(call)
    await call.host.replication.create(call["id"], _values(call))


@pve("GET", "/cluster/replication/{id}")
async def read_job(call: Call) -> Json:
    call.host.access.check(call.identity, f"/vms/{split_id(call['id'])[0]}", ["VM.Audit"])
    entry, digest = call.host.replication.job(call["id"])
    return answer(entry) | {"digest": digest}


@pve("PUT", "/cluster/replication/{id}")
async def update_job(call: Call) -> Json:
    _check(call)
    await call.host.replication.update(call["id"], _values(call), call.get("delete"), call.get("digest"))


@pve("DELETE", "/cluster/replication/{id}")
async def delete_job(call: Call) -> Json:
    _check(call)
    await call.host.replication.delete(call["id"], keep=bool(call.get("keep")), force=bool(call.get("force")))


# ---- on a node ------------------------------------------------------------------------------------------------------


def _status(call: Call, entry: Entry) -> dict[str, Any]:
    runner = call.host.replicator
    place = configs.place(call.host, split_id(entry.id)[0])
    row = answer(entry) | runner.state(entry).to_json() | {"vmtype": place.kind.type if place else "qemu"}
    row["next_sync"] = 0 if entry.values.get("disable") else runner.due(entry)
    if runner.running == entry.id:
        row["pid"] = os.getpid()
    return row


def _local_jobs(call: Call) -> dict[str, Entry]:
    places = call.host.files.guests()
    entries, _ = call.host.replication.jobs()
    found = {}
    for ident, entry in entries.items():
        place = places.get(split_id(ident)[0])
        if place is not None and place.node == call.host.name:
            found[ident] = entry
    return found


@pve("GET", "/nodes/{node}/replication")
async def list_status(call: Call) -> Json:
    rows = []
    for entry in _local_jobs(call).values():
        vmid = split_id(entry.id)[0]
        if call.get("guest") in (None, vmid) and call.host.access.may(call.identity, f"/vms/{vmid}", ["VM.Audit"]):
            rows.append(_status(call, entry))
    return shuffled(rows)


@pve("GET", "/nodes/{node}/replication/{id}/status")
async def read_status(call: Call) -> Json:
    call.host.access.check(call.identity, f"/vms/{split_id(call['id'])[0]}", ["VM.Audit"])
    call.host.replication.job(call["id"])
    return _status(call, call.host.replication.job(call["id"])[0])


@pve("GET", "/nodes/{node}/replication/{id}/log")
async def read_log(call: Call) -> Json:
    call.host.access.check(call.identity, f"/vms/{split_id(call['id'])[0]}", ["VM.Audit"])
    call.host.replication.job(call["id"])
    lines = call.host.replicator.log_of(call["id"])
    start, limit = int(call.get("start") or 0), int(call.get("limit") or 50)
    call.total = len(lines)
    return [{"n": number, "t": text} for number, text in enumerate(lines, 1)][start : start + limit]


@pve("POST", "/nodes/{node}/replication/{id}/schedule_now")
async def schedule_now(call: Call) -> Json:
    """Forget the last attempt; a job that never ran is due anyway (facts §9.2)."""
    _check(call)
    entry, _ = call.host.replication.job(call["id"])
    state = call.host.replicator.state(entry)
    if state.last_try:
        state.last_try = 0
        call.host.replicator.keep(entry, state)
    return None
