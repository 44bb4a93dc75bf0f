# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migration to a replication target: only what changed is sent, then the job goes the other way (facts §9.4)."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests.tunnel import PIECE, Handler, Sums, Tunnel
from agentstack.replication import transfer
from agentstack.replication.jobs import REPLICATION_CFG, replicated_volumes, split_id
from agentstack.sections import Entry
from agentstack.storage import sparse

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {"removal": "replication job '{id}' is marked for removal - can't migrate"}


def job_to(host: Host, vmid: int, target: str) -> Entry | None:
    """The guest's job to that node. Raises AgentError while one of its jobs is being removed."""
    entries, _ = host.replication.jobs()
    own = [entry for entry in entries.values() if split_id(entry.id)[0] == vmid]
    for entry in own:
        if entry.values.get("remove_job"):
            raise AgentError(TEXTS["removal"].format(id=entry.id))
    return next((entry for entry in own if entry.values["target"] == target), None)


async def bring_up_to_date(host: Host, entry: Entry, log: Callable[[str], None]) -> dict[str, Sums]:
    """Run the job once more; returns check sums of what the target holds then, by volume."""
    vmid, _ = split_id(entry.id)
    place = configs.place(host, vmid)
    assert place is not None
    volumes = replicated_volumes(host, place)
    taken = [time for volid in volumes for time in transfer.replicas(host, volid, entry.id)]
    now = max([int(host.clock.now()), *(time + 1 for time in taken)])
    log("start replication job")
    await transfer.run(host, transfer.Copy(entry.id, vmid, entry.values["target"], volumes, None), now, log)
    log("end replication job")
    states = host.replicator.states(vmid)
    states[entry.values["target"]] = states.get(entry.values["target"], {}) | {"last_sync": now, "last_try": now}
    host.replicator.adopt(vmid, states)
    return {volid: _sums(host, volid, entry.id) for volid in volumes}


def _sums(host: Host, volid: str, job: str) -> Sums:
    path = transfer.newest(host, volid, job)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {
        ("" if file == path else str(file.relative_to(path)), offset): zlib.crc32(data)
        for file in files
        for offset, data in sparse.extents(file, PIECE)
    }


async def turn_round(host: Host, tunnel: Tunnel, entry: Entry) -> None:
    """After the guest has gone to the job's target: the job copies back from there, and its state goes along."""
    vmid, _ = split_id(entry.id)
    states = host.replicator.states(vmid)
    present = states.pop(entry.values["target"], {})
    await tunnel.ask({"do": "replica-state", "vmid": vmid, "states": states | {host.name: present}})
    host.replicator.adopt(vmid, {})
    async with REPLICATION_CFG.locked(host):
        entries, _ = REPLICATION_CFG.read(host)
        for other in entries.values():
            if split_id(other.id)[0] == vmid:
                if other.id == entry.id:
                    other.values["target"] = host.name
                other.values["source"] = tunnel.node
        await REPLICATION_CFG.write(host, entries.values())


async def _state(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> None:
    host.replicator.adopt(request["vmid"], request["states"])


HANDLERS: dict[str, Handler] = {"replica-state": _state}
