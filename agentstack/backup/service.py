# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a node that makes backups: on demand, and as the cluster's jobs say (facts §13)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack._shared import calendar_event
from agentstack.access.identity import ROOT, Identity
from agentstack.backup.bitmaps import Bitmaps
from agentstack.backup.options import Options
from agentstack.backup.vzdump import Vzdump
from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests.config import Place
from agentstack.sections import Entry
from agentstack.tasks import Task
from agentstack.timezone import zone
from agentstack.upid import parse_upid

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

STATES = "var/lib/pve-manager/jobs"
KIND = "vzdump"
PERIOD = 60.0
"""Stack seconds between two looks at what is due; the clock can leap, so at most a real second passes."""

NOTHING = "OK"
"""What a run answers in place of a UPID when none of the guests it names is here."""


class Backups:
    """The backup runs of one node and the clockwork behind the jobs."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.lock = asyncio.Lock()
        """Held by the run that works: a node makes one backup at a time."""
        self.bitmaps = Bitmaps(host)
        self._moments: dict[int, int] = {}
        """The second of each guest's last backup."""
        self._folder = host.root / STATES
        self._loop: asyncio.Task[None] | None = None

    async def moment(self, vmid: int) -> int:
        """The time (epoch) that a guest's next backup has: a second of its own, for backups are named by it.

        A real one takes longer than that; here time may be scaled.
        """
        clock = self.host.clock
        if int(clock.now()) == self._moments.get(vmid):
            await asyncio.sleep(1 - clock.now() % 1)
        self._moments[vmid] = int(clock.now())
        return self._moments[vmid]

    async def start(self) -> None:
        """Begin to run jobs; what was due while the node was down is skipped unless the job says otherwise."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.host.files.mounted:
            for entry in self._jobs():
                if not entry.values.get("repeat-missed"):
                    self._remember(entry.id, int(self.host.clock.now()))
        self._loop = asyncio.create_task(self._run_due())

    async def stop(self) -> None:
        """Begin no more runs."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    # ---- runs --------------------------------------------------------------------------------------------------------

    def run(self, identity: Identity, values: Mapping[str, Any], places: Mapping[int, Place]) -> str:
        """Start a run for those of the guests that are here; returns its UPID, or `OK` if it has nothing to do."""
        options = Options.from_values(values)
        here = [place for place in places.values() if place.node == self.host.name]
        named = bool(options.vmids)
        if named and not here:
            return NOTHING
        elsewhere = sorted(vmid for vmid, place in places.items() if place.node != self.host.name) if named else []
        self.host.storage.check_content(options.storage, "backup")

        async def work(task: Task) -> None:
            if self.lock.locked():
                task.log("INFO: trying to get global lock - waiting...")
            try:
                await self.host.clock.wait_for(self.lock.acquire(), options.lockwait * 60.0)
            except TimeoutError:
                raise AgentError("can't acquire lock '/var/run/vzdump.lock' - got timeout") from None
            try:
                await Vzdump(self.host, options, task).run(here, elsewhere)
            finally:
                self.lock.release()

        worker_id = str(options.vmids[0]) if len(options.vmids) == 1 else ""
        return self.host.tasks.start(identity, KIND, worker_id, work)

    def cancel(self) -> None:
        """Stop every run of this node (`stop`)."""
        for upid in self.host.tasks.active():
            if upid.type == KIND:
                self.host.tasks.cancel(upid)

    # ---- jobs --------------------------------------------------------------------------------------------------------

    def _jobs(self) -> list[Entry]:
        jobs = self.host.backup_jobs.jobs().values()
        mine = (None, self.host.name)
        return [job for job in jobs if job.values.get("enabled", 1) and job.values.get("node") in mine]

    def _path(self, ident: str) -> Path:
        return self._folder / f"{KIND}-{ident}.json"

    def _state(self, ident: str) -> dict[str, Any]:
        path = self._path(ident)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

    def _remember(self, ident: str, time: int, schedule: str | None = None, upid: str | None = None) -> None:
        state = {"time": time, "schedule": schedule, "upid": upid}
        write_durably(self._path(ident), json.dumps(state).encode())

    async def _run_due(self) -> None:
        clock = self.host.clock
        while True:
            await asyncio.sleep(min(clock.real(PERIOD), 1.0))
            if not self.host.files.mounted:
                continue
            jobs = self._jobs()
            for entry in jobs:
                self._consider(entry, int(clock.now()))
            known = {self._path(entry.id) for entry in jobs}
            for path in self._folder.glob(f"{KIND}-*.json"):
                if path not in known:
                    path.unlink()

    def _consider(self, entry: Entry, now: int) -> None:
        schedule, state = entry.values["schedule"], self._state(entry.id)
        if not state or state["schedule"] not in (None, schedule):
            # a job that is new, or has a new calendar event, counts from now on
            self._remember(entry.id, now, schedule)
            return
        running = parse_upid(state["upid"] or "")
        due = calendar_event.parse(schedule).next_after(state["time"], zone(self.host))
        if due is None or due > now or (running and self.host.tasks.is_running(running)):
            return
        try:
            places, _ = self.host.backup_jobs.selected(entry)
            upid = self.run(Identity(ROOT), {**entry.values, "job-id": entry.id}, places)
        except AgentError as error:
            log.warning("backup job %s could not be started: %s", entry.id, error)
            upid = None
        self._remember(entry.id, now, schedule, upid)


def chosen(host: Host, values: Mapping[str, Any]) -> dict[int, Place]:
    """The guests that the parameters of a run choose; raises AgentError for a number that no guest has."""
    entry = Entry("", KIND, {key: values[key] for key in ("all", "vmid", "pool", "exclude") if key in values})
    places, unknown = host.backup_jobs.selected(entry)
    for vmid in sorted(unknown):
        raise AgentError(configs.TEXTS["missing"].format(path=f"nodes/{host.name}/qemu-server/{vmid}.conf"))
    return places
