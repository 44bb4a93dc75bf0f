# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's part about backups: who has none, who has old ones, and where. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ._pure.backup_age import SLACK, Demand, demands, longest_pause
from ._report_raw import BackupServer, Raw, Row, Wishes
from ._report_words import ERROR, GOOD, INFO, ORDER, WARNING, finding, listed, moment, size, span

Held = dict[tuple[str, int], list[tuple[int, str]]]


def backups_of(raw: Raw, wishes: Wishes) -> dict[str, Any]:
    """By guest, the newest backup in every place, with the gaps first. Places are storages and backup servers."""
    held, places, failed = _held(raw)
    guests = list(raw.facts.guests.values())
    ages = {each.name: each.max_age for each in wishes.backup_classes if each.max_age is not None}
    promises = {each.vmid: each for each in demands(raw.backup_jobs, guests, ages, raw.now)}
    limits = {place: _limit(raw, wishes, place, ages) for place in places}
    classes = {each.name for each in wishes.backup_classes}
    rows: list[dict[str, Any]] = []
    for vmid, guest in raw.facts.guests.items():
        promise = promises[vmid]
        said = wishes.classes.get(str(vmid)) or {}
        allowed = float(said.get("max_age") or promise.max_age or wishes.backup_max_age)
        mine = [
            {**_newest(held.get((place, vmid), ()), raw.now), "place": place, "known": place not in failed}
            | {"limit": max(allowed, limits[place](vmid, allowed))}
            for place in places
        ]
        row: dict[str, Any] = {
            "vmid": vmid,
            "name": str(guest.get("name") or ""),
            "class": promise.job if promise.job in classes else "",
            "job": promise.job or "",
            "allowed": allowed,
            "promise": f"{span(allowed)} ({promise.job})" if promise.job else span(allowed),
            "newest": max((each["newest"] or 0 for each in mine), default=0) or None,
            "places": mine,
            "everywhere": bool(mine) and all(each["newest"] for each in mine),
            "covered": raw.facts.not_covered is None or vmid not in raw.facts.not_covered,
        }
        row["severity"], row["text"], row["fix"] = _judged(row, raw.now)
        rows.append(row)
    rows.sort(key=lambda row: (ORDER.index(row["severity"]), row["newest"] or 0, row["vmid"]))
    return {
        "places": [{"name": place, "error": failed.get(place, "")} for place in places],
        "classes": [_class(each.name, rows) for each in wishes.backup_classes],
        "guests": rows,
        "everywhere": sum(row["everywhere"] for row in rows),
        "stores": [_store(server, store) for server in raw.servers for store in server.stores if store.get("total")],
        "jobs": len(raw.backup_jobs),
    }


def _newest(found: Sequence[tuple[int, str]], now: int) -> dict[str, Any]:
    newest, verified = max(found, key=lambda each: each[0], default=(0, ""))
    return {
        "count": len(found),
        "newest": newest or None,
        "when": moment(newest),
        "age": now - newest if newest else None,
        "text": f"{span(now - newest)} ago" if newest else "none",
        "verified": verified or None,
    }


def _class(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    mine = [row for row in rows if row["class"] == name]
    return {
        "name": name,
        "guests": len(mine),
        "gaps": sum(row["severity"] in (ERROR, WARNING) for row in mine),
        "allowed": max((row["allowed"] for row in mine), default=None),
    }


def _store(server: BackupServer, store: Row) -> dict[str, Any]:
    used, total = int(store["used"]), int(store["total"])
    return {
        "server": server.name,
        "store": str(store["store"]),
        "used": size(used),
        "total": size(total),
        "percent": round(100 * used / max(1, total)),
    }


def _limit(raw: Raw, wishes: Wishes, place: str, ages: Mapping[str, float]) -> Callable[[int, float], float]:
    """How old the newest backup of a guest may be in one place (seconds), of its number and what it is promised.

    A job that writes there promises it itself. What is copied there comes later by the pause between two runs of the
    server's sync jobs; where that is not known, what holds without a promise.
    """
    server = next((each for each in raw.servers if each.name == place), None)
    mine = {place} | {
        str(each["storage"]) for each in raw.facts.storages if server and str(each.get("server")) in server.addresses
    }
    direct: Mapping[int, Demand] = {
        each.vmid: each
        for each in demands(
            [job for job in raw.backup_jobs if str(job.get("storage")) in mine],
            raw.facts.guests.values(),
            ages,
            raw.now,
        )
    }
    pauses = (
        [longest_pause(str(job["schedule"]), raw.now) for job in server.syncs if job.get("schedule")] if server else []
    )
    synced = max((pause for pause in pauses if pause is not None), default=None)

    def limit(vmid: int, allowed: float) -> float:
        promised = direct[vmid].max_age
        if promised is not None:
            return promised
        return wishes.backup_max_age if synced is None else allowed + SLACK * synced

    return limit


def _held(raw: Raw) -> tuple[Held, list[str], dict[str, str]]:
    """(place, guest) -> (time, verification) of each backup; the places; those that could not be read, with why.

    A backup server that is asked itself stands for the storages that lie on it. It may hold other clusters' guests of
    the same numbers: only the namespaces that this cluster writes to count, where the server has those.
    """
    held: Held = {}
    places: list[str] = []
    failed: dict[str, str] = {}
    addresses = {address: server.name for server in raw.servers for address in server.addresses}
    storages = {str(each["storage"]): each for each in raw.facts.storages}
    own = {str(each.get("namespace") or "") for each in storages.values() if each.get("type") == "pbs"}
    for name, rows in sorted(raw.facts.backups.items()):
        storage = storages.get(name) or {}
        if storage.get("type") == "pbs" and str(storage.get("server")) in addresses:
            continue
        if rows is not None and not rows and storage.get("type") != "pbs":
            # a directory that may hold backups and holds none is no place of theirs
            continue
        places.append(name)
        if rows is None:
            failed[name] = "does not answer"
        for row in rows or ():
            if row.get("vmid") is not None:
                verified = str((row.get("verification") or {}).get("state") or "")
                held.setdefault((name, int(row["vmid"])), []).append((int(row.get("ctime") or 0), verified))
    for server in raw.servers:
        places.append(server.name)
        if server.error:
            failed[server.name] = server.error
        for row in _of_this_cluster(server, own):
            if row.get("backup-type") in ("vm", "ct") and str(row["backup-id"]).isdigit():
                verified = str((row.get("verification") or {}).get("state") or "")
                held.setdefault((server.name, int(row["backup-id"])), []).append((int(row["backup-time"]), verified))
    return held, places, failed


def _of_this_cluster(server: BackupServer, own: set[str]) -> Sequence[Row]:
    mine = [row for row in server.snapshots if row["ns"] in own]
    return mine or server.snapshots


def _judged(row: Mapping[str, Any], now: int) -> tuple[str, str, str]:
    known = [each for each in row["places"] if each["known"]]
    if row["newest"] is None:
        if row["places"] and len(known) < len(row["places"]):
            return WARNING, "none on what answers", "Bring the other backup server back, and look again."
        job = "" if row["covered"] else ", and no job includes it"
        return ERROR, f"no backup at all{job}", "Add it to a job (pve_backup_jobs), and back it up now (backup)."
    age = now - row["newest"]
    newest = [each for each in row["places"] if each["newest"] == row["newest"]]
    if any(each["verified"] == "failed" for each in newest):
        return ERROR, "the newest backup is damaged", "Back it up again, and look at the datastore's disks."
    if age > row["allowed"]:
        text = f"the newest backup is {span(age)} old, {row['promise']} are allowed"
        return WARNING, text, f"Look at the last run of its backup job{' ' + row['job'] if row['job'] else ''}."
    lacking = [str(each["place"]) for each in known if each["newest"] is None]
    if lacking:
        return WARNING, f"no copy on {listed(lacking)}", "Look at the sync job there, and run it (pbs_sync)."
    behind = [each for each in known if now - each["newest"] > each["limit"]]
    if behind:
        text = f"the copy on {behind[0]['place']} is {behind[0]['text'].removesuffix(' ago')} old"
        return WARNING, text, "Look at the sync job there, and run it (pbs_sync)."
    if not any(each["verified"] == "ok" for each in known):
        return INFO, "never verified", "Let the datastore verify new backups (verify_new), or run a verify job."
    return GOOD, f"{span(age)} old, verified", ""


def backup_findings(backups: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Guests without, servers that do not answer, datastores that fill up."""
    for place in backups["places"]:
        if place["error"]:
            text = f"{place['name']} does not answer: {place['error']}"
            yield finding(ERROR, "backups", place["name"], text, "Look at the backup server and the way to it.")
    for row in backups["guests"]:
        if row["severity"] in (ERROR, WARNING):
            yield finding(
                row["severity"], "backups", str(row["vmid"]), f"guest {row['vmid']}: {row['text']}", row["fix"]
            )
    for store in backups["stores"]:
        if store["percent"] >= 80:
            text = f"datastore {store['store']} of {store['server']} is {store['percent']} % full"
            yield finding(WARNING, "backups", store["server"], text, "Prune and collect garbage, or add space.")
