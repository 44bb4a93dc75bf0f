# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the guests' newest backups are, against what the backup jobs promise (facts §13).

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._backups import Backup, newest_of, read_backups
from ._errors import ApiError, InputError, QuorateError
from ._parallel import side_by_side
from ._pure.backup_age import Demand, demands, longest_pause, shortfall, takes
from ._pure.backup_window import DAY, forecast, read_window
from ._pure.lists import natural_sorted, split_list
from ._pure.time_span import parse_time_span

ARGUMENTS: dict[str, Any] = {
    "storages": {"type": "list", "elements": "str"},
    "guests": {"type": "list", "elements": "int"},
    "max_ages": {"type": "dict", "default": {}},
    "window": {
        "type": "dict",
        "options": {
            "rate": {"type": "str", "required": True},
            "window": {"type": "str", "required": True},
            "changed": {"type": "str"},
        },
    },
}


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    max_ages = _max_ages(params["max_ages"])
    window = _window(params["window"])
    with Api.open(params, check_mode) as api:
        return _info(api, params, max_ages, window)


def _info(api: Api, params: Mapping[str, Any], max_ages: dict[str, float], window: dict[str, float] | None) -> Result:
    jobs = api.client.get("/cluster/backup")
    wanted = params["guests"]
    guests = [
        guest
        for vmid, guest in api.guests.items()
        if not int(guest.get("template") or 0) and (wanted is None or vmid in wanted)
    ]
    newest, unread = _newest(api, params["storages"])
    online = natural_sorted(name for name in api.nodes if api.online(name))
    now = int(api.client.get(f"/nodes/{online[0]}/time")["time"])
    rows = []
    late, late_ha = [], []
    for demand in demands(jobs, guests, max_ages, now):
        backup = newest.get(demand.vmid)
        text = shortfall(demand, backup.time if backup else None, now)
        if text and unread:
            text = f"{text} ({', '.join(unread)} cannot be read)"
        if text:
            late.append(text)
        if text and demand.ha:
            late_ha.append(text)
        rows.append(_row(demand, backup, now, text))
    return api.result(
        [],
        guests=rows,
        late=late,
        late_ha=late_ha,
        forecasts=_forecasts(jobs, guests, window, now) if window else [],
        unread=unread,
        now=now,
    )


def _row(demand: Demand, backup: Backup | None, now: int, text: str | None) -> dict[str, Any]:
    return {
        "vmid": demand.vmid,
        "name": demand.name,
        "ha": demand.ha,
        "job": demand.job,
        "max_age": demand.max_age,
        "volid": backup.volid if backup else None,
        "time": backup.time if backup else None,
        "age": max(0, now - backup.time) if backup else None,
        "late": text,
    }


def _newest(api: Api, storages: list[str] | None) -> tuple[dict[int, Backup], list[str]]:
    """The newest backup of each guest, and the storages that cannot be read."""
    places = []
    for entry in api.client.get("/storage"):
        name = str(entry["storage"])
        off = int(entry.get("disable") or 0) or "backup" not in split_list(entry.get("content") or "")
        if off or (storages is not None and name not in storages):
            continue
        nodes = split_list(entry.get("nodes") or "") or list(api.nodes)
        online = natural_sorted(node for node in nodes if node in api.nodes and api.online(node))
        shared = entry.get("type") == "pbs" or bool(int(entry.get("shared") or 0))
        places += [(node, name) for node in (online[:1] if shared else online)]
    found: list[Backup] = []
    unread: set[str] = set()
    for (_node, name), answer in zip(
        places, side_by_side(lambda place: read_backups(api, *place), places), strict=True
    ):
        if isinstance(answer, ApiError):
            unread.add(name)
        elif isinstance(answer, QuorateError):
            raise answer
        else:
            found += answer
    return newest_of(found), sorted(unread)


def _forecasts(
    jobs: Sequence[Mapping[str, Any]], guests: Sequence[Mapping[str, Any]], window: Mapping[str, float], now: int
) -> list[dict[str, Any]]:
    """For each job that runs by itself, whether it fits."""
    found = []
    for job in jobs:
        pause = longest_pause(str(job["schedule"]), now) if job.get("schedule") else None
        if not int(job.get("enabled", 1)) or pause is None:
            continue
        taken = [guest for guest in guests if takes(job, guest)]
        size = sum(int(guest.get("maxdisk") or 0) for guest in taken)
        one = forecast(size, runs=DAY / pause, **window)
        found.append(
            {
                "job": str(job["id"]),
                "guests": len(taken),
                "bytes": size,
                "changed": one.changed,
                "seconds": round(one.run, 1),
                "first": round(one.first, 1),
                "fits": one.fits,
                "text": f"{job['id']}: {len(taken)} guests, {one.words()}",
            }
        )
    return found


def _max_ages(given: Mapping[str, Any]) -> dict[str, float]:
    try:
        return {str(job): parse_time_span(str(age)) for job, age in given.items()}
    except ValueError as error:
        raise InputError(str(error), where="max_ages", hint="It is like {hourly: 2h, daily: 36h}.") from error


def _window(given: Mapping[str, Any] | None) -> dict[str, float] | None:
    if given is None:
        return None
    try:
        read = read_window(given)
        forecast(1, **read)
    except ValueError as error:
        hint = "It is like {rate: 100 MiB, window: 6h, changed: 3%}."
        raise InputError(str(error), where="window", hint=hint) from error
    return read
