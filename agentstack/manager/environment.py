# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HA engine's world on a host: replicated files, cluster locks, the watchdog, and the guests as tasks.

The engine works in blocking rounds, in a worker thread; what it asks for is done in the host's event loop.
docs/ha-engine.md says what each method has to guarantee.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar, cast

from agentstack._shared.ha_types import Load
from agentstack._shared.property_string import parse_boolean
from agentstack.cluster.datacenter import option_parts, read_options
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests.config import BY_SERVICE, KINDS
from agentstack.guests.guests import memory_of
from agentstack.ha.environment import (
    ClusterFilesError,
    ClusterSettings,
    CrsSettings,
    Job,
    LogLevel,
    LrmStatus,
    ManagerStatus,
    ResourceConfig,
)
from agentstack.ha.jobs import execute
from agentstack.manager import config
from agentstack.manager.guest import GuestDriver
from agentstack.pvestatd import GUESTS, NODE
from agentstack.sections import Entry

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.manager.service import Manager

T = TypeVar("T")

MANAGER_STATUS = "ha/manager_status"
COMMANDS = "ha/crm_commands"
VERSION = "version-info"
"""Key of the broadcast with a node's version."""

QUIET_WRITES = 20.0
"""Stack seconds for which an LRM status that has only a new timestamp need not be written."""

_LEVELS: dict[LogLevel, int] = {
    "info": logging.INFO,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "err": logging.ERROR,
}
_REMOVABLE_LOCKS = frozenset(
    {
        *("backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete"),
        *("suspending", "suspended"),
    }
)


def lrm_status_path(node: str) -> str:
    return f"nodes/{node}/lrm_status"


def read_json(host: Host, path: str) -> dict[str, Any]:
    """A status file; empty when it is not there yet."""
    text = host.files.read_text(path, default="")
    found: dict[str, Any] = json.loads(text) if text.strip() else {}
    return found


class HostEnvironment:
    """What the CRM (or the LRM) of this host sees."""

    def __init__(self, manager: Manager, service: str) -> None:
        self.manager = manager
        self.host: Host = manager.host
        self.logger = logging.getLogger(f"pve-ha-{service}")
        self._loop = asyncio.get_running_loop()
        self._held: set[str] = set()
        self._jobs: dict[tuple[str, str], Future[int]] = {}
        self._written: tuple[float, dict[str, Any]] = (float("-inf"), {})

    # ---- bridge -----------------------------------------------------------------------------------------------------

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the event loop do something, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _files(self, work: Awaitable[T]) -> T:
        async def attempt() -> T:
            return await work

        try:
            return self._wait(attempt())
        except (AgentError, OSError) as error:
            raise ClusterFilesError(str(error)) from error

    def _look(self, read: Callable[[], T]) -> T:
        """Read state of the host in the event loop's thread."""

        async def attempt() -> T:
            return read()

        try:
            return self._wait(attempt())
        except (AgentError, OSError, ValueError) as error:
            raise ClusterFilesError(str(error)) from error

    # ---- identity, time, log ----------------------------------------------------------------------------------------

    @property
    def nodename(self) -> str:
        return self.host.name

    @property
    def release(self) -> int:
        return int(self.host.release.partition(".")[0])

    def time(self) -> int:
        return int(self.host.clock.elapsed())

    def timestamp(self) -> int:
        return int(self.host.clock.now())

    def log(self, level: LogLevel, message: str) -> None:
        self.logger.log(_LEVELS[level], message)

    def notify(self, subject: str, body: str) -> None:
        self.logger.warning("%s", subject)
        self._look(lambda: self.host.notifications.fencing(subject, body))

    # ---- membership -------------------------------------------------------------------------------------------------

    def members(self) -> Mapping[str, bool]:
        return self._look(lambda: {node.name: node.online for node in self.host.cluster.nodes()})

    def quorate(self) -> bool:
        return self.host.files.mounted and self.host.files.quorate

    def refresh(self) -> bool:
        return self.host.files.mounted

    # ---- locks and watchdog -----------------------------------------------------------------------------------------

    def acquire_lock(self, name: str) -> bool:
        if not self.quorate():
            return False
        held = self._wait(self.host.files.locks.hold(name))
        if held and name not in self._held:
            self._held.add(name)
            self.log("info", f"got lock '{name}'")
        elif not held:
            self._held.discard(name)
        return held

    def release_lock(self, name: str) -> None:
        self._held.discard(name)
        self._wait(self.host.files.locks.release(name))

    def watchdog_open(self) -> str:
        return self.manager.watchdog.open()

    def watchdog_update(self, handle: str) -> None:
        self.manager.watchdog.update(handle)

    def watchdog_close(self, handle: str) -> None:
        self.manager.watchdog.close(handle)

    # ---- cluster files ----------------------------------------------------------------------------------------------

    def read_manager_status(self) -> ManagerStatus:
        return cast(ManagerStatus, self._look(lambda: read_json(self.host, MANAGER_STATUS)))

    def write_manager_status(self, status: ManagerStatus) -> None:
        self._files(self.host.files.write(MANAGER_STATUS, json.dumps(status)))

    def read_lrm_status(self, node: str) -> LrmStatus:
        return cast(LrmStatus, self._look(lambda: read_json(self.host, lrm_status_path(node))))

    def write_lrm_status(self, status: LrmStatus) -> None:
        content = {key: value for key, value in status.items() if key != "timestamp"}
        when, before = self._written
        now = self.host.clock.elapsed()
        if content == before and now - when < QUIET_WRITES:
            return
        self._files(self.host.files.write(lrm_status_path(self.host.name), json.dumps(status)))
        self._written = now, json.loads(json.dumps(content))
        self.manager.lrm_announced = True

    def pending_crm_commands(self) -> bool:
        return bool(self._look(lambda: self.host.files.read_text(COMMANDS, default="")).strip())

    def take_crm_commands(self) -> Sequence[str]:
        if not self.pending_crm_commands():
            return []

        async def take() -> list[str]:
            async with self.host.files.lock(config.LOCK):
                text = self.host.files.read_text(COMMANDS, default="")
                await self.host.files.write(COMMANDS, "")
            return text.splitlines()

        return self._files(take())

    def queue_crm_command(self, command: str) -> None:
        self._files(self.manager.queue(command))

    def read_resources(self) -> Mapping[str, ResourceConfig]:
        return self._look(self.manager.resource_configs)

    def read_rules(self) -> Mapping[str, Mapping[str, object]]:
        return self._look(lambda: config.rule_sections(config.RULES_CFG.read(self.host)[0]))

    def read_groups(self) -> Mapping[str, Mapping[str, object]]:
        return self._look(lambda: {entry.id: entry.values for entry in config.GROUPS_CFG.read(self.host)[0].values()})

    def read_settings(self) -> ClusterSettings:
        return self._look(lambda: settings(self.host))

    # ---- guests, versions, usage ------------------------------------------------------------------------------------

    def steal_service(self, sid: str, node: str, target: str) -> str | None:
        async def steal() -> str | None:
            service, _, vmid = sid.partition(":")
            kind = BY_SERVICE[service]
            old, new = (configs.config_path(kind, name, int(vmid)) for name in (node, target))
            found = configs.load(self.host, kind, int(vmid), node)
            lock = found.lock if found.lock in _REMOVABLE_LOCKS else None
            if lock is not None:
                del found.values["lock"]
                await self.host.files.write(old, configs.format_config(found))
            if old != new:
                await self.host.files.rename(old, new)
            return lock

        return self._files(steal())

    def node_version(self, node: str) -> str | None:
        value = self._look(lambda: self.host.cluster.kv(node, VERSION))
        return str(value) if value is not None else None

    def _node_rows(self) -> dict[str, dict[str, Any]]:
        cluster = self.host.cluster
        return self._look(lambda: {node.name: cluster.kv(node.name, NODE) or {} for node in cluster.nodes()})

    def static_node_stats(self) -> Mapping[str, Load]:
        return {
            name: Load(maxcpu=row.get("maxcpu", 0), maxmem=row.get("maxmem", 0))
            for name, row in self._node_rows().items()
        }

    def dynamic_node_stats(self) -> Mapping[str, Load]:
        return {
            name: Load(
                cpu=row.get("cpu", 0) * row.get("maxcpu", 0),
                maxcpu=row.get("maxcpu", 0),
                mem=row.get("mem", 0),
                maxmem=row.get("maxmem", 0),
            )
            for name, row in self._node_rows().items()
        }

    def static_service_stats(self) -> Mapping[str, Load]:
        return self._look(self._configured_loads)

    def _configured_loads(self) -> dict[str, Load]:
        found = {}
        for sid in self.manager.resources():
            place = configs.place(self.host, int(sid.partition(":")[2]))
            if place is not None:
                values = configs.load(self.host, place.kind, place.vmid, place.node)
                cores = int(values.values.get("cores", "1")) * int(values.values.get("sockets", "1"))
                found[sid] = Load(maxcpu=cores, maxmem=memory_of(place.kind, values))
        return found

    def dynamic_service_stats(self) -> Mapping[str, Load]:
        limits, rows = self.static_service_stats(), self._guest_rows()
        found = {}
        for sid, limit in limits.items():
            row = rows.get(int(sid.partition(":")[2]), {})
            cpu, mem = row.get("cpu", 0) * limit.maxcpu, row.get("mem", 0)
            found[sid] = Load(cpu=cpu, maxcpu=limit.maxcpu, mem=mem, maxmem=limit.maxmem)
        return found

    def _guest_rows(self) -> dict[int, dict[str, Any]]:
        cluster = self.host.cluster

        def collect() -> dict[int, dict[str, Any]]:
            told = [(cluster.kv(node.name, GUESTS) or [], node.name) for node in cluster.nodes()]
            return {row["vmid"]: {**row, "node": name} for rows, name in told for row in rows}

        return self._look(collect)

    def running_guests(self) -> Mapping[str, str]:
        rows = self._guest_rows()

        def collect() -> dict[str, str]:
            return {
                f"{KINDS[guest.type].service}:{vmid}": rows[vmid]["node"]
                for vmid, guest in self.host.files.guests().items()
                if vmid in rows and rows[vmid]["status"] == "running"
            }

        return self._look(collect)

    # ---- migration of groups to rules -------------------------------------------------------------------------------

    def write_rules(self, rules: Mapping[str, Mapping[str, object]]) -> None:
        entries = [
            Entry(name, str(rule["type"]), {key: value for key, value in rule.items() if key != "type"})
            for name, rule in rules.items()
        ]

        async def write() -> None:
            async with config.RULES_CFG.locked(self.host):
                await config.RULES_CFG.write(self.host, entries)

        self._files(write())

    def write_resource_options(self, changes: Mapping[str, Mapping[str, object]]) -> None:
        async def write() -> None:
            async with config.RESOURCES_CFG.locked(self.host):
                entries, _ = config.RESOURCES_CFG.read(self.host)
                for sid, options in changes.items():
                    if sid in entries:
                        entries[sid].values |= {key: value for key, value in options.items() if value is not None}
                        for key in [key for key, value in options.items() if value is None]:
                            entries[sid].values.pop(key, None)
                await config.RESOURCES_CFG.write(self.host, entries.values())

        self._files(write())

    def delete_groups(self) -> None:
        self._files(self.host.files.delete(config.GROUPS_CFG.path))

    # ---- the local node ---------------------------------------------------------------------------------------------

    def node_shutdown(self) -> tuple[bool, bool]:
        return self.manager.going_down, self.manager.rebooting

    def lrm_announced(self) -> bool:
        return self.manager.lrm_announced

    def run_job(self, job: Job) -> int | None:
        key = (job.sid, job.uid)
        future = self._jobs.get(key)
        if future is None:
            guest = GuestDriver(self.host, self._loop, job.sid)
            if at_rest(job, guest, self.host.name):
                return 0
            future = self.manager.workers.submit(self._work, job, guest)
            self._jobs[key] = future
            return None
        if not future.done():
            return None
        del self._jobs[key]
        return future.result()

    def _work(self, job: Job, guest: GuestDriver) -> int:
        return int(execute(job, guest, self.host.name, self.log))


def at_rest(job: Job, guest: GuestDriver, node: str) -> bool:
    """The guest already is as the job wants it, so that no worker is needed to find that out."""
    if guest.node != node:
        return False
    return guest.running() if job.state == "started" else job.state == "stopped" and not guest.running()


def settings(host: Host) -> ClusterSettings:
    """What HA reads from datacenter.cfg (facts §8)."""
    options = read_options(host.files)
    ha = option_parts(options, "ha")
    crs = option_parts(options, "crs")
    return ClusterSettings(
        shutdown_policy=ha.get("shutdown_policy", "conditional"),
        crs=CrsSettings(
            mode=crs.get("ha", "basic"),
            rebalance_on_start=parse_boolean(crs.get("ha-rebalance-on-start", "0")),
            auto_rebalance=parse_boolean(crs.get("ha-auto-rebalance", "0")),
            threshold=float(crs.get("ha-auto-rebalance-threshold", "30")) / 100,
            method=crs.get("ha-auto-rebalance-method", "bruteforce"),
            hold_duration=int(crs.get("ha-auto-rebalance-hold-duration", "3")),
            margin=float(crs.get("ha-auto-rebalance-margin", "10")) / 100,
        ),
        max_workers=int(options.get("max_workers", "4")),
    )
