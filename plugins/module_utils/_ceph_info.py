# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's state as a whole, and waiting for its health. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._ceph import HERE, UNREACHABLE, absent, group_states, osds_of
from ._errors import ApiError
from ._pure.lists import natural_sorted
from ._wait import wait_until

# what is raised as long as a host is away, while all data can be reached
OF_A_LOST_NODE = re.compile(r"(MON_DOWN|OSD_(\w+_)?DOWN|PG_DEGRADED):")


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        return _info(api, params)


def _info(api: Api, params: Mapping[str, Any]) -> Result:
    tolerated = list(params["tolerate"])
    try:
        status = api.client.get("/cluster/ceph/status")
    except ApiError as error:
        if not absent(error) or (params["wait_for_health"] and error.says(UNREACHABLE) and not api.check_mode):
            raise
        return {"changed": False, "installed": False, "reason": error.text, "calls": len(api.client.calls)}
    if params["wait_for_health"] and not api.check_mode and not_tolerated(status, tolerated):
        away = [node for node in api.nodes if not api.online(node)] if params["tolerate_offline"] else []
        status = _wait(api, tolerated, natural_sorted(away), float(params["timeout"]))
    osds = status.get("osdmap", {})
    return {
        "changed": False,
        "installed": True,
        "health": status["health"]["status"],
        "checks": {code: check["summary"]["message"] for code, check in status["health"]["checks"].items()},
        "healthy": not not_tolerated(status, tolerated),
        "fsid": status.get("fsid"),
        "monitors": [monitor["name"] for monitor in status.get("monmap", {}).get("mons", ())],
        "quorum": status.get("quorum_names", []),
        "manager": status.get("mgrmap", {}).get("active_name") or None,
        "osds": {
            "total": int(osds.get("num_osds", 0)),
            "up": int(osds.get("num_up_osds", 0)),
            "in": int(osds.get("num_in_osds", 0)),
        },
        "pgs": group_states(status),
        "bytes": {
            "total": int(status.get("pgmap", {}).get("bytes_total", 0)),
            "used": int(status.get("pgmap", {}).get("bytes_used", 0)),
        },
        **({"hosts": _hosts(api)} if params["hosts"] else {}),
        "warnings": api.warnings,
        "calls": len(api.client.calls),
    }


def _hosts(api: Api) -> dict[str, list[int]]:
    """Node -> numbers of its OSDs."""
    tree = api.client.get(f"{HERE}/osd").get("root") or {}
    return {node: sorted(int(name.removeprefix("osd.")) for name in osds_of(tree, node)) for node in api.nodes}


def not_tolerated(status: Mapping[str, Any], tolerated: Sequence[str]) -> list[str]:
    """The raised checks beside the tolerated ones, as ``CODE: text``."""
    checks = status["health"].get("checks") or {}
    found = [
        f"{code}: {check['summary']['message']}" for code, check in sorted(checks.items()) if code not in tolerated
    ]
    if status["health"]["status"] == "HEALTH_OK" or checks:
        return found
    return [str(status["health"]["status"])]


def _wait(api: Api, tolerated: Sequence[str], away: Sequence[str], timeout: float) -> Mapping[str, Any]:
    seen: list[str] = []

    def look() -> Mapping[str, Any] | None:
        status: Mapping[str, Any] = api.client.get("/cluster/ceph/status")
        seen[:] = not_tolerated(status, tolerated)
        return None if [text for text in seen if not (away and OF_A_LOST_NODE.match(text))] else status

    status = wait_until(
        look,
        timeout=timeout,
        what="Ceph's health",
        clock=api.client.clock,
        passing=(ApiError,),
        describe=lambda: "; ".join(seen),
        hint="Put right what it says, or name the check's code in tolerate.",
    )
    if seen:
        api.warn(f"{', '.join(away)} is offline, so that this is not waited for: {'; '.join(seen)}")
    return status
