# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual cluster: power, links, locks, watchdogs, cluster files, guests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from agentstack._shared.ha_types import Load
from agentstack.ha.environment import ClusterSettings, CrsSettings, LrmStatus, ManagerStatus, ResourceConfig
from agentstack.sim.scenario import DEFAULT_LIMITS, DEFAULT_USAGE, DEFAULT_VERSION, Scenario

LOCK_LIFE = 120
WATCHDOG_LIFE = 60
REMOVABLE_LOCKS = frozenset(
    {
        "backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended",
    }
)  # fmt: skip


class SimulationError(Exception):
    """A command that makes no sense, or an agent that broke a rule of the world: the simulation ends."""


@dataclass
class Hardware:
    """One node's switches."""

    power: bool
    network: bool
    maxcpu: float
    maxmem: float
    version: str
    shutdown: str = ""
    cfs_rw: bool = True
    cfs_update: bool = True


@dataclass
class Lock:
    node: str
    renewed: int


@dataclass
class Watchdog:
    node: str
    fed: int


@dataclass
class Faults:
    """Counters of the failures of a test resource."""

    start: int = 0
    migrate: int = 0


Logger = Callable[[str, int, str, str], None]


@dataclass
class World:
    """Shared by all agents.  What :class:`Environment` methods hand out is never changed in place, only replaced."""

    nodes: dict[str, Hardware]
    services: dict[str, dict[str, Any]]
    rules: dict[str, dict[str, object]]
    groups: dict[str, dict[str, object]]
    datacenter: dict[str, Any]
    static_stats: dict[str, dict[str, float]]
    dynamic_stats: dict[str, dict[str, float]]
    running: dict[str, set[str]]
    manager_status: ManagerStatus
    log: Logger
    lrm_status: dict[str, LrmStatus] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    locks: dict[str, Lock] = field(default_factory=dict)
    watchdogs: dict[str, Watchdog] = field(default_factory=dict)
    faults: dict[str, Faults] = field(default_factory=dict)
    lrm_announced: bool = False
    _resources: dict[str, ResourceConfig] | None = None
    _members: dict[str, bool] | None = None
    _watchdogs_opened: int = 0

    @classmethod
    def create(cls, scenario: Scenario, log: Logger) -> World:
        nodes = {
            name: Hardware(
                entry["power"] == "on",
                entry["network"] == "on",
                float(entry["maxcpu"]),
                float(entry["maxmem"]),
                str(entry.get("pve-manager-version", DEFAULT_VERSION)),
            )
            for name, entry in sorted(scenario.hardware.items())
        }
        status: ManagerStatus = deepcopy(scenario.manager_status)  # type: ignore[assignment]
        return cls(
            nodes,
            deepcopy(scenario.services),
            deepcopy(scenario.rules),
            deepcopy(scenario.groups),
            scenario.datacenter,
            deepcopy(scenario.static_stats),
            deepcopy(scenario.dynamic_stats),
            {node: {sid for sid, on in scenario.running.get(node, {}).items() if on} for node in nodes},
            status,
            log,
        )

    # -- membership -----------------------------------------------------------------------------------------------
    def hardware_changed(self) -> None:
        self._members = None

    def members(self) -> Mapping[str, bool]:
        if self._members is None:
            online = {name: node.power and node.network for name, node in self.nodes.items()}
            quorate = sum(online.values()) * 2 > len(online)
            self._members = {name: up and quorate for name, up in online.items()}
        return self._members

    # -- resources ------------------------------------------------------------------------------------------------
    def resources_changed(self) -> None:
        self._resources = None

    def resources(self) -> Mapping[str, ResourceConfig]:
        if self._resources is None:
            self._resources = {sid: _resource(sid, entry) for sid, entry in self.services.items()}
        return self._resources

    def settings(self) -> ClusterSettings:
        ha = self.datacenter.get("ha", {})
        crs = self.datacenter.get("crs", {})
        return ClusterSettings(
            ha.get("shutdown_policy", "conditional"),
            CrsSettings(
                crs.get("ha", "basic"),
                bool(int(crs.get("ha-rebalance-on-start", 0))),
                bool(int(crs.get("ha-auto-rebalance", 0))),
                float(crs.get("ha-auto-rebalance-threshold", 0.3)),
                crs.get("ha-auto-rebalance-method", "bruteforce"),
                int(crs.get("ha-auto-rebalance-hold-duration", 3)),
                float(crs.get("ha-auto-rebalance-margin", 0.1)),
            ),
        )

    # -- usage ----------------------------------------------------------------------------------------------------
    def static_load(self, sid: str) -> Load:
        stats = {**DEFAULT_LIMITS, **self.static_stats.get(sid, {})}
        maxcpu, maxmem = float(stats["maxcpu"]), float(stats["maxmem"])
        return Load(maxcpu, maxcpu, maxmem, maxmem)

    def dynamic_load(self, sid: str, running: bool) -> Load:
        limits = self.static_load(sid)
        stats = {**DEFAULT_USAGE, **self.dynamic_stats.get(sid, {})} if running else {"cpu": 0, "mem": 0}
        return Load(float(stats["cpu"]), limits.maxcpu, float(stats["mem"]), limits.maxmem)

    # -- locks and watchdogs --------------------------------------------------------------------------------------
    def acquire_lock(self, name: str, node: str, now: int) -> bool | None:
        """True: renewed, None: newly taken, False: refused."""
        if not self.members()[node]:
            return False
        lock = self.locks.get(name)
        if lock is not None and now - lock.renewed <= LOCK_LIFE:
            if lock.node != node:
                return False
            lock.renewed = now
            return True
        self.locks[name] = Lock(node, now)
        return None

    def release_lock(self, name: str, node: str, now: int) -> None:
        lock = self.locks.get(name)
        if lock is not None and (lock.node == node or now - lock.renewed > LOCK_LIFE):
            del self.locks[name]

    def open_watchdog(self, node: str, now: int) -> str:
        self._watchdogs_opened += 1
        handle = f"WD:{node}:{self._watchdogs_opened}"
        self.watchdogs[handle] = Watchdog(node, now)
        return handle

    def feed_watchdog(self, handle: str, now: int) -> None:
        self._live_watchdog(handle, now).fed = now

    def close_watchdog(self, handle: str, now: int) -> None:
        self._live_watchdog(handle, now)
        del self.watchdogs[handle]

    def _live_watchdog(self, handle: str, now: int) -> Watchdog:
        watchdog = self.watchdogs.get(handle)
        if watchdog is None or now - watchdog.fed > WATCHDOG_LIFE:
            raise SimulationError(f"watchdog '{handle}' has expired")
        return watchdog

    def expired(self, node: str, now: int) -> bool:
        return any(dog.node == node and now - dog.fed > WATCHDOG_LIFE for dog in self.watchdogs.values())


def _resource(sid: str, entry: Mapping[str, Any]) -> ResourceConfig:
    state = entry.get("state") or "disabled"
    resource: ResourceConfig = {
        "type": sid.partition(":")[0],
        "node": entry["node"],
        "state": "started" if state == "enabled" else state,
        "failback": bool(int(entry.get("failback", 1))),
        "max_restart": int(entry.get("max_restart", 1)),
        "max_relocate": int(entry.get("max_relocate", 1)),
    }
    if entry.get("group"):
        resource["group"] = entry["group"]
    return resource
