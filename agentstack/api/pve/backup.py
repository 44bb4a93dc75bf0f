# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/backup, /cluster/backup-info and /cluster/jobs (facts §13)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agentstack import backup_jobs
from agentstack._shared.calendar_event import parse
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import AgentError
from agentstack.timezone import zone

_CONTROL = frozenset({"id", "delete"})
DEFAULT_ITERATIONS = 10


def _values(call: Call) -> dict[str, Any]:
    values = {key: value for key, value in call.params.items() if key not in _CONTROL}
    call.host.backup_jobs.check_root_only(values, is_root=call.identity.is_root)
    if "storage" in values and not call.identity.is_root:
        call.host.access.check(call.identity, f"/storage/{values['storage']}", ["Datastore.Allocate"])
    return values


@pve("GET", "/cluster/backup")
async def list_jobs(call: Call) -> Json:
    rows = []
    for entry in call.host.backup_jobs.jobs().values():
        row = backup_jobs.answer(entry)
        if row["enabled"]:
            following = parse(row["schedule"]).next_after(int(call.host.clock.now()), zone(call.host))
            if following is not None:
                row["next-run"] = following
        rows.append(row)
    return rows


@pve("POST", "/cluster/backup")
async def create_job(call: Call) -> Json:
    await call.host.backup_jobs.create(call.get("id"), _values(call))


@pve("GET", "/cluster/backup/{id}")
async def read_job(call: Call) -> Json:
    return backup_jobs.answer(call.host.backup_jobs.job(call["id"]))


@pve("PUT", "/cluster/backup/{id}")
async def update_job(call: Call) -> Json:
    await call.host.backup_jobs.update(call["id"], _values(call), call.get("delete"))


@pve("DELETE", "/cluster/backup/{id}")
async def delete_job(call: Call) -> Json:
    await call.host.backup_jobs.delete(call["id"])


@pve("GET", "/cluster/backup/{id}/included_volumes")
async def included_volumes(call: Call) -> Json:
    jobs = call.host.backup_jobs
    places, unknown = jobs.selected(jobs.job(call["id"]))
    rows: list[dict[str, Any]] = [
        {"id": place.vmid, "type": place.kind.type, "name": jobs.name_of(place), "children": jobs.volumes(place)}
        for place in places.values()
    ]
    rows += [{"id": vmid, "type": "unknown", "children": []} for vmid in sorted(unknown)]
    return {"children": shuffled(rows)}


@pve("GET", "/cluster/backup-info/not-backed-up")
async def not_backed_up(call: Call) -> Json:
    jobs = call.host.backup_jobs
    return shuffled(
        {"vmid": place.vmid, "type": place.kind.type, "name": jobs.name_of(place)} for place in jobs.not_backed_up()
    )


@pve("GET", "/cluster/jobs/schedule-analyze")
async def analyze_schedule(call: Call) -> Json:
    event = parse(call["schedule"])
    moment: int | None = call.get("starttime", int(call.host.clock.now()))
    rows: list[dict[str, Any]] = []
    for _ in range(call.get("iterations", DEFAULT_ITERATIONS)):
        if moment is None or (moment := event.next_after(moment, zone(call.host))) is None:
            break
        rows.append({"timestamp": moment, "utc": datetime.fromtimestamp(moment, UTC).strftime("%a %b %e %H:%M:%S %Y")})
    if not rows:
        raise AgentError(f"no next event found for schedule '{call['schedule']}'")
    return rows
