# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``/cluster/ha/status/current`` shows (facts §7.2; wording observed on 8.4 and 9.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from agentstack._shared.ha_types import ServiceStatus
from agentstack.ha.environment import LrmStatus, ManagerStatus

DEAD_AFTER = 30
DRIFT = 5

Entry = dict[str, Any]


def utc_ctime(timestamp: float) -> str:
    """``Sat Nov 21 19:53:51 2026``."""
    return time.asctime(time.gmtime(timestamp))


def current(
    *,
    node: str,
    quorate: bool,
    now: float,
    manager: ManagerStatus,
    lrm: Mapping[str, LrmStatus],
    resources: Mapping[str, Mapping[str, Any]],
    release: int = 9,
    ctime: Callable[[float], str] = utc_ctime,
) -> list[Entry]:
    """The entries in the server's order: quorum, master, fencing (release 9), one LRM a node, one service a resource.

    ``node`` answers; ``resources``: sid -> the options set in resources.cfg, plus ``node``, where the guest's
    configuration lies (absent: there is no such guest).  ``now`` and the timestamps are seconds since the epoch.
    """
    quorum_text = "OK" if quorate else f"No quorum on node '{node}'!"
    entries: list[Entry] = [
        {"id": "quorum", "type": "quorum", "node": node, "status": quorum_text, "quorate": int(quorate)}
    ]
    entries += _master(manager, now, resources, ctime)
    if release >= 9:
        entries.append(_fencing(manager, now, node))
    services = manager.get("service_status", {})
    for name in sorted(manager.get("node_status", {})):
        entries.append(_lrm(name, lrm.get(name, {}), now, services, release, ctime))
    for sid in sorted(services.keys() | resources.keys()):
        entries.append(_service(sid, services.get(sid), resources.get(sid), manager, release))
    return entries


def _age(timestamp: float, now: float) -> str | None:
    if timestamp - now > DRIFT:
        return "detected time drift!"
    return "old timestamp - dead?" if now - timestamp > DEAD_AFTER else None


def _master(
    manager: ManagerStatus, now: float, resources: Mapping[str, object], ctime: Callable[[float], str]
) -> list[Entry]:
    master = manager.get("master_node")
    if master is None:
        return []
    timestamp = manager.get("timestamp", 0)
    state = _age(timestamp, now) or "active"
    if not resources and not manager.get("service_status"):
        state = "idle"
    status = f"{master} ({state}, {ctime(timestamp)})"
    return [{"id": "master", "type": "master", "node": master, "status": status, "timestamp": timestamp}]


def _fencing(manager: ManagerStatus, now: float, node: str) -> Entry:
    entry: Entry = {"id": "fencing", "type": "fencing", "node": manager.get("master_node", node)}
    disarm = manager.get("disarm")
    if disarm is not None:
        state = disarm["state"]
        watchdog = "standby" if state == "disarmed" else "active"
        entry["resource_mode"] = disarm["mode"]
    else:
        alive = "master_node" in manager and _age(manager.get("timestamp", 0), now) is None
        state, watchdog = ("armed", "active") if alive else ("standby", "standby")
    entry["armed-state"] = state
    entry["status"] = f"{state} (CRM watchdog {watchdog})"
    return entry


def _lrm(
    name: str,
    status: LrmStatus,
    now: float,
    services: Mapping[str, ServiceStatus],
    release: int,
    ctime: Callable[[float], str],
) -> Entry:
    entry: Entry = {"id": f"lrm:{name}", "type": "lrm", "node": name}
    if not status:
        return {**entry, "status": f"{name} (unable to read lrm status)"}
    timestamp = status.get("timestamp", 0)
    old = _age(timestamp, now)
    text = old or _lrm_state(name, status, services)
    if release >= 9:
        active = old is None and status.get("state") in ("active", "maintenance", "lost_agent_lock")
        text += f", watchdog {'active' if active else 'standby'}"
    return {**entry, "status": f"{name} ({text}, {ctime(timestamp)})", "timestamp": timestamp}


def _lrm_state(name: str, status: LrmStatus, services: Mapping[str, ServiceStatus]) -> str:
    mode = status.get("mode", "active")
    if mode != "active":
        return f"{mode} mode"
    state = status.get("state", "unknown")
    waiting_for = any(name in (service["node"], service.get("target")) for service in services.values())
    return "idle" if state == "wait_for_agent_lock" and not waiting_for else state


def service_state(service: ServiceStatus | None, resource: Mapping[str, Any] | None, disarmed_ignore: bool) -> str:
    """The state in words that say more than the manager's own: queued, starting, stopping, …"""
    if resource is None:
        return "deleting"
    wanted = _wanted(resource)
    if wanted == "ignored":
        return "ignored"
    if resource.get("node") is None:
        return "not found"
    if service is None:
        return "queued"
    if disarmed_ignore:
        return "ignore"
    state = service["state"]
    if state == "started":
        if wanted != "started":
            return "stopping"
        return "started" if service.get("running") else "starting"
    if state == "stopped" and wanted != "stopped":
        return "starting" if wanted == "started" else wanted
    if state == "error" and wanted == "disabled":
        return "clearing error flag"
    return state


def _wanted(resource: Mapping[str, Any]) -> str:
    state = str(resource.get("state", "started"))
    return "started" if state == "enabled" else state


def _service(
    sid: str,
    service: ServiceStatus | None,
    resource: Mapping[str, Any] | None,
    manager: ManagerStatus,
    release: int,
) -> Entry:
    suspended = manager.get("disarm", {}).get("mode") == "ignore"
    state = service_state(service, resource, suspended)
    node = service["node"] if service is not None else (resource or {}).get("node")
    entry: Entry = {
        "id": f"service:{sid}",
        "type": "service",
        "sid": sid,
        "node": node,
        "state": state,
        "status": f"{sid} ({node or '-'}, {state})",
    }
    if service is not None:
        entry["crm_state"] = service["state"]
    if resource is not None:
        entry["request_state"] = _wanted(resource)
        entry["max_restart"] = int(resource.get("max_restart", 1))
        entry["max_relocate"] = int(resource.get("max_relocate", 1))
        if release >= 9:
            entry["failback"] = int(resource.get("failback", 1))
        for option in ("group", "comment", "auto-rebalance"):
            if option in resource:
                entry[option] = resource[option]
    return entry
