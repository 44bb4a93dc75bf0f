# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/journal and /nodes/{node}/syslog."""

from __future__ import annotations

import datetime

from agentstack import journal
from agentstack._shared.time_zone import time_zone
from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError
from agentstack.timezone import zone

DEFAULT_LIMIT = 50
_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


@pve("GET", "/nodes/{node}/syslog")
async def syslog(call: Call) -> Json:
    rows = journal.entries(call.host)
    if service := call.get("service"):
        # the journal knows two of the services by the names of their programs
        unit = {"pve-cluster": "pmxcfs", "postfix": "postfix@-"}.get(service, service)
        rows = [row for row in rows if row.unit.partition("[")[0] == unit]
    if since := call.get("since"):
        rows = [row for row in rows if row.time >= _moment(call, since)]
    if until := call.get("until"):
        rows = [row for row in rows if row.time <= _moment(call, until)]
    call.total = len(rows)
    start = call.get("start", 0)
    lines = [{"n": number, "t": row.line(call.host)} for number, row in enumerate(rows, start=1)]
    # an empty journal, too, is one line
    return lines[start : start + (call.get("limit") or DEFAULT_LIMIT)] or [{"n": 1, "t": "no content"}]


def _moment(call: Call, text: str) -> float:
    """A time as people write it, in the host's time zone."""
    for form in _FORMS:
        try:
            found = datetime.datetime.strptime(text, form)
        except ValueError:
            continue
        return found.replace(tzinfo=time_zone(zone(call.host))).timestamp()
    raise AgentError(f"unable to parse time '{text}'")


@pve("GET", "/nodes/{node}/journal")
async def read_journal(call: Call) -> Json:
    """Lines between two cursors: that of the first line comes first, that of the last one last."""
    rows = list(enumerate(journal.entries(call.host)))
    if "since" in call.params:
        rows = [row for row in rows if row[1].time >= call["since"]]
    if "until" in call.params:
        rows = [row for row in rows if row[1].time <= call["until"]]
    if "startcursor" in call.params:
        rows = [row for row in rows if row[0] >= _index(call["startcursor"])]
    if "endcursor" in call.params:
        rows = [row for row in rows if row[0] <= _index(call["endcursor"])]
    if "lastentries" in call.params:
        rows = rows[len(rows) - min(call["lastentries"], len(rows)) :]
    if not rows:
        return []
    cursors = [f"s={call.host.name};i={rows[place][0]:x}" for place in (0, -1)]
    return [cursors[0], *(entry.line(call.host) for _, entry in rows), cursors[1]]


def _index(cursor: str) -> int:
    _, _, number = cursor.partition(";i=")
    try:
        return int(number, 16)
    except ValueError:
        raise AgentError("Failed to seek to cursor: Invalid argument") from None
