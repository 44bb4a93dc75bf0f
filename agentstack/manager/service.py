# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HA services of a host, and what the rest of the host asks them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from agentstack.ha import Crm, Lrm
from agentstack.ha import status as ha_status
from agentstack.ha.environment import LrmStatus, ManagerStatus, ResourceConfig
from agentstack.manager import config
from agentstack.manager.environment import (
    COMMANDS,
    MANAGER_STATUS,
    VERSION,
    HostEnvironment,
    lrm_status_path,
    read_json,
    settings,
)
from agentstack.manager.watchdog import Watchdog
from agentstack.sections import Entry

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

ROUND = 10.0
IDLE_ROUND = 5.0
"""Stack seconds between two rounds (facts §7.3, §7.4)."""

SHUTDOWN_LIMIT = 600.0
"""Stack seconds after which a node that goes down does not wait for its guests to be moved any more."""

STOP_PATIENCE = 1.0
"""Real seconds that the present rounds have for their end when the host ends."""


class Manager:
    """CRM and LRM of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.watchdog = Watchdog(host)
        self.going_down = self.rebooting = False
        self.lrm_announced = False
        self.crm: Crm | None = None
        self.lrm: Lrm | None = None
        self._rounds: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._seen: dict[str, float] = {}

    async def start(self) -> None:
        """Begin the rounds."""
        self.workers = ThreadPoolExecutor(8, thread_name_prefix="ha-worker")
        self._agents = ThreadPoolExecutor(2, thread_name_prefix="ha")
        self.host.files.subscribe(self._changed)
        await self.announce()
        self.crm = Crm(HostEnvironment(self, "crm"))
        self.lrm = Lrm(HostEnvironment(self, "lrm"))
        self._rounds = [
            asyncio.create_task(self._run(self.crm.round, lambda: ROUND)),
            asyncio.create_task(self._run(self.lrm.round, self._lrm_period)),
        ]

    async def stop(self) -> None:
        """End without waiting for anything: what had to be moved or stopped is (`leave`), or the time is up."""
        self._ending.set()
        # a round in its thread needs the event loop to come to its end
        await asyncio.wait(self._rounds, timeout=STOP_PATIENCE)
        self.workers.shutdown(wait=False, cancel_futures=True)
        self._agents.shutdown(wait=False, cancel_futures=True)

    async def leave(self, *, rebooting: bool) -> None:
        """Let the HA services end by the shutdown policy, before the node goes down."""
        self.going_down, self.rebooting = True, rebooting
        if self.lrm is None or self.crm is None:
            return
        try:
            async with asyncio.timeout(self.host.clock.real(SHUTDOWN_LIMIT)):
                await self._in_thread(self.lrm.request_shutdown)
                await asyncio.wait(self._rounds[1:])
                await self._in_thread(self.crm.request_shutdown)
                await asyncio.wait(self._rounds[:1])
        except TimeoutError:
            log.warning("HA services did not end in time")

    async def announce(self) -> None:
        """Tell the other nodes which version runs here."""
        await self.host.cluster.broadcast(VERSION, self.host.version)

    async def restart_daemons(self) -> None:
        """Start both daemons anew, as the upgrade of their package does."""
        await self.restart_lrm()
        if self.crm is not None:
            await self.stop_crm()
            await self.start_crm()

    async def restart_lrm(self) -> None:
        """Restart the LRM: its services are frozen meanwhile, its guests run on."""
        if self.lrm is not None:
            await self.stop_lrm()
            await self.start_lrm()

    async def stop_lrm(self) -> None:
        """End the LRM alone; its guests run on."""
        if self.lrm is not None:
            await self._in_thread(self.lrm.request_shutdown)
            await asyncio.wait(self._rounds[1:])

    async def start_lrm(self) -> None:
        """Start the LRM anew."""
        self.lrm = Lrm(HostEnvironment(self, "lrm"))
        self._rounds[1] = asyncio.create_task(self._run(self.lrm.round, self._lrm_period))

    async def stop_crm(self) -> None:
        """End the CRM alone; if it was the master, another one takes over at once."""
        if self.crm is not None:
            await self._in_thread(self.crm.request_shutdown)
            await asyncio.wait(self._rounds[:1])

    async def start_crm(self) -> None:
        """Start the CRM anew."""
        self.crm = Crm(HostEnvironment(self, "crm"))
        self._rounds[0] = asyncio.create_task(self._run(self.crm.round, lambda: ROUND))

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._agents, work)

    async def _run(self, one_round: Callable[[], bool], period: Callable[[], float]) -> None:
        clock = self.host.clock
        while not self._ending.is_set():
            begun = clock.elapsed()
            if not await self._in_thread(one_round):
                return
            with contextlib.suppress(TimeoutError):
                await clock.wait_for(self._ending.wait(), max(0.0, period() - (clock.elapsed() - begun)))

    def _lrm_period(self) -> float:
        return ROUND if self.lrm is not None and self.lrm.state == "active" else IDLE_ROUND

    def _changed(self, paths: set[str]) -> None:
        now = self.host.clock.elapsed()
        for path in paths:
            if path == MANAGER_STATUS or path.endswith("/lrm_status"):
                self._seen[path] = now

    # ---- for the rest of the host -----------------------------------------------------------------------------------

    def manager_status(self) -> ManagerStatus:
        """What the active manager wrote last; empty before there was one."""
        return cast(ManagerStatus, read_json(self.host, MANAGER_STATUS))

    def resources(self) -> dict[str, Entry]:
        """The HA resources by service id."""
        return config.RESOURCES_CFG.read(self.host)[0]

    def resource_configs(self) -> dict[str, ResourceConfig]:
        """The resources as the engine wants them: defaults filled in, with the place of the guest."""
        guests = self.host.files.guests()
        found: dict[str, ResourceConfig] = {}
        for sid, entry in self.resources().items():
            values = entry.values
            resource: ResourceConfig = {
                "type": entry.type,
                "state": values.get("state", "started"),
                "failback": bool(values.get("failback", 1)),
                "max_restart": values.get("max_restart", 1),
                "max_relocate": values.get("max_relocate", 1),
                "auto_rebalance": bool(values.get("auto-rebalance", 1)),
            }
            if "group" in values:
                resource["group"] = values["group"]
            guest = guests.get(int(sid.partition(":")[2]))
            if guest is not None:
                resource["node"] = guest.node
            found[sid] = resource
        return found

    def manages(self, sid: str) -> bool:
        """Tell whether power and place of a guest are the manager's business."""
        resource = self.resources().get(sid)
        if resource is None or resource.values.get("state") == "ignored":
            return False
        return self.manager_status().get("disarm", {}).get("mode") != "ignore"

    async def queue(self, command: str) -> None:
        """Add a line to the manager's commands."""
        async with self.host.files.lock(config.LOCK):
            text = self.host.files.read_text(COMMANDS, default="")
            await self.host.files.write(COMMANDS, f"{text}{command}\n")

    async def forget(self, sid: str) -> None:
        """Take a guest that is removed out of HA."""
        if sid in self.resources():
            await config.delete_resource(self.host, sid, purge=True)

    # ---- status -----------------------------------------------------------------------------------------------------

    def lrm_status(self) -> dict[str, LrmStatus]:
        """What the LRM of every node wrote last."""
        nodes = (node.name for node in self.host.cluster.nodes())
        found = {name: read_json(self.host, lrm_status_path(name)) for name in nodes}
        return {name: cast(LrmStatus, status) for name, status in found.items() if status}

    def full_status(self) -> dict[str, Any]:
        """Answer of `GET /cluster/ha/status/manager_status`."""
        quorum = {"node": self.host.name, "quorate": str(int(self.host.files.quorate))}
        return {"manager_status": self.manager_status(), "lrm_status": self.lrm_status(), "quorum": quorum}

    def _age(self, path: str, timestamp: float) -> float:
        """Stack seconds since a status file was written: timestamps are wall clock, which is not scaled."""
        if path in self._seen:
            return self.host.clock.elapsed() - self._seen[path]
        return (self.host.clock.now() - timestamp) * self.host.clock.scale

    def current(self) -> list[dict[str, Any]]:
        """Answer of `GET /cluster/ha/status/current` (facts §7.2)."""
        now = self.host.clock.now()
        manager, lrm = self.manager_status(), self.lrm_status()
        written: dict[float, int] = {}

        def aged(path: str, timestamp: int) -> float:
            moment = now - self._age(path, timestamp)
            written[moment] = timestamp
            return moment

        # the engine judges by timestamps alone, so it gets them as if the wall clock were scaled too
        shifted = dict(manager)
        if "timestamp" in manager:
            shifted["timestamp"] = aged(MANAGER_STATUS, manager["timestamp"])
        shifted_lrm = {
            name: {**status, "timestamp": aged(lrm_status_path(name), status.get("timestamp", 0))}
            for name, status in lrm.items()
        }
        guests = self.host.files.guests()
        resources = {}
        for sid, entry in self.resources().items():
            guest = guests.get(int(sid.partition(":")[2]))
            resources[sid] = entry.values | ({"node": guest.node} if guest else {})
        rows = ha_status.current(
            node=self.host.name,
            quorate=self.host.files.quorate,
            now=now,
            manager=cast(ManagerStatus, shifted),
            lrm=cast(dict[str, LrmStatus], shifted_lrm),
            resources=resources,
            release=int(self.host.release.partition(".")[0]),
            ctime=lambda moment: ha_status.utc_ctime(written.get(moment, int(moment))),
        )
        mode = settings(self.host).crs.mode
        for row in rows:
            if "timestamp" in row:
                row["timestamp"] = written.get(row["timestamp"], row["timestamp"])
            if row["type"] == "master" and mode != "basic":
                row["status"] += f" - {mode} load CRS"
        return rows
