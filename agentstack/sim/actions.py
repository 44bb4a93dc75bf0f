# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a scenario that concern services and the cluster's files; hardware is the simulator's own."""

from __future__ import annotations

from collections.abc import Callable

from agentstack.sim.world import SimulationError, World

MIB = 1 << 20
STATES = ("started", "enabled", "stopped", "disabled", "ignored")


def service_command(world: World, sid: str, words: list[str]) -> None:
    """``service SID …``; raises SimulationError."""
    action, *arguments = words
    if action in STATES and not arguments:
        _service(world, sid)["state"] = action
        world.resources_changed()
        return
    handler = SERVICE_COMMANDS.get(action)
    if handler is None:
        raise SimulationError(f"unknown service command '{action}'")
    handler(world, sid, arguments)


def _service(world: World, sid: str) -> dict[str, object]:
    if sid not in world.services:
        raise SimulationError(f"no such service '{sid}'")
    return world.services[sid]


def _node(world: World, arguments: list[str]) -> str:
    if not arguments or arguments[0] not in world.nodes:
        raise SimulationError(f"no such node '{' '.join(arguments)}'")
    return arguments[0]


def _queue(kind: str) -> Callable[[World, str, list[str]], None]:
    def queue(world: World, sid: str, arguments: list[str]) -> None:
        if len(arguments) != 1:
            raise SimulationError(f"service {sid} {kind}: one argument expected")
        world.commands.append(f"{kind} {sid} {arguments[0]}")

    return queue


def _add(world: World, sid: str, arguments: list[str]) -> None:
    if sid in world.services:
        raise SimulationError(f"service '{sid}' exists already")
    node = _node(world, arguments)
    state = arguments[1] if len(arguments) > 1 else "started"
    world.services[sid] = {"node": node, "state": state}
    if len(arguments) > 2 and arguments[2] == "1":
        world.running[node].add(sid)
    world.resources_changed()


def _delete(world: World, sid: str, _arguments: list[str]) -> None:
    _service(world, sid)
    del world.services[sid]
    world.static_stats.pop(sid, None)
    world.resources_changed()


def _lock(world: World, sid: str, arguments: list[str]) -> None:
    _service(world, sid)["lock"] = arguments[0] if arguments else "backup"


def _unlock(world: World, sid: str, _arguments: list[str]) -> None:
    _service(world, sid).pop("lock", None)


def _manual_migrate(world: World, sid: str, arguments: list[str]) -> None:
    service = _service(world, sid)
    node = _node(world, arguments)
    disarmed = world.manager_status.get("disarm", {}).get("mode") == "ignore"
    if service.get("state") != "ignored" and not disarmed:
        raise SimulationError(f"service '{sid}' is managed by HA, cannot migrate it manually")
    service["node"] = node
    world.resources_changed()


def _stats(stats: dict[str, dict[str, float]], sid: str, arguments: list[str], factors: dict[str, float]) -> None:
    pairs = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if len(arguments) % 2 or not pairs.keys() <= factors.keys():
        raise SimulationError(f"service {sid}: expected pairs of {' and '.join(factors)} with a number")
    for key, value in pairs.items():
        stats.setdefault(sid, {})[key] = float(value) * factors[key]


def _set_static(world: World, sid: str, arguments: list[str]) -> None:
    _service(world, sid)
    _stats(world.static_stats, sid, arguments, {"maxcpu": 1, "maxmem": MIB})


def _set_dynamic(world: World, sid: str, arguments: list[str]) -> None:
    _service(world, sid)
    _stats(world.dynamic_stats, sid, arguments, {"cpu": 1, "mem": MIB})


SERVICE_COMMANDS: dict[str, Callable[[World, str, list[str]], None]] = {
    "migrate": _queue("migrate"),
    "relocate": _queue("relocate"),
    "stop": _queue("stop"),
    "add": _add,
    "delete": _delete,
    "lock": _lock,
    "unlock": _unlock,
    "manual-migrate": _manual_migrate,
    "set-static-stats": _set_static,
    "set-dynamic-stats": _set_dynamic,
}


def cfs_command(world: World, node: str, words: list[str]) -> None:
    """``cfs NODE rw|update fail|work``."""
    if len(words) != 2 or words[0] not in ("rw", "update") or words[1] not in ("fail", "work"):
        raise SimulationError(f"unknown cfs command '{' '.join(words)}'")
    hardware = world.nodes[node]
    if words[0] == "rw":
        hardware.cfs_rw = words[1] == "work"
    else:
        hardware.cfs_update = words[1] == "work"


def crm_command(world: World, node: str, words: list[str]) -> None:
    """``crm NODE …`` that ends as a line in the manager's queue."""
    if words[0] in ("enable-node-maintenance", "disable-node-maintenance") and len(words) == 1:
        world.commands.append(f"{words[0]} {node}")
    elif (words[0] == "disarm-ha" and len(words) == 2) or words == ["arm-ha"]:
        world.commands.append(" ".join(words))
    else:
        raise SimulationError(f"unknown crm command '{' '.join(words)}'")
