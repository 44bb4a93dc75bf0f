# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's part about each guest: whether it could fail over, and what becomes of it in one sentence.

Pure. Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._ha_eligibility import eligibility
from ._pure.ha_eligibility import Storage
from ._pure.lists import split_list
from ._report_raw import Raw, Wishes
from ._report_words import ERROR, GOOD, INFO, WARNING, finding, listed, size, span


def guests_of(
    raw: Raw,
    wishes: Wishes,
    backups: Mapping[str, Any],
    replication: Sequence[Mapping[str, Any]],
    capacity: Mapping[str, Any] | None,
    drilled: Mapping[str, Mapping[str, Any]],
    restored: Mapping[int, float],
) -> list[dict[str, Any]]:
    """Every guest with what is known of it, those that are worst off first."""
    facts = raw.facts
    judged = {row["vmid"]: row for row in eligibility(facts, wishes.services_known)}
    saved = {row["vmid"]: row for row in backups["guests"]}
    jobs: dict[int, list[Mapping[str, Any]]] = {}
    for job in replication:
        jobs.setdefault(int(job["guest"]), []).append(job)
    homeless = (capacity or {}).get("homeless") or {}
    states = {str(each["sid"]): str(each.get("state") or "started") for each in facts.ha_resources}
    rows = []
    for vmid, guest in facts.guests.items():
        sid = facts.sid(vmid)
        look = judged.get(vmid)
        row: dict[str, Any] = {
            "vmid": vmid,
            "sid": sid,
            "kind": "container" if guest["type"] == "lxc" else "vm",
            "name": str(guest.get("name") or ""),
            "class": str((wishes.classes.get(str(vmid)) or {}).get("name") or saved[vmid]["class"]),
            "node": str(guest["node"]),
            "running": guest.get("status") == "running",
            "memory": size(int(guest.get("maxmem") or 0)),
            "tags": split_list(str(guest.get("tags") or "").replace(";", ",")),
            "under_ha": states.get(sid, "") in ("started", "stopped", "enabled"),
            "recovered": states.get(sid) in ("started", "enabled"),
            "may_run": look["may_run"] if look else facts.allowed(sid),
            "eligible": look["eligible"] if look else None,
            "obstacles": look["obstacles"] if look else [],
            "backup": {name: saved[vmid][name] for name in ("severity", "text", "newest", "everywhere")},
            "room": sid not in homeless,
            "recovery_point": _recovery_point(raw, vmid, jobs.get(vmid, [])),
            "drill": drilled.get(sid),
            "restored": restored.get(vmid),
        }
        row["severity"], parts = _fate(row, raw.now)
        row["subject"], row["fate"] = f"{row['kind']} {vmid}{_brackets(row)}", ", ".join(parts)
        row["sentence"] = f"{row['subject']}: {row['fate']}"
        rows.append(row)
    order = [ERROR, WARNING, INFO, GOOD]
    return sorted(rows, key=lambda row: (order.index(row["severity"]), row["vmid"]))


def _brackets(row: Mapping[str, Any]) -> str:
    words = [word for word in (row["name"], row["class"]) if word]
    return f" ({', '.join(words)})" if words else ""


def _recovery_point(raw: Raw, vmid: int, jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How much is lost with the host: ``seconds`` (None: there is no copy, or no telling), in words."""
    storages = {str(each["storage"]): Storage.of(each) for each in raw.facts.storages}
    config = raw.facts.configs.get(vmid)
    if config is None:
        return {"seconds": None, "text": "recovery point not known"}
    local = False
    for key, value in config.items():
        storage = storages.get(str(value).partition(":")[0])
        if _is_disk(key) and storage is not None and not storage.shared and "media=cdrom" not in str(value):
            local = True
    if not local:
        return {"seconds": 0, "text": "recovery point 0"}
    fresh = [job for job in jobs if job["lag"] is not None and not job["disabled"]]
    if not fresh:
        return {"seconds": None, "text": "no copy of its disks on another node"}
    seconds = min(int(job["lag"]) for job in fresh)
    return {"seconds": seconds, "text": f"recovery point {span(seconds)}"}


def _is_disk(key: str) -> bool:
    return key.rstrip("0123456789") in ("scsi", "virtio", "sata", "ide", "mp", "efidisk", "tpmstate") or key == "rootfs"


def _fate(row: Mapping[str, Any], now: int) -> tuple[str, list[str]]:
    """Severity and the parts of the sentence."""
    severity = GOOD
    stops = [one for one in row["obstacles"] if one["stops"]]
    if not row["recovered"]:
        text = "does not come back by itself when its host is lost" + (" (not under HA)" if not row["under_ha"] else "")
        severity = INFO
    elif row["eligible"] is None:
        severity, text = WARNING, "whether it survives a host loss is not known while its node does not answer"
    elif stops:
        severity, text = ERROR, f"does not survive a host loss: {stops[0]['text']}"
    elif not row["room"]:
        severity, text = ERROR, "does not survive a host loss: no room for it on the other nodes"
    else:
        text = "survives a host loss"
    parts = [text, str(row["recovery_point"]["text"])]
    if row["drill"]:
        parts.append(f"last drill {row['drill']['text']}")
    else:
        parts.append("never drilled")
    newest = row["backup"]["newest"]
    parts.append(f"backup {span(now - newest)} old" if newest else "no backup")
    if row["backup"]["severity"] == ERROR:
        severity = ERROR
    elif row["backup"]["severity"] == WARNING and severity != ERROR:
        severity = WARNING
    parts.append(f"restore tested {span(now - row['restored'])} ago" if row["restored"] else "restore never tested")
    return severity, parts


def guest_findings(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """What keeps guests under HA from failing over; backups have findings of their own."""
    minor: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for one in row["obstacles"] if row["under_ha"] else ():
            if one["severity"] == INFO:
                minor.setdefault((one["text"], one["fix"]), []).append(str(row["vmid"]))
            elif one["check"] != "backup":
                text = f"guest {row['vmid']}{_brackets(row)}: {one['text']}"
                yield finding(ERROR if one["stops"] else WARNING, "guests", str(row["vmid"]), text, one["fix"])
    for (text, fix), vmids in minor.items():
        what = f"guest {vmids[0]}" if len(vmids) == 1 else f"{len(vmids)} guests ({listed(vmids)})"
        yield finding(INFO, "guests", ",".join(vmids[:1]), f"{what}: {text}", fix)


def protected(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many guests there are, and how many of them are looked after."""
    return {
        "all": len(rows),
        "running": sum(row["running"] for row in rows),
        "under_ha": sum(row["under_ha"] for row in rows),
        "survive": sum(bool(row["recovered"] and row["eligible"] and row["room"]) for row in rows),
        "backed_up": sum(row["backup"]["newest"] is not None for row in rows),
        "backed_up_everywhere": sum(row["backup"]["everywhere"] for row in rows),
        "restored": sum(row["restored"] is not None for row in rows),
        "drilled": sum(row["drill"] is not None for row in rows),
    }
