# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduler of a node: it runs the jobs of jobs.cfg, backups and synchronisations of realms, when they are due."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack._shared import calendar_event
from agentstack.access import realm_sync
from agentstack.access.identity import ROOT, Identity
from agentstack.backup_jobs import JOBS_CFG
from agentstack.durable import write_durably
from agentstack.errors import AgentError, ParameterError
from agentstack.sections import Entry
from agentstack.timezone import zone
from agentstack.upid import parse_upid

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

STATES = "var/lib/pve-manager/jobs"
PERIOD = 60.0
"""Stack seconds between two looks at what is due; the clock can leap, so at most a real second passes."""


@dataclass(frozen=True)
class Kind:
    """How one type of job is run. `run` starts its task and returns the UPID; `mine`: whether it is this node's."""

    run: Callable[[Entry], str]
    mine: Callable[[Entry], bool]


class Scheduler:
    """The clockwork behind the jobs."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._folder = host.root / STATES
        self._loop: asyncio.Task[None] | None = None
        self._kinds = {
            "vzdump": Kind(lambda entry: host.backup.run_job(entry), lambda entry: host.backup.is_mine(entry)),
            "realm-sync": Kind(self._synchronise, lambda _entry: self._runs_for_all()),
        }

    async def start(self) -> None:
        """Begin to run jobs; what was due while the node was down is skipped unless the job says otherwise."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.host.files.mounted:
            for entry in self._jobs():
                if not entry.values.get("repeat-missed"):
                    self._remember(entry, int(self.host.clock.now()))
        self._loop = asyncio.create_task(self._run_due())

    async def stop(self) -> None:
        """Begin no more runs."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def last_run(self, entry: Entry) -> int | None:
        """When a job was last begun (epoch), wherever that was."""
        started: int | None = self._state(entry).get("started")
        return started

    def _jobs(self) -> list[Entry]:
        entries, _ = JOBS_CFG.read(self.host)
        return [entry for entry in entries.values() if entry.values.get("enabled", 1) and entry.type in self._kinds]

    def _path(self, entry: Entry) -> Path:
        return self._folder / f"{entry.type}-{entry.id}.json"

    def _state(self, entry: Entry) -> dict[str, Any]:
        path = self._path(entry)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

    def _remember(self, entry: Entry, time: int, **more: Any) -> None:
        kept = {name: value for name, value in self._state(entry).items() if name == "started"}
        state = {**kept, "time": time, "schedule": None, "upid": None, **more}
        write_durably(self._path(entry), json.dumps(state).encode())

    async def _run_due(self) -> None:
        clock = self.host.clock
        while True:
            await asyncio.sleep(min(clock.real(PERIOD), 1.0))
            if not self.host.files.mounted:
                continue
            jobs = self._jobs()
            for entry in jobs:
                self._consider(entry, int(clock.now()))
            known = {self._path(entry) for entry in jobs}
            for path in self._folder.glob("*.json"):
                if path not in known:
                    path.unlink()

    def _consider(self, entry: Entry, now: int) -> None:
        schedule, state = entry.values["schedule"], self._state(entry)
        if not state or state["schedule"] not in (None, schedule):
            # a job that is new, or has a new calendar event, counts from now on
            self._remember(entry, now, schedule=schedule)
            return
        running = parse_upid(state["upid"] or "")
        due = calendar_event.parse(schedule).next_after(state["time"], zone(self.host))
        if due is None or due > now or (running and self.host.tasks.is_running(running)):
            return
        upid = None
        kind = self._kinds[entry.type]
        if kind.mine(entry):
            try:
                upid = kind.run(entry)
            except (AgentError, ParameterError) as error:
                log.warning("%s job %s could not be started: %s", entry.type, entry.id, error)
        self._remember(entry, now, schedule=schedule, upid=upid, started=now)

    # ---- realms ------------------------------------------------------------------------------------------------------

    def _runs_for_all(self) -> bool:
        """What concerns the whole cluster one node does: the first of those that are there, if they have a majority."""
        members = self.host.cluster.members()
        return self.host.files.quorate and self.host.name == min(members, default=self.host.name)

    def _synchronise(self, entry: Entry) -> str:
        realm, _ = self.host.access.realms.get(entry.values["realm"])
        realm_sync.check_type(realm)
        options = realm_sync.Options.read(realm, entry.values)
        return self.host.tasks.start(
            Identity(ROOT),
            realm_sync.TASK,
            realm.id,
            lambda task: realm_sync.synchronise(self.host, task, realm, options, dry_run=False),
        )
