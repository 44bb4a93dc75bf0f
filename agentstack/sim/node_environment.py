# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual cluster as one agent of one node sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentstack._shared.ha_types import Load
from agentstack.ha.environment import (
    ClusterFilesError,
    ClusterSettings,
    Job,
    LogLevel,
    LrmStatus,
    ManagerStatus,
    ResourceConfig,
)
from agentstack.ha.jobs import execute
from agentstack.sim.guests import SimGuest
from agentstack.sim.world import REMOVABLE_LOCKS, World

NOT_MOUNTED = "cfs connection refused - not mounted?"


class NodeEnvironment:
    """Implements :class:`agentstack.ha.environment.Environment` with a clock of its own."""

    def __init__(self, world: World, node: str, agent: str, release: int) -> None:
        self._world = world
        self._node = node
        self._who = f"{node}/{agent}"
        self._release = release
        self.clock = 0

    @property
    def nodename(self) -> str:
        return self._node

    @property
    def release(self) -> int:
        return self._release

    def time(self) -> int:
        return self.clock

    def timestamp(self) -> int:
        return self.clock

    def log(self, level: LogLevel, message: str) -> None:
        self._world.log(level[:4], self.clock, self._who, message)

    def notify(self, subject: str, body: str) -> None:
        self._world.log("emai", self.clock, self._who, subject)

    # -- membership, locks, watchdog ------------------------------------------------------------------------------
    def members(self) -> Mapping[str, bool]:
        return self._world.members()

    def quorate(self) -> bool:
        return self._world.members()[self._node]

    def refresh(self) -> bool:
        return self._world.nodes[self._node].cfs_update

    def acquire_lock(self, name: str) -> bool:
        taken = self._world.acquire_lock(name, self._node, self.clock)
        if taken is None:
            self.log("info", f"got lock '{name}'")
        return taken is not False

    def release_lock(self, name: str) -> None:
        self._world.release_lock(name, self._node, self.clock)

    def watchdog_open(self) -> str:
        return self._world.open_watchdog(self._node, self.clock)

    def watchdog_update(self, handle: str) -> None:
        self._world.feed_watchdog(handle, self.clock)

    def watchdog_close(self, handle: str) -> None:
        self._world.close_watchdog(handle, self.clock)

    # -- cluster files --------------------------------------------------------------------------------------------
    def _mounted(self) -> World:
        if not self._world.nodes[self._node].cfs_rw:
            raise ClusterFilesError(NOT_MOUNTED)
        return self._world

    def read_manager_status(self) -> ManagerStatus:
        return self._mounted().manager_status

    def write_manager_status(self, status: ManagerStatus) -> None:
        self._mounted().manager_status = status

    def read_lrm_status(self, node: str) -> LrmStatus:
        return self._mounted().lrm_status.get(node, {})

    def write_lrm_status(self, status: LrmStatus) -> None:
        world = self._mounted()
        world.lrm_announced = True
        world.lrm_status[self._node] = status

    def pending_crm_commands(self) -> bool:
        return bool(self._mounted().commands)

    def take_crm_commands(self) -> Sequence[str]:
        world = self._mounted()
        commands, world.commands = world.commands, []
        return commands

    def queue_crm_command(self, command: str) -> None:
        self._mounted().commands.append(command)

    def read_resources(self) -> Mapping[str, ResourceConfig]:
        return self._mounted().resources()

    def read_rules(self) -> Mapping[str, Mapping[str, object]]:
        return self._mounted().rules

    def read_groups(self) -> Mapping[str, Mapping[str, object]]:
        return self._mounted().groups

    def read_settings(self) -> ClusterSettings:
        return self._world.settings()

    def write_rules(self, rules: Mapping[str, Mapping[str, object]]) -> None:
        self._mounted().rules = {name: dict(rule) for name, rule in rules.items()}

    def write_resource_options(self, changes: Mapping[str, Mapping[str, object]]) -> None:
        world = self._mounted()
        for sid, options in changes.items():
            service = world.services[sid]
            for key, value in options.items():
                if value is None:
                    service.pop(key, None)
                else:
                    service[key] = value
        world.resources_changed()

    def delete_groups(self) -> None:
        self._mounted().groups = {}

    # -- guests, versions, usage ----------------------------------------------------------------------------------
    def steal_service(self, sid: str, node: str, target: str) -> str | None:
        world = self._mounted()
        service = world.services[sid]
        service["node"] = target
        world.resources_changed()
        lock: str | None = service.get("lock")
        if lock not in REMOVABLE_LOCKS:
            return None
        del service["lock"]
        return lock

    def node_version(self, node: str) -> str | None:
        return self._world.nodes[node].version

    def static_node_stats(self) -> Mapping[str, Load]:
        return {name: Load(maxcpu=node.maxcpu, maxmem=node.maxmem) for name, node in self._world.nodes.items()}

    def dynamic_node_stats(self) -> Mapping[str, Load]:
        stats = {}
        for name, node in self._world.nodes.items():
            loads = [self._world.dynamic_load(sid, True) for sid in sorted(self._world.running[name])]
            cpu = sum(load.cpu for load in loads)
            mem = sum(load.mem for load in loads)
            stats[name] = Load(cpu, node.maxcpu, mem, node.maxmem)
        return stats

    def static_service_stats(self) -> Mapping[str, Load]:
        return {sid: self._world.static_load(sid) for sid in self._world.services}

    def dynamic_service_stats(self) -> Mapping[str, Load]:
        running = self.running_guests()
        return {sid: self._world.dynamic_load(sid, sid in running) for sid in self._world.services}

    def running_guests(self) -> Mapping[str, str]:
        return {sid: node for node, guests in self._world.running.items() for sid in guests}

    # -- the local node -------------------------------------------------------------------------------------------
    def node_shutdown(self) -> tuple[bool, bool]:
        flag = self._world.nodes[self._node].shutdown
        return bool(flag), flag == "reboot"

    def lrm_announced(self) -> bool:
        return self._world.lrm_announced

    def run_job(self, job: Job) -> int | None:
        return int(execute(job, SimGuest(self._world, job.sid, self._node, self.log), self._node, self.log))
