# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to the active manager: one line each, queued by the API and by ha-manager."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agentstack.ha.motion import motion

if TYPE_CHECKING:
    from agentstack.ha.manager import Manager


def process_commands(manager: Manager) -> None:
    """Empty the queue and act on it.  What is neither about arming nor about the end of a maintenance is dropped while
    the stack is disarmed (observed: commands in between are dropped silently).
    """
    for line in manager.env.take_crm_commands():
        words = line.split()
        if not words:
            continue
        name, *arguments = words
        handler = COMMANDS.get((name, len(arguments)))
        if handler is None or (name in SINCE_9 and manager.env.release < 9):
            manager.env.log("err", f"unable to parse command: {line}")
        elif manager.disarm is None or name in WHILE_DISARMED:
            handler(manager, line, arguments)


def request_move(manager: Manager, line: str) -> None:
    """Note that a service, and with it all that must stay with it, is to be moved."""
    kind, sid, target = line.split()
    log = manager.env.log
    services = manager.services
    if sid not in services:
        log("err", f"crm command error - no such service: {line}")
        return
    if not manager.nodes.is_online(target):
        log("err", f"crm command error - node not online: {line}")
        return
    if services[sid]["node"] == target:
        log("info", f"ignore crm command - service already on target node: {line}")
        return
    comigrated, blocking = motion(manager.affinities, services, sid, target)
    for other in blocking:
        log(
            "err",
            f"crm command '{line}' error - service '{other}' on node '{target}' in negative affinity with"
            f" service '{sid}'",
        )
    if blocking:
        return
    log("info", f"got crm command: {line}")
    services[sid]["cmd"] = [kind, target]
    for other in comigrated:
        log(
            "info",
            f"crm command '{line}' - {kind} service '{other}' to node '{target}' (service '{other}' in positive"
            f" affinity with service '{sid}')",
        )
        services[other]["cmd"] = [kind, target]


def _move(manager: Manager, line: str, _arguments: list[str]) -> None:
    request_move(manager, line)


def _stop(manager: Manager, line: str, arguments: list[str]) -> None:
    sid, timeout = arguments
    if sid not in manager.services:
        manager.env.log("err", f"crm command error - no such service: {line}")
        return
    manager.env.log("info", f"got crm command: {line}")
    manager.services[sid]["cmd"] = ["stop", int(timeout)]


def _enable_maintenance(manager: Manager, line: str, arguments: list[str]) -> None:
    (node,) = arguments
    if manager.disarm is not None:
        manager.env.log("warning", f"ignoring maintenance command for node {node} - HA stack is disarmed")
    elif manager.nodes.in_maintenance(node):
        manager.env.log("info", f"ignoring crm command - node '{node}' is already in maintenance state")
    elif manager.nodes.is_online(node):
        manager.node_request.setdefault(node, {})["maintenance"] = 1
    else:
        manager.env.log("err", f"crm command error - node not online: {line}")


def _disable_maintenance(manager: Manager, _line: str, arguments: list[str]) -> None:
    (node,) = arguments
    request = manager.node_request.get(node, {})
    request.pop("maintenance", None)
    if not request:
        manager.node_request.pop(node, None)


def _disarm(manager: Manager, line: str, arguments: list[str]) -> None:
    (mode,) = arguments
    if manager.disarm is not None:
        state = manager.disarm["state"]
        manager.env.log("notice", f"ignoring disarm-ha command - already in disarm state ({state})")
    elif mode not in ("freeze", "ignore"):
        manager.env.log("err", f"crm command error - unknown resource mode: {line}")
    else:
        manager.env.log("info", f"got crm command: {line}")
        manager.disarm = {"mode": mode, "state": "disarming"}
        manager.disarm_applied = False


def _arm(manager: Manager, line: str, _arguments: list[str]) -> None:
    if manager.disarm is None:
        manager.env.log("notice", "ignoring arm-ha command - HA stack is not disarmed")
        return
    manager.env.log("info", f"got crm command: {line}")
    if manager.disarm["mode"] == "ignore":
        for sid in sorted(manager.services):
            service, node = manager.services[sid], manager.resources[sid]["node"]
            if service["node"] != node:
                manager.env.log(
                    "info", f"service '{sid}': updating node '{service['node']}' => '{node}' (changed while disarmed)"
                )
                service["node"] = node
        manager.recompute_usage()
    manager.disarm = None


Handler = Callable[["Manager", str, list[str]], None]

COMMANDS: dict[tuple[str, int], Handler] = {
    ("migrate", 2): _move,
    ("relocate", 2): _move,
    ("stop", 2): _stop,
    ("enable-node-maintenance", 1): _enable_maintenance,
    ("disable-node-maintenance", 1): _disable_maintenance,
    ("disarm-ha", 1): _disarm,
    ("arm-ha", 0): _arm,
}

SINCE_9 = ("disarm-ha", "arm-ha")

WHILE_DISARMED = ("arm-ha", "disarm-ha", "enable-node-maintenance", "disable-node-maintenance")
