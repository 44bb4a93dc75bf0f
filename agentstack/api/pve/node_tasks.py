# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/tasks: what runs and has run on a node (facts §4; observed: calls)."""

from __future__ import annotations

from typing import Any

from aiohttp.web import Response

from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError, ParameterError
from agentstack.tasks import describe
from agentstack.upid import Upid, parse_upid

DEFAULT_LIMIT = 50


def _full(upid: Upid) -> dict[str, Any]:
    return {**describe(upid), "pid": upid.pid, "pstart": upid.pstart}


def _kind(status: str) -> str:
    """The word of `statusfilter` for an exit status."""
    if status == "OK":
        return "ok"
    if status.startswith("WARNINGS: "):
        return "warning"
    return "unknown" if status == "unexpected status" else "error"


@pve("GET", "/nodes/{node}/tasks")
async def list_tasks(call: Call) -> Json:
    tasks = call.host.tasks
    source = call.get("source", "archive")
    rows: list[dict[str, Any]] = []
    if source in ("active", "all"):
        rows += [{**_full(upid), "status": "RUNNING"} for upid in tasks.active()]
    if source in ("archive", "all"):
        rows += [{**_full(end.upid), "endtime": end.endtime, "status": end.status} for end in reversed(tasks.finished)]
    audits = call.host.access.may(call.identity, f"/nodes/{call.host.name}", ["Sys.Audit"])
    rows = [row for row in rows if (audits or row["user"] == call.identity.userid) and _fits(call, row)]
    call.total = len(rows)
    start, limit = call.get("start", 0), call.get("limit", DEFAULT_LIMIT)
    return rows[start : start + limit] if limit else rows[start:]


def _fits(call: Call, row: dict[str, Any]) -> bool:
    words = [word for word in split_list(call.get("statusfilter")) if row["status"] != "RUNNING"]
    return not (
        (call.get("errors") and _kind(row["status"]) not in ("error", "unknown"))
        or (words and _kind(row["status"]) not in words)
        or (call.get("userfilter") and call["userfilter"].lower() not in row["user"].lower())
        or (call.get("typefilter") and call["typefilter"] not in row["type"])
        or (call.get("vmid") and row["id"] != str(call["vmid"]))
        or (call.get("since") and row["starttime"] < call["since"])
        or (call.get("until") and row["starttime"] > call["until"])
    )


def _task(call: Call, privilege: str) -> Upid:
    """The task that a call is about; its owner may do with it what others need a privilege for."""
    upid = parse_upid(call["upid"])
    if upid is None:
        raise ParameterError({"upid": "unable to parse worker upid"})
    if upid.user.partition("!")[0] != call.identity.userid:
        call.host.access.check(call.identity, f"/nodes/{call.host.name}", [privilege])
    return upid


@pve("GET", "/nodes/{node}/tasks/{upid}/status")
async def task_status(call: Call) -> Json:
    upid = _task(call, "Sys.Audit")
    tasks = call.host.tasks
    if not tasks.path(upid).exists():
        raise ParameterError({"upid": "no such task"})
    found = _full(upid)
    if tasks.is_running(upid):
        return {**found, "status": "running"}
    return {**found, "status": "stopped", "exitstatus": tasks.exit_status(upid)}


@pve("GET", "/nodes/{node}/tasks/{upid}/log")
async def task_log(call: Call) -> Json:
    upid = _task(call, "Sys.Audit")
    path = call.host.tasks.path(upid)
    lines = call.host.tasks.read_log(upid)
    if call.get("download"):
        if "start" in call.params or "limit" in call.params:
            raise ParameterError({"download": "mutually exclusive with 'start' and 'limit'"})
        if lines is None:
            raise AgentError(f"unable to open file '{path.name}' - No such file or directory")
        headers = {"Content-Disposition": f'attachment; filename="task-{upid.node}-{upid.type}.log"'}
        return Response(text="".join(f"{line}\n" for line in lines), headers=headers)
    if lines is None:
        lines = [f"unable to open file - /var/log/pve/tasks/{upid.directory}/{upid}: No such file or directory"]
    elif not lines:
        lines = ["no content"]
    call.total = len(lines)
    start, limit = call.get("start", 0), call.get("limit", DEFAULT_LIMIT)
    numbered = [{"n": number, "t": text} for number, text in enumerate(lines, start=1)]
    return numbered[start : start + limit] if limit else numbered[start:]


@pve("DELETE", "/nodes/{node}/tasks/{upid}")
async def stop_task(call: Call) -> Json:
    call.host.tasks.cancel(_task(call, "Sys.Modify"))
    return None
