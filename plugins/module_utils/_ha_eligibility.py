# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests could fail over, as they are and as the variables would have them. Private to this collection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ._api import Api, Result
from ._guest_facts import Affinity, GuestFacts, read_guest_facts
from ._preflight_look import ERROR, SEVERITIES
from ._pure.ha_eligibility import Candidate, Storage, Surroundings, obstacles
from ._pure.lists import split_list

_MANAGED = ("started", "stopped", "enabled")
_PLANNED = (None, "present", *_MANAGED)


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``ha_eligibility``."""
    with Api.open(params, check_mode) as api:
        planned_sids = {str(each["sid"]) for each in params["planned_resources"] if each.get("state") in _PLANNED}
        wanted = None
        if params["guests"] is not None or params["only_ha"]:
            listed = {int(vmid) for vmid in params["guests"] or ()}
            wanted = listed | {int(sid.partition(":")[2]) for sid in planned_sids if sid.partition(":")[2].isdigit()}
        # what HA is to ignore is not judged, and each costs a call
        facts = read_guest_facts(api.client, wanted, under_ha=_is_managed if params["only_ha"] else None)
        if wanted is not None and params["only_ha"]:
            wanted |= facts.resources_of_ha(_is_managed)
        _plan(facts, params)
        rows = eligibility(facts, params["services_known"], planned_sids)
        if wanted is not None:
            rows = [row for row in rows if row["vmid"] in wanted]
        named = [row for row in rows if row["under_ha"] or params["guests"] is not None]
        found = findings(named, params["severity"])
        for text in facts.unread:
            api.warn(f"not read: {text}")
        return {
            "changed": False,
            "guests": rows,
            "findings": found,
            "errors": sum(each["severity"] == ERROR for each in found),
            "warnings": api.warnings,
            "calls": len(api.client.calls),
        }


def eligibility(
    facts: GuestFacts, services_known: Iterable[Any] = (), planned_sids: Collection[str] = ()
) -> list[dict[str, Any]]:
    """One row a guest whose configuration is known: vmid, sid, name, node, under_ha, may_run, eligible, obstacles."""
    around = surroundings_of(facts)
    managed = {str(each["sid"]) for each in facts.ha_resources if _is_managed(each)}
    managed |= set(planned_sids)
    saved = {int(each["vmid"]) for rows in facts.backups.values() for each in rows or () if each.get("vmid")}
    sure = bool(facts.backups) and all(rows is not None for rows in facts.backups.values())
    known = {str(each) for each in services_known}
    rows = []
    for vmid, config in sorted(facts.configs.items()):
        sid = facts.sid(vmid)
        name = str(config.get("name") or config.get("hostname") or facts.guests[vmid].get("name") or "")
        tags = set(split_list(str(config.get("tags") or "").replace(";", ",")))
        covered = facts.not_covered is None or vmid not in facts.not_covered
        candidate = replace(
            candidate_of(facts, vmid),
            backed_up=True if vmid in saved or covered else (False if sure or not facts.backups else None),
            service_known=bool(known & {str(vmid), name, *tags}),
        )
        found = obstacles(candidate, around)
        rows.append(
            {
                "vmid": vmid,
                "sid": sid,
                "name": name,
                "node": candidate.node,
                "under_ha": sid in managed,
                "may_run": list(candidate.allowed),
                "eligible": not any(one.stops for one in found),
                "obstacles": [one.describe() for one in found],
            }
        )
    return rows


def _is_managed(resource: Mapping[str, Any]) -> bool:
    return resource.get("state", "started") in _MANAGED


def surroundings_of(facts: GuestFacts) -> Surroundings:
    """The storages and processors around the guests."""
    return Surroundings({str(each["storage"]): Storage.of(each) for each in facts.storages}, facts.processors)


def candidate_of(facts: GuestFacts, vmid: int) -> Candidate:
    """A guest whose configuration is known, as it is."""
    guest = facts.guests[vmid]
    allowed, replicas = tuple(facts.allowed(facts.sid(vmid))), frozenset(facts.replicas(vmid))
    return Candidate(vmid, str(guest["type"]), str(guest["node"]), facts.configs[vmid], allowed, replicas)


def findings(rows: Iterable[Mapping[str, Any]], severities: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Every obstacle of the guests as a finding, in the form of preflight's, weighed as there."""
    found = [
        {
            "severity": str(one["severity"]),
            "check": f"ha_{one['check']}",
            "node": str(row["node"]),
            "text": f"guest {row['vmid']}{f' ({name})' if (name := row['name']) else ''}: {one['text']}",
            "where": "",
            "fix": str(one["fix"]),
        }
        for row in rows
        for one in row["obstacles"]
    ]
    for each in found:
        each["severity"] = str((severities or {}).get(each["check"], each["severity"]))
    return sorted(found, key=lambda each: SEVERITIES.index(each["severity"]))


def _plan(facts: GuestFacts, params: Mapping[str, Any]) -> None:
    """Put what the variables want over what is there: what is judged is the cluster after the run."""
    facts.planned_nodes = [str(node) for node in params["planned_nodes"]]
    planned_storages = {str(each["storage"]): each for each in params["planned_storages"]}
    there = {str(each["storage"]): each for each in facts.storages}
    facts.storages = [
        {**there.get(name, {}), **planned_storages.get(name, {})} for name in {**there, **planned_storages}
    ]
    facts.replication = [
        *facts.replication,
        *(each for each in params["planned_replication"] if each.get("state") in (None, "present")),
    ]
    affinities = [_affinity(each) for each in params["planned_affinity"] if each.get("nodes")]
    names = {one.name for one in affinities}
    facts.affinities = [*affinities, *(one for one in facts.affinities if one.name not in names)]
    guests = facts.guests
    resources = list(facts.resources)
    for each in params["planned_guests"]:
        vmid = int(each["vmid"])
        if each.get("state") not in (None, "present"):
            continue
        if vmid not in guests and each.get("node"):
            resources.append({"type": each.get("type") or "qemu", "vmid": vmid, "node": each["node"]})
        if vmid in facts.configs or (vmid not in guests and each.get("node")):
            facts.configs[vmid] = {**facts.configs.get(vmid, {}), **_config(each, facts.configs.get(vmid, {}))}
    facts.resources = resources
    _cover(facts, params["planned_backup_jobs"])


def _affinity(each: Mapping[str, Any]) -> Affinity:
    nodes = {str(node): int(priority or 0) for node, priority in each["nodes"].items()}
    return Affinity(
        str(each["name"]),
        nodes,
        bool(each.get("strict")),
        tuple(map(str, each.get("resources") or ())),
        each.get("failback"),
    )


def _config(each: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """A guest of the variables as a configuration; disks that are there stay where they are."""
    disks = {key: value for key, value in (each.get("disks") or {}).items() if key not in there}
    plain = {key: each[key] for key in ("name", "cpu", "agent", "onboot") if each.get(key) is not None}
    tags = {"tags": ",".join(map(str, each["tags"]))} if each.get("tags") else {}
    return {**plain, **tags, **(each.get("options") or {}), **disks}


def _cover(facts: GuestFacts, jobs: Iterable[Mapping[str, Any]]) -> None:
    """The guests that planned jobs would back up are covered."""
    covered: set[int] = set()
    for job in jobs:
        if job.get("state") not in (None, "present") or job.get("enabled") is False:
            continue
        if job.get("all"):
            covered |= set(facts.guests) - {int(vmid) for vmid in job.get("exclude") or ()}
        covered |= {int(vmid) for vmid in job.get("guests") or ()}
        if job.get("pool"):
            covered |= {vmid for vmid, guest in facts.guests.items() if guest.get("pool") == job["pool"]}
    # a guest that is not there yet is in no job of the server's
    new = {vmid for vmid in facts.guests if vmid in facts.configs and "status" not in facts.guests[vmid]}
    if facts.not_covered is not None:
        facts.not_covered = frozenset((facts.not_covered | new) - covered)
