# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access/domains and the jobs that synchronise realms (facts §17)."""

from __future__ import annotations

from typing import Any

from agentstack._shared import calendar_event
from agentstack.access import realm_sync
from agentstack.access.realms import SYNC_SCHEMA, TFA_SCHEMA
from agentstack.api import formats
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.backup_jobs import JOBS_CFG
from agentstack.errors import AgentError, ParameterError
from agentstack.sections import Entry
from agentstack.timezone import zone

TEXTS = {
    "job_exists": "Job '{id}' already exists",
    "job_missing": "No such job '{id}'",
    "no_such_realm": "realm '{realm}' does not exist",
    "missing": "property is missing and it is not optional",
}

_CONTROL = frozenset({"realm", "type", "delete", "digest"})
_JOB_CONTROL = frozenset({"id", "delete", "digest"})

formats.PROPERTY_STRINGS |= {"pve-tfa-config": TFA_SCHEMA, "realm-sync-options": SYNC_SCHEMA}


def _values(call: Call) -> dict[str, Any]:
    return {name: value for name, value in call.params.items() if name not in _CONTROL}


@pve("GET", "/access/domains")
async def list_domains(call: Call) -> Json:
    realms = call.host.access.realms
    rows = []
    for realm, entry in realms.read()[0].items():
        row = {"realm": realm, "type": entry.type}
        row |= {key: entry.values[key] for key in ("comment",) if key in entry.values}
        if factor := realms.factor_type(entry):
            row["tfa"] = factor
        rows.append({**row, "default": 1} if entry.values.get("default") else row)
    return shuffled(rows)


@pve("POST", "/access/domains")
async def create_domain(call: Call) -> Json:
    await call.host.access.realms.create(call["realm"], call["type"], _values(call))


@pve("GET", "/access/domains/{realm}")
async def get_domain(call: Call) -> Json:
    entry, digest = call.host.access.realms.get(call["realm"])
    return {"type": entry.type, **entry.values, "digest": digest}


@pve("PUT", "/access/domains/{realm}")
async def update_domain(call: Call) -> Json:
    await call.host.access.realms.update(call["realm"], _values(call), call.get("delete"), call.get("digest"))


@pve("DELETE", "/access/domains/{realm}")
async def delete_domain(call: Call) -> Json:
    await call.host.access.realms.delete(call["realm"])


@pve("POST", "/access/domains/{realm}/sync")
async def sync_domain(call: Call) -> Json:
    host, realm = call.host, call["realm"]
    entry, _ = host.access.realms.get(realm)
    realm_sync.check_type(entry)
    options = realm_sync.Options.read(entry, {name: call.get(name) for name in SYNC_SCHEMA})
    dry_run = bool(call.get("dry-run"))
    return host.tasks.start(
        call.identity,
        realm_sync.TASK + ("-test" if dry_run else ""),
        realm,
        lambda task: realm_sync.synchronise(host, task, entry, options, dry_run=dry_run),
    )


# ---- jobs -----------------------------------------------------------------------------------------------------------


def _jobs(call: Call) -> dict[str, Entry]:
    entries, _ = JOBS_CFG.read(call.host)
    return {ident: entry for ident, entry in entries.items() if entry.type == "realm-sync"}


def _shown(call: Call, entry: Entry) -> dict[str, Any]:
    row = {"enabled": 1, **entry.values, "id": entry.id, "type": entry.type}
    if row["enabled"]:
        due = calendar_event.parse(row["schedule"]).next_after(int(call.host.clock.now()), zone(call.host))
        row |= {"next-run": due} if due is not None else {}
    last = call.host.scheduler.last_run(entry)
    return row | ({"last-run": last} if last is not None else {})


@pve("GET", "/cluster/jobs/realm-sync")
async def list_sync_jobs(call: Call) -> Json:
    return shuffled(_shown(call, entry) for entry in _jobs(call).values())


@pve("GET", "/cluster/jobs/realm-sync/{id}")
async def read_sync_job(call: Call) -> Json:
    entry = _jobs(call).get(call["id"])
    if entry is None:
        raise ParameterError({"id": TEXTS["job_missing"].format(id=call["id"])})
    return {"enabled": 1, **entry.values, "id": entry.id, "type": entry.type}


@pve("POST", "/cluster/jobs/realm-sync/{id}")
async def create_sync_job(call: Call) -> Json:
    values = {name: value for name, value in call.params.items() if name not in _JOB_CONTROL}
    if "realm" not in values:
        raise ParameterError({"realm": TEXTS["missing"]})
    realm = call.host.access.realms.read()[0].get(values["realm"])
    if realm is None:
        raise AgentError(TEXTS["no_such_realm"].format(realm=values["realm"]))
    realm_sync.check_type(realm)
    async with JOBS_CFG.locked(call.host):
        entries, _ = JOBS_CFG.read(call.host)
        if call["id"] in entries:
            raise AgentError(TEXTS["job_exists"].format(id=call["id"]))
        JOBS_CFG.check_create("realm-sync", values)
        entries[call["id"]] = Entry(call["id"], "realm-sync", values)
        await JOBS_CFG.write(call.host, entries.values())


@pve("PUT", "/cluster/jobs/realm-sync/{id}")
async def update_sync_job(call: Call) -> Json:
    values = {name: value for name, value in call.params.items() if name not in _JOB_CONTROL}
    async with JOBS_CFG.locked(call.host):
        entries, _ = JOBS_CFG.read(call.host)
        entry = entries.get(call["id"])
        if entry is None or entry.type != "realm-sync":
            raise AgentError(TEXTS["job_missing"].format(id=call["id"]))
        JOBS_CFG.apply(entry, values, call.get("delete"))
        await JOBS_CFG.write(call.host, entries.values())


@pve("DELETE", "/cluster/jobs/realm-sync/{id}")
async def delete_sync_job(call: Call) -> Json:
    async with JOBS_CFG.locked(call.host):
        entries, _ = JOBS_CFG.read(call.host)
        if call["id"] not in _jobs(call):
            raise AgentError(TEXTS["job_missing"].format(id=call["id"]))
        del entries[call["id"]]
        await JOBS_CFG.write(call.host, entries.values())
