# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup jobs (/cluster/backup over jobs.cfg) and which guests they take (facts §13)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack.errors import AgentError, ParameterError
from agentstack.guests import config as configs
from agentstack.guests import drives
from agentstack.guests.config import LXC, Place
from agentstack.sections import Entry, Kind, SectionFile, SectionType

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "exists": "Job '{id}' already exists",
    "missing": "No such job '{id}'",
    "no_selection": "property is missing",
    "no_schedule": "neither 'starttime' nor 'schedule' were set",
    "two_schedules": "'starttime' conflicts with 'schedule'",
    "nothing": "no options specified",
    "root_only": "Only root may set '{name}' option.",
    "delete": "no such option '{name}'",
}

ROOT_ONLY = ("tmpdir", "dumpdir", "script", "job-id")
_SELECTIONS = ("vmid", "all", "pool")
_OPTIONS = frozenset(
    {
        *("all", "bwlimit", "comment", "compress", "dow", "dumpdir", "enabled", "exclude", "exclude-path", "fleecing"),
        *("id", "ionice", "lockwait", "mailnotification", "mailto", "mode", "node", "notes-template", "pigz", "pool"),
        *("notification-mode", "pbs-change-detection-mode", "performance", "protected", "prune-backups", "quiet"),
        *("remove", "repeat-missed", "script", "starttime", "stdexcludes", "stop", "stopwait", "storage", "tmpdir"),
        *("vmid", "zstd"),
    }
)
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("all", "enabled", "protected", "quiet", "remove", "repeat-missed"), "boolean"),
    **dict.fromkeys(("enable-new", "stdexcludes", "stop"), "boolean"),
    **dict.fromkeys(("bwlimit", "ionice", "lockwait", "stopwait", "pigz", "zstd"), "integer"),
}
_OBJECTS = ("prune-backups", "fleecing", "performance")

JOBS_CFG = SectionFile(
    "jobs.cfg",
    "file-jobs_cfg",
    {
        "vzdump": SectionType(("schedule",), frozenset(), _OPTIONS),
        "realm-sync": SectionType(
            ("schedule", "realm"),
            frozenset({"realm"}),
            frozenset({"comment", "enable-new", "enabled", "scope", "remove-vanished"}),
        ),
    },
    _KINDS,
)


def refused(name: str, text: str) -> AgentError:
    """A parameter error that arises under the file's lock: the server wraps it into a plain one (observed)."""
    return AgentError(f"400 Parameter verification failed.\n{name}: {text}")


def answer(entry: Entry) -> dict[str, Any]:
    """A job as the API gives it: property strings as objects, texts within them as they are."""
    values = dict(entry.values)
    for name in _OBJECTS:
        if name in values:
            values[name] = dict(part.partition("=")[::2] for part in values[name].split(","))
    if "exclude-path" in values:
        values["exclude-path"] = values["exclude-path"].split(",")
    return {"enabled": 1} | values | {"id": entry.id, "type": entry.type}


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: ",".join(value) if isinstance(value, list) else value for key, value in values.items()}
    start = found.pop("starttime", None)
    if start is not None:
        days = found.pop("dow", None)
        found["schedule"] = f"{days} {start}" if days else start
    return found


def _check_schedule(values: Mapping[str, Any], *, required: bool) -> None:
    if "schedule" in values and "starttime" in values:
        raise ParameterError({"schedule": TEXTS["two_schedules"]})
    if required and "schedule" not in values and "starttime" not in values:
        raise ParameterError({"schedule": TEXTS["no_schedule"]})


class BackupJobs:
    """The backup jobs of the cluster."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def start(self) -> None:
        """Jobs are run when they are due."""

    async def stop(self) -> None:
        """Nothing runs on."""

    def jobs(self) -> dict[str, Entry]:
        """All backup jobs, in the order of the file."""
        entries, _ = JOBS_CFG.read(self.host)
        return {ident: entry for ident, entry in entries.items() if entry.type == "vzdump"}

    def job(self, ident: str) -> Entry:
        """One job. Raises ParameterError."""
        jobs = self.jobs()
        if ident not in jobs:
            raise ParameterError({"id": TEXTS["missing"].format(id=ident)})
        return jobs[ident]

    def check_root_only(self, values: Mapping[str, Any], *, is_root: bool) -> None:
        """Raise 403 for options that only root@pam may use."""
        for name in ROOT_ONLY:
            if name in values and not is_root:
                raise AgentError(TEXTS["root_only"].format(name=name), status=403)

    async def create(self, ident: str | None, values: Mapping[str, Any]) -> None:
        """Add a job, under a random id unless one is given."""
        _check_schedule(values, required=True)
        ident = ident or str(uuid.uuid4())
        async with JOBS_CFG.locked(self.host):
            entries, _ = JOBS_CFG.read(self.host)
            if ident in entries:
                raise AgentError(TEXTS["exists"].format(id=ident))
            stored = {"enabled": 1} | _stored(values)
            if not any(stored.get(name) for name in _SELECTIONS):
                raise refused("vmid", TEXTS["no_selection"])
            entries[ident] = Entry(ident, "vzdump", stored)
            await JOBS_CFG.write(self.host, entries.values())

    async def update(self, ident: str, values: Mapping[str, Any], delete: str | None) -> None:
        """Change a job; another kind of selection replaces the one it had."""
        if not values and not delete:
            raise AgentError(TEXTS["nothing"])
        _check_schedule(values, required=False)
        async with JOBS_CFG.locked(self.host):
            entries, _ = JOBS_CFG.read(self.host)
            if ident not in entries:
                raise refused("id", TEXTS["missing"].format(id=ident))
            entry = entries[ident]
            for name in split_list(delete):
                if name not in _OPTIONS:
                    raise AgentError(TEXTS["delete"].format(name=name))
                entry.values.pop(name, None)
            chosen = [name for name in _SELECTIONS if values.get(name)]
            if chosen:
                for name in {*_SELECTIONS, "exclude"} - set(values):
                    entry.values.pop(name, None)
            entry.values |= _stored(values)
            await JOBS_CFG.write(self.host, entries.values())

    async def delete(self, ident: str) -> None:
        """Remove a job."""
        async with JOBS_CFG.locked(self.host):
            entries, _ = JOBS_CFG.read(self.host)
            if ident not in entries:
                raise refused("id", TEXTS["missing"].format(id=ident))
            del entries[ident]
            await JOBS_CFG.write(self.host, entries.values())

    async def forget(self, vmid: int) -> None:
        """Take a guest that is removed out of the lists of all jobs."""
        listed = any(
            str(vmid) in split_list(job.values.get(key)) for job in self.jobs().values() for key in ("vmid", "exclude")
        )
        if not listed:
            return
        async with JOBS_CFG.locked(self.host):
            entries, _ = JOBS_CFG.read(self.host)
            for entry in list(entries.values()):
                for key in ("vmid", "exclude"):
                    rest = [word for word in split_list(entry.values.get(key)) if word != str(vmid)]
                    if key in entry.values:
                        entry.values[key] = ",".join(rest)
                    if not rest:
                        entry.values.pop(key, None)
                if entry.type == "vzdump" and not any(entry.values.get(name) for name in _SELECTIONS):
                    del entries[entry.id]
            await JOBS_CFG.write(self.host, entries.values())

    # ---- what a job takes -------------------------------------------------------------------------------------------

    def selected(self, entry: Entry) -> tuple[dict[int, Place], set[int]]:
        """The guests that a job takes, and the numbers it names that no guest has."""
        places = configs.places(self.host)
        values = entry.values
        unknown: set[int] = set()
        if values.get("all"):
            excluded = {int(word) for word in split_list(values.get("exclude"))}
            chosen = set(places) - excluded
        elif pool := values.get("pool"):
            known = self.host.access.cfg.pools.get(pool)
            chosen = set(known.vms) & set(places) if known else set()
        else:
            named = {int(word) for word in split_list(values.get("vmid"))}
            chosen, unknown = named & set(places), named - set(places)
        node = values.get("node")
        return {vmid: places[vmid] for vmid in sorted(chosen) if node in (None, places[vmid].node)}, unknown

    def not_backed_up(self) -> list[Place]:
        """The guests that no enabled job takes."""
        covered: set[int] = set()
        for entry in self.jobs().values():
            if entry.values.get("enabled", 1):
                covered |= set(self.selected(entry)[0])
        return [place for vmid, place in configs.places(self.host).items() if vmid not in covered]

    def volumes(self, place: Place) -> list[dict[str, Any]]:
        """The disks of a guest and whether a backup has them, as `included_volumes` shows it."""
        config = configs.load(self.host, place.kind, place.vmid, place.node)
        rows = []
        for key, drive in drives.drives(place.kind, config):
            if drive.is_cdrom:
                continue
            if place.kind is LXC and key == "rootfs":
                included, reason = True, "rootfs"
            else:
                default = "0" if place.kind is LXC else "1"
                included = drive.options.get("backup", default) in ("1", "on", "yes", "true")
                reason = "enabled" if included else "disabled"
            rows.append({"id": key, "name": drive.volume, "included": int(included), "reason": reason})
        return rows

    def name_of(self, place: Place) -> str:
        """A guest's name."""
        values = configs.load(self.host, place.kind, place.vmid, place.node).values
        return values.get("name" if place.kind is not LXC else "hostname", f"{place.kind.label} {place.vmid}")
