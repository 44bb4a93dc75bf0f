# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's state as a whole, and waiting for its health. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._ceph import UNREACHABLE, absent
from ._errors import ApiError
from ._wait import wait_until


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
        status = _wait(api, tolerated, float(params["timeout"]))
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
        "pgs": {each["state_name"]: each["count"] for each in status.get("pgmap", {}).get("pgs_by_state", ())},
        "bytes": {
            "total": int(status.get("pgmap", {}).get("bytes_total", 0)),
            "used": int(status.get("pgmap", {}).get("bytes_used", 0)),
        },
        "calls": len(api.client.calls),
    }


def not_tolerated(status: Mapping[str, Any], tolerated: Sequence[str]) -> list[str]:
    """The raised checks beside the tolerated ones, as ``CODE: text``."""
    checks = status["health"].get("checks") or {}
    found = [
        f"{code}: {check['summary']['message']}" for code, check in sorted(checks.items()) if code not in tolerated
    ]
    if status["health"]["status"] == "HEALTH_OK" or checks:
        return found
    return [str(status["health"]["status"])]


def _wait(api: Api, tolerated: Sequence[str], timeout: float) -> Mapping[str, Any]:
    seen: list[str] = []

    def look() -> Mapping[str, Any] | None:
        status: Mapping[str, Any] = api.client.get("/cluster/ceph/status")
        seen[:] = not_tolerated(status, tolerated)
        return None if seen else status

    return wait_until(
        look,
        timeout=timeout,
        what="Ceph's health",
        clock=api.client.clock,
        passing=(ApiError,),
        describe=lambda: "; ".join(seen),
        hint="Put right what it says, or name the check's code in tolerate.",
    )
