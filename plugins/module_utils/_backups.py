# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups as the storages of a node list them, and choosing one (facts §12, §13). Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ._ages import max_age_of
from ._api import Api
from ._errors import ApiError, InputError, StateError

KINDS = {"vm": "qemu", "ct": "lxc"}
"""Type of a backup -> the guest's branch of the API."""

# The options of a module that takes one backup
CHOICE: dict[str, Any] = {
    "volid": {"type": "str"},
    "guest": {"type": "int"},
    "source": {"type": "str"},
    "max_age": {"type": "str"},
    "before": {"type": "str"},
}

_NAMED = 5


@dataclass(frozen=True)
class Backup:
    """One backup in a storage's list; ``time`` in epoch seconds, ``size`` in bytes, ``type`` vm or ct."""

    vmid: int
    volid: str
    time: int
    size: int
    type: str = "vm"

    @property
    def storage(self) -> str:
        """The storage that it is on."""
        return self.volid.partition(":")[0]

    def shown(self) -> dict[str, Any]:
        """As an entry of a module's result."""
        return {"type": self.type, "vmid": self.vmid, "volid": self.volid, "time": self.time, "size": self.size}


def parse_backups(entries: Iterable[Mapping[str, Any]]) -> list[Backup]:
    """The backups of guests in a storage's list."""
    return [
        Backup(
            int(entry["vmid"]),
            str(entry["volid"]),
            int(entry.get("ctime") or 0),
            int(entry.get("size") or 0),
            "ct" if entry.get("subtype") == "lxc" else "vm",
        )
        for entry in entries
        if entry.get("vmid") is not None
    ]


def read_backups(api: Api, node: str, storage: str, vmid: int | None = None) -> list[Backup]:
    """What a node sees on a storage, of one guest or of all."""
    path = f"/nodes/{node}/storage/{storage}/content"
    return parse_backups(api.client.get(path, content="backup", vmid=vmid))


def newest_of(backups: Iterable[Backup]) -> dict[int, Backup]:
    """The newest backup of each guest, by its number."""
    newest: dict[int, Backup] = {}
    for backup in backups:
        if backup.vmid not in newest or newest[backup.vmid].time < backup.time:
            newest[backup.vmid] = backup
    return newest


def storages_with_backups(api: Api, node: str) -> list[str]:
    """The storages for backups that a node has and reaches; those that it does not reach are warned of."""
    found = []
    for entry in api.client.get(f"/nodes/{node}/storage", content="backup", enabled=1):
        if int(entry.get("active") or 0):
            found.append(str(entry["storage"]))
        else:
            api.warn(f"{node} does not reach the storage {entry['storage']}: backups there are not looked at")
    return sorted(found)


def check_choice(params: Mapping[str, Any]) -> None:
    """Refuse what makes no sense before anything is asked. Raises :class:`InputError`."""
    if (params["volid"] is None) == (params["guest"] is None):
        raise InputError("either volid or guest must be given", where="volid")
    if params["volid"] is not None and any(params[name] is not None for name in ("source", "max_age", "before")):
        raise InputError("source, max_age and before choose among the backups of a guest", where="volid")
    max_age_of(params)
    _before(params)


def choose_backup(api: Api, params: Mapping[str, Any], node: str) -> Backup | None:
    """The backup that the options of :data:`CHOICE` mean, as ``node`` sees it.

    None in check mode, if the storage is not there yet. Raises :class:`StateError` if there is none.
    """
    volid = params["volid"]
    storage = volid.partition(":")[0] if volid else params["source"]
    where = "volid" if volid else "source"
    if storage is not None:
        api.check_reference("storage", storage, where)
        if storage not in api.known("storage"):
            return None
    vmid = None if volid else int(params["guest"])
    found, failures = _look(api, node, [storage] if storage else storages_with_backups(api, node), vmid)
    if volid:
        chosen = next((backup for backup in found if backup.volid == volid), None)
        if chosen is None:
            raise StateError(f"{node} sees no backup {volid}{failures}", where="volid", hint=_there_are(found))
        return chosen
    return _newest(api, params, node, found, failures)


def _look(api: Api, node: str, storages: list[str], vmid: int | None) -> tuple[list[Backup], str]:
    """What there is on the storages, and what kept some from being read, in words."""
    found: list[Backup] = []
    failures = []
    for storage in storages:
        try:
            found += read_backups(api, node, storage, vmid)
        except ApiError as error:
            if len(storages) == 1:
                raise error.at("source") from error
            api.warn(f"the backups on {storage} cannot be read: {error}")
            failures.append(storage)
    return found, f" ({', '.join(failures)} cannot be read)" if failures else ""


def _newest(api: Api, params: Mapping[str, Any], node: str, found: list[Backup], failures: str) -> Backup:
    vmid, before, max_age = params["guest"], _before(params), max_age_of(params)
    place = f"on {params['source']}" if params["source"] else f"on any storage of {node}"
    early = [backup for backup in found if before is None or backup.time <= before]
    if not early:
        when = f" from before {params['before']}" if before is not None else ""
        raise StateError(f"there is no backup of {vmid}{when} {place}{failures}", where="guest", hint=_there_are(found))
    newest = max(early, key=lambda backup: backup.time)
    if max_age is not None and newest.time < float(api.client.get(f"/nodes/{node}/time")["time"]) - max_age:
        raise StateError(
            f"the newest backup of {vmid} {place}, {newest.volid}, is older than {params['max_age']}{failures}",
            where="max_age",
            hint="Allow an older one, or give its volid.",
        )
    return newest


def _there_are(found: list[Backup]) -> str:
    newest = sorted(found, key=lambda backup: -backup.time)[:_NAMED]
    return f"There are: {', '.join(backup.volid for backup in newest) or 'none'}."


def _before(params: Mapping[str, Any]) -> float | None:
    """The option ``before`` in epoch seconds."""
    if params["before"] is None:
        return None
    try:
        moment = datetime.fromisoformat(str(params["before"]))
    except ValueError as error:
        raise InputError(
            f"'{params['before']}' is no point in time", where="before", hint="It is like 2026-11-20T12:00:00Z."
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
