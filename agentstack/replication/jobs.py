# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication jobs (/cluster/replication over replication.cfg) and their state on a node (facts §9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError, ParameterError
from agentstack.guests import config as configs
from agentstack.guests import drives
from agentstack.guests.config import Place
from agentstack.sections import Entry, SectionFile, SectionType, check_digest

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "guest": "Guest '{vmid}' does not exist.",
    "target": "Target '{node}' does not exist.",
    "same": "Source and target must not be identical",
    "source": "Source '{source}' does not match current node of guest '{vmid}' ({node})",
    "no_volumes": "No replicatable volumes found",
    "feature": "missing replicate feature on volume '{volid}'",
    "exists": "replication job '{id}' already exists",
    "target_taken": "replication job for guest '{vmid}' to target '{target}' already exists",
    "missing": "no such job '{id}'",
    "missing_read": "no such replication job '{id}'",
    "keep_force": "conflicts with parameter 'force'",
}

DEFAULT_SCHEDULE = "*/15"
STATE_FILE = "var/lib/pve-manager/pve-replication-state.json"

REPLICATION_CFG = SectionFile(
    "replication.cfg",
    "file-replication_cfg",
    {
        "local": SectionType(
            required=("target",),
            fixed=frozenset({"target"}),
            optional=frozenset({"comment", "disable", "rate", "schedule", "source", "remove_job"}),
        )
    },
    {"rate": "number"},
)


def split_id(ident: str) -> tuple[int, int]:
    """VMID and number of a job id."""
    vmid, _, number = ident.partition("-")
    return int(vmid), int(number)


def answer(entry: Entry) -> dict[str, Any]:
    """A job as the API lists it."""
    vmid, number = split_id(entry.id)
    return entry.values | {"id": entry.id, "type": entry.type, "guest": vmid, "jobnum": number}


def replicated_volumes(host: Host, place: Place) -> list[str]:
    """The volumes of a guest that a job copies. Raises AgentError for one that cannot be copied."""
    config = configs.load(host, place.kind, place.vmid, place.node)
    found = []
    for _, drive in drives.volumes(place.kind, config):
        entry = host.storage.entry(drive.storage, place.node)
        if host.storage.is_shared(entry) or not drive.replicates:
            continue
        if entry.type != "zfspool":
            raise AgentError(TEXTS["feature"].format(volid=drive.volume))
        found.append(drive.volume)
    return found


class Replication:
    """Replication as one host takes part in it."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def start(self) -> None:
        """Jobs are run by the scheduler (`runner`)."""

    async def stop(self) -> None:
        """Nothing is held open."""

    # ---- configuration ----------------------------------------------------------------------------------------------

    def jobs(self) -> tuple[dict[str, Entry], str]:
        """All jobs and the digest of the file; the source is where the guest is."""
        entries, digest = REPLICATION_CFG.read(self.host)
        places = self.host.files.guests()
        for entry in entries.values():
            place = places.get(split_id(entry.id)[0])
            if "source" not in entry.values and place is not None:
                entry.values["source"] = place.node
        return entries, digest

    def jobs_of(self, vmid: int) -> list[str]:
        """The ids of a guest's jobs."""
        return [ident for ident in self.jobs()[0] if split_id(ident)[0] == vmid]

    def job(self, ident: str) -> tuple[Entry, str]:
        """One job and the digest of the file. Raises AgentError."""
        entries, digest = self.jobs()
        if ident not in entries:
            raise AgentError(TEXTS["missing_read"].format(id=ident))
        return entries[ident], digest

    async def create(self, ident: str, values: Mapping[str, Any]) -> None:
        """Add a job after all that the server checks about guest, target and volumes."""
        vmid, _ = split_id(ident)
        target = values["target"]
        place = configs.place(self.host, vmid)
        if place is None:
            raise AgentError(TEXTS["guest"].format(vmid=vmid))
        if target not in {node.name for node in self.host.cluster.nodes()}:
            raise AgentError(TEXTS["target"].format(node=target))
        source = values.get("source", place.node)
        if source != place.node:
            raise AgentError(TEXTS["source"].format(source=source, vmid=vmid, node=place.node))
        if source == target:
            raise AgentError(TEXTS["same"])
        async with REPLICATION_CFG.locked(self.host):
            entries, _ = REPLICATION_CFG.read(self.host)
            if ident in entries:
                raise AgentError(TEXTS["exists"].format(id=ident))
            for other in entries.values():
                if split_id(other.id)[0] == vmid and other.values["target"] == target:
                    raise AgentError(TEXTS["target_taken"].format(vmid=vmid, target=f"local/{target}"))
            if not replicated_volumes(self.host, place):
                raise AgentError(TEXTS["no_volumes"])
            entry = Entry(ident, "local", {"source": source} | dict(values))
            REPLICATION_CFG.apply(entry, {}, None)
            entries[ident] = entry
            await REPLICATION_CFG.write(self.host, entries.values())

    async def update(self, ident: str, values: Mapping[str, Any], delete: str | None, digest: str | None) -> None:
        """Change a job."""
        async with REPLICATION_CFG.locked(self.host):
            entries, current = REPLICATION_CFG.read(self.host)
            check_digest(current, digest)
            if ident not in entries:
                raise AgentError(TEXTS["missing"].format(id=ident))
            REPLICATION_CFG.check_update("local", values)
            REPLICATION_CFG.apply(entries[ident], values, delete)
            await REPLICATION_CFG.write(self.host, entries.values())

    async def delete(self, ident: str, *, keep: bool, force: bool) -> None:
        """Mark a job for removal by the scheduler of its source; `force` drops the entry alone."""
        if keep and force:
            raise ParameterError({"keep": TEXTS["keep_force"]})
        async with REPLICATION_CFG.locked(self.host):
            entries, _ = REPLICATION_CFG.read(self.host)
            if force:
                entries.pop(ident, None)
            elif ident in entries:
                entries[ident].values["remove_job"] = "local" if keep else "full"
            else:
                raise AgentError(TEXTS["missing"].format(id=ident))
            await REPLICATION_CFG.write(self.host, entries.values())

    async def forget(self, vmid: int) -> None:
        """Drop the jobs of a guest that is removed."""
        if not self.jobs_of(vmid):
            return
        async with REPLICATION_CFG.locked(self.host):
            entries, _ = REPLICATION_CFG.read(self.host)
            rest = [entry for entry in entries.values() if split_id(entry.id)[0] != vmid]
            await REPLICATION_CFG.write(self.host, rest)
