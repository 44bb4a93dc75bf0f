# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of a backup server: run by their calendar events, their last run remembered across restarts.

A job whose time passed while the server was down runs when it is up again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentstack._shared import calendar_event
from agentstack.access.identity import ROOT, Identity
from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.pbs import push, sync, upkeep
from agentstack.pbs.sections import DATASTORES, PRUNE_JOBS, SYNC_JOBS, VERIFY_JOBS, SectionFile
from agentstack.pbs.snapshots import Snapshot
from agentstack.pbs.upid import parse_upid
from agentstack.tasks import Task
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

Kind = Literal["garbage_collection", "prunejob", "verificationjob", "syncjob"]

FILES: Mapping[Kind, tuple[SectionFile, str, str]] = {
    "garbage_collection": (DATASTORES, "datastore", "gc-schedule"),
    "prunejob": (PRUNE_JOBS, "prune", "schedule"),
    "verificationjob": (VERIFY_JOBS, "verification", "schedule"),
    "syncjob": (SYNC_JOBS, "sync", "schedule"),
}
"""Where the jobs of a kind are configured: file, type of section, the key of the calendar event."""

STATES = "var/lib/proxmox-backup/jobstates"
STOPPED = "received interrupt"
"""The state of a job whose run was stopped."""

PERIOD = 60.0
"""Stack seconds between two looks at what is due; the clock can leap, so at most a real second passes."""


@dataclass(frozen=True)
class LastRun:
    """How a job ran last; `since`: when it was made, changed or begun, the point its next run is counted from."""

    since: int
    upid: str | None = None
    state: str | None = None
    endtime: int | None = None


class Jobs:
    """All jobs of one server, and the clockwork behind them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder = host.root / STATES
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to run what is due."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.create_task(self._run_due())

    async def stop(self) -> None:
        """Begin nothing more."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    # --- configuration and state ----------------------------------------------------------------------------------

    def settings(self, kind: Kind, ident: str) -> dict[str, Any]:
        """The settings of a job; raises 404."""
        file, section, _ = FILES[kind]
        values = file.read(self.host).of(section).get(ident)
        if values is None:
            what = f"datastore '{ident}'" if kind == "garbage_collection" else f"job '{ident}'"
            raise AgentError(f"{what} does not exist.", status=404)
        return values

    def all(self) -> Iterator[tuple[Kind, str, str]]:
        """Every scheduled job that is not switched off: kind, id, calendar event."""
        for kind, (file, section, key) in FILES.items():
            for ident, values in file.read(self.host).of(section).items():
                if values.get(key) and not values.get("disable"):
                    yield kind, ident, values[key]

    def reset(self, kind: Kind, ident: str) -> None:
        """Count the next run from now on: the job is new, or its calendar event has changed."""
        last = self.last_run(kind, ident)
        self._store(kind, ident, LastRun(int(self.host.clock.now()), last.upid, last.state, last.endtime))

    def forget(self, kind: Kind, ident: str) -> None:
        """Remove the state of a deleted job."""
        self._path(kind, ident).unlink(missing_ok=True)

    def last_run(self, kind: Kind, ident: str) -> LastRun:
        """How a job ran last."""
        try:
            return LastRun(**json.loads(self._path(kind, ident).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return LastRun(int(self.host.clock.now()))

    def _path(self, kind: Kind, ident: str) -> Path:
        return self.folder / f"{kind}-{ident}.json"

    def _store(self, kind: Kind, ident: str, last: LastRun) -> None:
        write_durably(self._path(kind, ident), json.dumps(last.__dict__).encode())

    def next_run(self, kind: Kind, ident: str, schedule: str | None) -> int | None:
        """When a job runs next, in seconds since the epoch; None if never."""
        if not schedule:
            return None
        since = self.last_run(kind, ident).since
        return calendar_event.parse(schedule).next_after(since, zone(self.host))

    def status(self, kind: Kind, ident: str, schedule: str | None) -> dict[str, Any]:
        """A job's times and results as `/admin/{sync,verify,prune}` list them."""
        last = self.last_run(kind, ident)
        values = {
            "next-run": self.next_run(kind, ident, schedule),
            "last-run-upid": last.upid,
            "last-run-state": last.state,
            "last-run-endtime": last.endtime,
        }
        return {key: value for key, value in values.items() if value is not None}

    # --- running --------------------------------------------------------------------------------------------------

    async def _run_due(self) -> None:
        clock = self.host.clock
        while True:
            await asyncio.sleep(min(clock.real(PERIOD), 1.0))
            self.host.pbs.datastores.note_usage()
            for kind, ident, schedule in list(self.all()):
                if not self._path(kind, ident).exists():
                    self.reset(kind, ident)
                due = self.next_run(kind, ident, schedule)
                if due is None or due > clock.now() or self.is_running(kind, ident):
                    continue
                log.info("%s %s is due", kind, ident)
                try:
                    self.run(kind, ident, Identity(ROOT), schedule)
                except AgentError as error:
                    log.warning("%s %s could not be started: %s", kind, ident, error)
                    self.reset(kind, ident)

    def is_running(self, kind: Kind, ident: str) -> bool:
        """Whether a run of the job has not ended."""
        upid = parse_upid(self.last_run(kind, ident).upid or "")
        return upid is not None and self.host.tasks.is_running(upid)

    def run(self, kind: Kind, ident: str, identity: Identity, schedule: str | None = None) -> str:
        """Start a job; returns its UPID. Raises AgentError if it is running already."""
        values = self.settings(kind, ident)
        if self.is_running(kind, ident):
            raise AgentError(f"unable to start {kind} '{ident}': already running")

        async def work(task: Task) -> None:
            if schedule is not None:
                task.log(f"task triggered by schedule '{schedule}'")
            state, tell = STOPPED, self.host.pbs.notifications.job_ended
            try:
                await self._work(kind, ident, values, identity, task)
                state = f"WARNINGS: {task.warnings}" if task.warnings else "OK"
                tell(kind, ident, values)
            except AgentError as error:
                state = " ".join(error.text.split("\n"))
                tell(kind, ident, values, error)
                raise
            finally:
                now = int(self.host.clock.now())
                self._store(kind, ident, LastRun(began, str(task.upid), state, now))

        began = int(self.host.clock.now())
        upid = self.host.tasks.start(identity, kind, self._worker_id(kind, ident, values), work)
        self._store(kind, ident, LastRun(began, upid))
        return upid

    def _worker_id(self, kind: Kind, ident: str, values: Mapping[str, Any]) -> str:
        if kind == "syncjob":
            return ":".join(
                (values.get("remote", "-"), values["remote-store"], values["store"], values.get("ns", ""), ident)
            )
        if kind == "verificationjob":
            return f"{values['store']}:{ident}"
        return ident

    async def _work(self, kind: Kind, ident: str, values: Mapping[str, Any], identity: Identity, task: Task) -> None:
        match kind:
            case "garbage_collection":
                await upkeep.collect_garbage(self.host, ident, task)
            case "prunejob":
                task.log(f"prune job '{ident}'")
                await upkeep.prune(self.host, values["store"], values.get("ns", ""), values, identity, task)
            case "verificationjob":
                task.log(f"Starting datastore verify job '{ident}'")
                choice = upkeep.Selection.from_values(values)
                await upkeep.verify(self.host, values["store"], choice, identity, task)
            case "syncjob":
                task.log(f"Starting datastore sync job '{self._worker_id(kind, ident, values)}'")
                work = push.push if values.get("sync-direction") == "push" else sync.pull
                await work(self.host, values, task)
                task.log(f"sync job '{ident}' end")

    def verify_new(self, name: str, snapshot: Snapshot) -> None:
        """Verify a snapshot that has just been written, where the datastore wants that (`verify-new`)."""
        if self.host.pbs.datastores.settings(name).get("verify-new"):
            identity = Identity(ROOT)
            choice = upkeep.Selection(group=snapshot.group, snapshot=snapshot, ignore_verified=False)

            async def work(task: Task) -> None:
                task.log("Automatically verifying newly added snapshot")
                await upkeep.verify(self.host, name, choice, identity, task)

            place = f"{snapshot.group.ns}:" if snapshot.group.ns else ""
            worker_id = f"{name}:{place}{snapshot.group}/{snapshot.time:X}"
            self.host.tasks.start(identity, "verify_snapshot", worker_id, work)
