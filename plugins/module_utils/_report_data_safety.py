# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's parts about Ceph and replicas. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._ceph_pools import unsafe
from ._pure.lists import natural_key
from ._report_raw import CephRaw, Raw, Row
from ._report_words import ERROR, GOOD, INFO, WARNING, finding, listed, size, span

Found = Iterator[dict[str, str]]

_HEALTH = {"HEALTH_OK": GOOD, "HEALTH_WARN": WARNING, "HEALTH_ERR": ERROR}
_DUE = 2
"""How many times the interval between two runs a replica may be old before it is late."""


def ceph_of(ceph: CephRaw | None) -> dict[str, Any] | None:
    """Health, monitors, OSDs by host, pools with a judgement."""
    if ceph is None:
        return None
    status = ceph.status
    osdmap, pgmap = status.get("osdmap") or {}, status.get("pgmap") or {}
    total, used = int(pgmap.get("bytes_total") or 0), int(pgmap.get("bytes_used") or 0)
    monitors = [str(each["name"]) for each in (status.get("monmap") or {}).get("mons") or ()]
    return {
        "health": str(status["health"]["status"]),
        "severity": _HEALTH.get(str(status["health"]["status"]), WARNING),
        "checks": [
            {
                "code": code,
                "severity": _HEALTH.get(str(check.get("severity")), WARNING),
                "text": check["summary"]["message"],
            }
            for code, check in sorted((status["health"].get("checks") or {}).items())
        ],
        "monitors": monitors,
        "quorum": [str(name) for name in status.get("quorum_names") or ()],
        "manager": str((status.get("mgrmap") or {}).get("active_name") or ""),
        "osds": {name: int(osdmap.get(f"num_{key}osds") or 0) for name, key in _COUNTS.items()},
        "hosts": sorted(_hosts(ceph.osds.get("root") or {}), key=lambda host: natural_key(str(host["name"]))),
        "bytes": {"total": total, "used": used, "percent": round(100 * used / total) if total else 0},
        "pgs": [
            {"state": str(each["state_name"]), "count": int(each["count"])} for each in pgmap.get("pgs_by_state") or ()
        ],
        "pools": [_pool(pool, ceph) for pool in ceph.pools],
    }


_COUNTS = {"total": "", "up": "up_", "in": "in_"}


def _hosts(bucket: Row) -> Iterator[dict[str, Any]]:
    for child in bucket.get("children") or ():
        if child.get("type") == "host":
            yield {
                "name": str(child["name"]),
                "osds": [
                    {
                        "id": int(osd["id"]),
                        "up": osd.get("status") == "up",
                        "in": bool(int(osd.get("in") or 0)),
                        "class": str(osd.get("device_class") or ""),
                        "percent": round(float(osd.get("percent_used") or 0)),
                    }
                    for osd in child.get("children") or ()
                ],
            }
        else:
            yield from _hosts(child)


def _pool(pool: Row, ceph: CephRaw) -> dict[str, Any]:
    name, copies, least = str(pool["pool_name"]), int(pool["size"]), int(pool["min_size"])
    why = unsafe({"size": copies, "min_size": least})
    rule = ceph.crush.rules.get(str(pool.get("crush_rule_name"))) if ceph.crush else None
    domain = rule.steps[-1][2] if rule and rule.steps else ""
    domains = (
        len({where[domain] for device in ceph.crush.devices if domain in (where := ceph.crush.location(device))})
        if ceph.crush and domain
        else None
    )
    fix = "Set size: 3, min_size: 2 (pve_ceph_pools)."
    if not why and domain == "osd":
        why = "copies may lie on disks of one host: its loss takes several of them"
        fix = "Give it a rule whose failure domain is host (crush_rule in pve_ceph_pools)."
    elif not why and domains is not None and domains < copies:
        why = f"{copies} copies need as many {domain}s, and there are {domains}"
        fix = f"Give another {domain} OSDs, or bring back what is lost."
    severity = (ERROR if copies == 1 or least == 1 else WARNING) if why else GOOD
    good = f"the loss of {copies - least} {domain or 'host'}{'s' if copies - least > 1 else ''} stops nothing"
    return {
        "name": name,
        "size": copies,
        "min_size": least,
        "rule": str(pool.get("crush_rule_name") or ""),
        "domain": domain,
        "domains": domains,
        "pgs": int(pool.get("pg_num") or 0),
        "used": size(int(pool.get("bytes_used") or 0)),
        "percent": round(100 * float(pool.get("percent_used") or 0), 1),
        "severity": severity,
        "judgement": why or good,
        "fix": fix if why else "",
    }


def ceph_findings(ceph: Mapping[str, Any] | None) -> Found:
    """Raised checks and unsafe pools."""
    if ceph is None:
        return
    for check in ceph["checks"]:
        text = f"{check['code']}: {check['text']}"
        yield finding(check["severity"], "ceph", check["code"], text, "ceph health detail, on a node, says more.")
    for pool in ceph["pools"]:
        if pool["severity"] != GOOD:
            text = f"pool {pool['name']}: {pool['judgement']}"
            yield finding(pool["severity"], "ceph", pool["name"], text, pool["fix"])
    away = [name for name in ceph["monitors"] if name not in ceph["quorum"]]
    if away:
        text = f"{listed(away)} of {len(ceph['monitors'])} monitors not in quorum"
        yield finding(WARNING, "ceph", "monitors", text, "Start them: a majority has to stay.")


def replication_of(raw: Raw) -> list[dict[str, Any]]:
    """Every job: how old its replica is, how old it may be (twice the interval), and whether it fails."""
    names = {vmid: str(guest.get("name") or "") for vmid, guest in raw.facts.guests.items()}
    rows = []
    for job in sorted(raw.facts.replication, key=lambda job: natural_key(str(job["id"]))):
        state = raw.replication_states.get(str(job["id"])) or {}
        last, following = int(state.get("last_sync") or 0), int(state.get("next_sync") or 0)
        lag = max(0, raw.now - last) if last else None
        interval = max(MINIMUM, following - last) if last and following > last else None
        failing = bool(state.get("error")) or int(state.get("fail_count") or 0) > 0
        disabled = bool(int(job.get("disable") or 0))
        late = lag is not None and interval is not None and lag > _DUE * interval
        row = {
            "id": str(job["id"]),
            "guest": int(job["guest"]),
            "name": names.get(int(job["guest"]), ""),
            "source": str(job.get("source") or ""),
            "target": str(job["target"]),
            "schedule": str(job.get("schedule") or "*/15"),
            "disabled": disabled,
            "lag": lag,
            "interval": interval,
            "duration": state.get("duration"),
            "error": str(state.get("error") or "").strip(),
            "known": bool(state),
        }
        row["severity"], row["text"] = _replica(row, failing=failing, late=late)
        rows.append(row)
    return rows


MINIMUM = 60
"""Seconds: no schedule runs more often."""


def _replica(row: Mapping[str, Any], *, failing: bool, late: bool) -> tuple[str, str]:
    if row["disabled"]:
        return INFO, "switched off"
    if not row["known"]:
        return WARNING, f"not known while {row['source']} does not answer"
    if failing:
        return ERROR, f"fails: {row['error'] or 'the log of the job says why'}"
    if row["lag"] is None:
        return WARNING, "has never run"
    if late:
        return WARNING, f"{span(row['lag'])} old, due every {span(row['interval'])}"
    return GOOD, f"{span(row['lag'])} old"


def replication_findings(rows: Sequence[Mapping[str, Any]]) -> Found:
    """Jobs that fail or are late."""
    for row in rows:
        if row["severity"] in (ERROR, WARNING):
            text = f"replica of {row['guest']} on {row['target']}: {row['text']}"
            fix = f"Look at the job's log on {row['source']} (pvesr status), and run it again."
            yield finding(row["severity"], "replication", str(row["guest"]), text, fix)
