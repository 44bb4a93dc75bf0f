# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/tasks of a backup server (facts §20.3)."""

from __future__ import annotations

from typing import Any

from aiohttp.web import Response

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.errors import AgentError
from agentstack.pbs.upid import parse_upid
from agentstack.tasks import UNEXPECTED
from agentstack.upid import Upid

DEFAULT_LIMIT = 50
_PATH = "/nodes/{node}/tasks"


def _row(upid: Upid) -> dict[str, Any]:
    return {
        "upid": str(upid),
        "node": upid.node,
        "pid": upid.pid,
        "pstart": upid.pstart,
        "starttime": upid.starttime,
        "worker_type": upid.type,
        "worker_id": upid.id,
        "user": upid.user,
    }


def _kind(status: str) -> str:
    """The word of `statusfilter` for an exit status."""
    if status == "OK":
        return "ok"
    if status.startswith("WARNINGS: "):
        return "warning"
    return "unknown" if status == UNEXPECTED else "error"


def _owns(call: Call, user: str) -> bool:
    return user == call.identity.authid or user.startswith(f"{call.identity.authid}!")


@pbs("GET", _PATH)
async def list_tasks(call: Call) -> Json:
    """What runs first, then what has ended, each the newest first."""
    tasks = call.host.tasks
    rows = [_row(upid) for upid in tasks.active()]
    if not call.get("running"):
        rows += [{**_row(end.upid), "endtime": end.endtime, "status": end.status} for end in reversed(tasks.finished)]
    audits = call.host.pbs.access.may(call.identity, "/system/tasks", ["Sys.Audit"])
    rows = [row for row in rows if (audits or _owns(call, row["user"])) and _fits(call, row)]
    call.total = len(rows)
    start, limit = call.get("start", 0), call.get("limit", DEFAULT_LIMIT)
    return rows[start : start + limit] if limit else rows[start:]


def _fits(call: Call, row: dict[str, Any]) -> bool:
    status = row.get("status")
    kind = _kind(status) if status is not None else None
    store = call.get("store")
    return not (
        (call.get("errors") and kind in (None, "ok"))
        or (call.get("statusfilter") and kind not in call["statusfilter"])
        or (call.get("userfilter") and call["userfilter"] not in row["user"])
        or (call.get("typefilter") and call["typefilter"] not in row["worker_type"])
        or (store and store not in row["worker_id"].split(":"))
        or (call.get("since") is not None and row["starttime"] < call["since"])
        or (call.get("until") is not None and row["starttime"] > call["until"])
    )


def _task(call: Call, privilege: str) -> Upid:
    """The task that a call is about; its owner may do with it what others need a privilege for."""
    upid = parse_upid(call["upid"])
    if upid is None:
        raise AgentError("unable to parse UPID")
    if not _owns(call, upid.user):
        call.host.pbs.access.check(call.identity, "/system/tasks", [privilege])
    if not call.host.tasks.path(upid).exists():
        raise AgentError("no such task", status=404)
    return upid


@pbs("GET", f"{_PATH}/{{upid}}/status")
async def task_status(call: Call) -> Json:
    upid = _task(call, "Sys.Audit")
    tasks = call.host.tasks
    user, mark, token = upid.user.partition("!")
    found = {
        "upid": str(upid),
        "node": upid.node,
        "pid": upid.pid,
        "pstart": upid.pstart,
        "starttime": upid.starttime,
        "type": upid.type,
        "id": upid.id,
        "user": user,
    }
    if mark:
        found["tokenid"] = token
    if tasks.is_running(upid):
        return {**found, "status": "running"}
    end = next((end.endtime for end in reversed(tasks.finished) if end.upid == upid), None)
    times = {"endtime": end} if end is not None else {}
    return {**found, **times, "status": "stopped", "exitstatus": tasks.exit_status(upid)}


@pbs("GET", f"{_PATH}/{{upid}}/log")
async def task_log(call: Call) -> Json:
    upid = _task(call, "Sys.Audit")
    lines = call.host.tasks.read_log(upid) or []
    if call.get("download"):
        return Response(text="".join(f"{line}\n" for line in lines))
    call.total = len(lines)
    if call.get("test-status"):
        call.extra["active"] = call.host.tasks.is_running(upid)
    start, limit = call.get("start", 0), call.get("limit", DEFAULT_LIMIT)
    numbered = [{"n": number, "t": text} for number, text in enumerate(lines, start=1)]
    return numbered[start : start + limit] if limit else numbered[start:]


@pbs("DELETE", f"{_PATH}/{{upid}}")
async def stop_task(call: Call) -> Json:
    upid = _task(call, "Sys.Modify")
    if not call.host.tasks.is_running(upid):
        raise AgentError("task already finished")
    call.host.tasks.cancel(upid)
