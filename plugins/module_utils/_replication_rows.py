# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication jobs with what their nodes say of them (facts §10). Private to this collection."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ._api import Api
from ._errors import QuorateError
from ._parallel import side_by_side


def replication_rows(api: Api, wanted: Collection[int] | None = None) -> list[dict[str, Any]]:
    """The jobs of the guests ``wanted`` (of all), by guest: the entries of ``replication_info``."""
    jobs = [
        job
        for job in api.client.get("/cluster/replication")
        if not job.get("remove_job") and (wanted is None or int(job["guest"]) in wanted)
    ]
    states = _states(api, sorted({str(job["source"]) for job in jobs}))
    return [_row(job, states) for job in sorted(jobs, key=lambda job: (int(job["guest"]), int(job["jobnum"])))]


def _states(api: Api, nodes: list[str]) -> dict[str, dict[str, Any]]:
    """By job, what its node says of it, with the node's own time as `now`; nothing of nodes that are away."""

    def read(node: str) -> dict[str, dict[str, Any]]:
        # the server's clock, not ours: it is the one that the moments come from
        now = int(api.client.get(f"/nodes/{node}/time")["time"])
        return {str(row["id"]): {**row, "now": now} for row in api.client.get(f"/nodes/{node}/replication")}

    found: dict[str, dict[str, Any]] = {}
    for answer in side_by_side(read, [node for node in nodes if api.online(node)]):
        if not isinstance(answer, QuorateError):
            found.update(answer)
    return found


def _row(job: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    state = states.get(str(job["id"]), {})
    last = int(state.get("last_sync") or 0)
    return {
        "id": str(job["id"]),
        "guest": int(job["guest"]),
        "source": str(job["source"]),
        "target": str(job["target"]),
        "schedule": str(job.get("schedule") or "*/15"),
        "disabled": bool(int(job.get("disable") or 0)),
        "last_sync": last or None,
        "next_sync": int(state.get("next_sync") or 0) or None,
        "lag": max(0, int(state["now"]) - last) if last else None,
        "duration": float(state["duration"]) if state.get("duration") is not None else None,
        "fail_count": int(state.get("fail_count") or 0),
        "error": state.get("error"),
        "known": bool(state),
    }
