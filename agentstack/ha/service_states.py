# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service state machine: one small function a state (facts §7.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agentstack._shared.ha_placement import Preference
from agentstack.ha.jobs import ExitCode

if TYPE_CHECKING:
    from agentstack._shared.ha_types import ServiceStatus
    from agentstack.ha.environment import ResourceConfig
    from agentstack.ha.manager import Manager

MOVE_COMMANDS = ("migrate", "relocate")
FREEZABLE = ("started", "stopped", "request_stop")


def step(manager: Manager, sid: str) -> None:
    """Take one service one state further, if anything calls for it."""
    service = manager.services[sid]
    STATES[service["state"]](manager, sid, service, manager.resources[sid])
    service = manager.services[sid]
    if service["state"] in FREEZABLE and manager.lrm_mode(service["node"]) == "restart":
        manager.change(sid, "freeze")


def wanted_off(resource: ResourceConfig) -> bool:
    return resource["state"] in ("stopped", "disabled")


def move_kind(sid: str) -> str:
    """How the manager itself moves a service: only virtual machines move live."""
    return "migrate" if sid.startswith("vm:") else "relocate"


def _lost(manager: Manager, sid: str, service: ServiceStatus) -> bool:
    """Handle a node that does not answer; True: nothing else can be done with the service now."""
    if manager.nodes.is_operational(service["node"]) and not manager.must_fence(service["node"]):
        return False
    if manager.must_fence(service["node"]):
        manager.change(sid, "fence")
        return True
    return not manager.nodes.in_maintenance(service["node"])


# -- request_start ----------------------------------------------------------------------------------------------------
def _request_start(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    current = service["node"]
    wanted = resource["state"] == "started" and manager.settings.crs.rebalance_on_start
    if wanted and manager.env.running_guests().get(sid) != current:
        selected = manager.select(sid, Preference.BEST)
        if selected is not None:
            which = "current" if selected == current else "new"
            manager.env.log("info", f"service {sid}: re-balance selected {which} node {selected} for startup")
            if selected != current:
                manager.change(sid, "request_start_balance", node=current, target=selected)
                return
    manager.change(sid, "started", node=current)


# -- moves ------------------------------------------------------------------------------------------------------------
def _moving(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    if _lost(manager, sid, service):
        return
    result = manager.result(service)
    if result is None:
        return
    code = result["exit_code"]
    node = service["node"]
    if code == ExitCode.SUCCESS:
        node = service["target"]
    elif code != ExitCode.IGNORED:
        manager.env.log("err", f"service '{sid}' - migration failed (exit code {code})")
    manager.change(sid, "request_stop" if wanted_off(resource) else "started", node=node)


# -- stop -------------------------------------------------------------------------------------------------------------
def _request_stop(manager: Manager, sid: str, service: ServiceStatus, _resource: ResourceConfig) -> None:
    if _lost(manager, sid, service):
        return
    result = manager.result(service)
    if result is None:
        return
    if result["exit_code"] == ExitCode.SUCCESS:
        manager.change(sid, "stopped")
    else:
        manager.env.log("err", f"service '{sid}' stop failed (exit code {result['exit_code']})")
        manager.change(sid, "error")


def _fix_location(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    """The configuration may have moved when the source of a move was fenced: it is right."""
    if service["node"] != resource["node"]:
        manager.env.log("info", f"fixup service '{sid}' location ({service['node']} => {resource['node']})")
        service["node"] = resource["node"]


def _stopped(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    _fix_location(manager, sid, service, resource)
    command = service.pop("cmd", None)
    if command is not None and command[0] in MOVE_COMMANDS:
        kind, target = command
        if not manager.nodes.is_online(target):
            manager.env.log("err", f"ignore service '{sid}' {kind} request - node '{target}' not online")
        elif target == service["node"]:
            manager.env.log("info", f"ignore service '{sid}' {kind} request - service already on node '{target}'")
        else:
            manager.change(sid, kind, node=service["node"], target=target)
            return
    if resource["state"] == "disabled":
        return
    if manager.must_fence(service["node"]) and not manager.nodes.in_maintenance(service["node"]):
        manager.change(sid, "fence")
    elif resource["state"] == "started":
        manager.change(sid, "request_start", node=service["node"])


# -- started ----------------------------------------------------------------------------------------------------------
def _started(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    if not manager.nodes.is_online(service["node"]):
        if manager.must_fence(service["node"]):
            manager.change(sid, "fence")
            service = manager.services[sid]
        if not manager.nodes.in_maintenance(service["node"]):
            return
    if wanted_off(resource):
        manager.change(sid, "request_stop")
    elif "cmd" in service:
        _obey(manager, sid, service)
    else:
        _keep_placed(manager, sid, service, resource)


def _obey(manager: Manager, sid: str, service: ServiceStatus) -> None:
    kind, argument = service.pop("cmd")
    if kind == "stop":
        if argument == 0:
            manager.env.log("info", f"request immediate service hard-stop for service '{sid}'")
        manager.change(sid, "request_stop", timeout=argument)
        manager.env.write_resource_options({sid: {"state": "stopped"}})
        manager.read_resources()
    elif not manager.nodes.is_online(argument):
        manager.env.log("err", f"ignore service '{sid}' {kind} request - node '{argument}' not online")
    elif argument == service["node"]:
        manager.env.log("info", f"ignore service '{sid}' {kind} request - service already on node '{argument}'")
    else:
        manager.env.log("info", f"{kind} service '{sid}' to node '{argument}'")
        manager.change(sid, kind, node=service["node"], target=argument)


def _keep_placed(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    preference = _judge_start(manager, sid, service, resource)
    if preference is None:
        return
    service = manager.services[sid]
    current = service["node"]
    if manager.nodes.in_maintenance(current):
        service.setdefault("maintenance_node", current)
    elif service.get("maintenance_node") == current and manager.nodes.is_online(current):
        manager.env.log(
            "info", f"service '{sid}': clearing stale maintenance node '{current}' setting (is current node)"
        )
        del service["maintenance_node"]
    selected = manager.select(sid, preference)
    if selected is not None and selected != current:
        if selected == service.get("maintenance_node"):
            manager.env.log("info", f"moving service '{sid}' back to '{selected}', node came back from maintenance.")
            del service["maintenance_node"]
        kind = move_kind(sid)
        manager.env.log(
            "info", f"{kind} service '{sid}' to node '{selected}'" + (" (running)" if kind == "migrate" else "")
        )
        manager.change(sid, kind, node=current, target=selected)
    elif preference is Preference.NEXT:
        tried = ", ".join(service.get("failed_nodes", ()))
        manager.env.log(
            "warning",
            f"Start Error Recovery: Tried all available nodes for service '{sid}', retry start on current node."
            f" Tried nodes: {tried}",
        )
        service["uid"] = manager.new_uid("started")


def _judge_start(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> Preference | None:
    """Take in how the start went; None: the service is in the error state now."""
    result = manager.result(service)
    if result is None or result["exit_code"] == ExitCode.TRY_AGAIN:
        return Preference.STAY
    code = result["exit_code"]
    node = service["node"]
    if code == ExitCode.SUCCESS:
        service["running"] = 1
        failed = service.pop("failed_nodes", None)
        if failed:
            manager.env.log(
                "info",
                f"relocation policy successful for '{sid}' on node '{node}', failed nodes: {', '.join(failed)}",
            )
        return Preference.STAY
    if code == ExitCode.ERROR:
        failed = [*service.get("failed_nodes", ()), node]
        service["failed_nodes"] = failed
        if len(failed) <= resource.get("max_relocate", 1):
            manager.env.log("warning", f"starting service {sid} on node '{node}' failed, relocating service.")
            return Preference.NEXT
        manager.env.log(
            "err",
            f"recovery policy for service {sid} failed, entering error state. Failed nodes: {', '.join(failed)}",
        )
    else:
        manager.env.log("err", f"service '{sid}' got unrecoverable error (exit code {code})")
    manager.change(sid, "error")
    return None


# -- freeze, fence, recovery, error -----------------------------------------------------------------------------------
def _freeze(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    # an LRM that is back answers for its services, also where it is to be empty of them: else they would stay for ever
    if manager.lrm_mode(service["node"]) in ("active", "maintenance"):
        manager.change(sid, "request_stop" if wanted_off(resource) else "started")


def _fence(_manager: Manager, _sid: str, _service: ServiceStatus, _resource: ResourceConfig) -> None:
    """Wait: the manager changes it to recovery once the node is fenced."""


def _recovery(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    _fix_location(manager, sid, service, resource)
    fenced = service["node"]
    selected = manager.select(sid, Preference.BEST)
    if selected is not None:
        if selected == fenced:
            manager.env.log("info", f"recover service '{sid}' to previous failed and fenced node '{fenced}' again")
        else:
            manager.env.log("info", f"recover service '{sid}' from fenced node '{fenced}' to node '{selected}'")
        lock = manager.env.steal_service(sid, fenced, selected)
        if lock is not None:
            manager.env.log(
                "warning", f"removed leftover lock '{lock}' from recovered service '{sid}' to allow its start."
            )
        manager.read_resources()
        manager.change(sid, "request_stop" if wanted_off(resource) else "started", node=selected)
        return
    manager.env.log("err", f"recovering service '{sid}' from fenced node '{fenced}' failed, no recovery node found")
    if resource["state"] == "disabled":
        service.pop("failed_nodes", None)
        manager.change(sid, "stopped")


def _error(manager: Manager, sid: str, service: ServiceStatus, resource: ResourceConfig) -> None:
    if resource["state"] == "disabled":
        service.pop("failed_nodes", None)
        manager.change(sid, "stopped")


State = Callable[["Manager", str, "ServiceStatus", "ResourceConfig"], None]

STATES: dict[str, State] = {
    "request_start": _request_start,
    "request_start_balance": _moving,
    "started": _started,
    "request_stop": _request_stop,
    "stopped": _stopped,
    "migrate": _moving,
    "relocate": _moving,
    "freeze": _freeze,
    "fence": _fence,
    "recovery": _recovery,
    "error": _error,
}
