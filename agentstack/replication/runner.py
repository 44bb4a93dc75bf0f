# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduler's part of replication: due jobs of local guests, one after another, and what became of them.

Facts §9.3.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentstack._shared.calendar_event import parse
from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.replication import transfer
from agentstack.replication.jobs import DEFAULT_SCHEDULE, REPLICATION_CFG, STATE_FILE, replicated_volumes, split_id
from agentstack.replication.transfer import Copy
from agentstack.sections import Entry
from agentstack.timezone import zone

if TYPE_CHECKING:
    from pathlib import Path

    from agentstack.host import Host

log = logging.getLogger(__name__)

PERIOD = 60.0
"""Stack seconds between two looks at what is due."""
LOCK_WAIT = 2.0
"""Stack seconds that a run waits for the lock of its guest."""
RETRIES = (300, 600, 900, 1800)
"""Stack seconds until the next attempt after the first, second, third and every later failure in a row."""
LOGS = "var/log/pve/replicate"

TEXTS = {
    "no_job": "no such replication job '{id}'",
    "elsewhere": "guest '{vmid}' is not on node '{node}'",
    "locked": "can't lock file '/var/lock/pve-manager/pve-migrate-{vmid}' - got timeout",
}


@dataclass
class JobState:
    """What a node remembers of a job: epochs (0: never), seconds, and the reason of the last failure."""

    last_sync: int = 0
    last_try: int = 0
    fail_count: int = 0
    duration: float = 0.0
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Without what is not set."""
        found = {"last_sync": self.last_sync, "last_try": self.last_try, "fail_count": self.fail_count}
        return found | {"duration": self.duration} | ({"error": self.error} if self.error else {})


class Runner:
    """Runs the jobs of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.running: str | None = None
        """The job that is being run."""
        self._loop: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Begin to look for due jobs."""
        self._loop = asyncio.create_task(self._watch(), name="replication")

    async def stop(self) -> None:
        """End, in the middle of a run if need be: the next run begins it anew."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])

    async def _watch(self) -> None:
        while True:
            await self.host.clock.sleep(PERIOD)
            try:
                await self.round()
            except (AgentError, OSError) as error:
                log.warning("replication: %s", error)

    async def round(self) -> None:
        """Run everything that is due, one after another; waits for the end of what runs already."""
        host = self.host
        if not host.files.mounted or not host.files.quorate:
            return
        async with self._turn:
            await self._round()

    async def run_now(self, ident: str) -> None:
        """Run one job of a guest of this node, due or not. Raises AgentError when it cannot be or fails."""
        self.host.files.require_quorum()
        async with self._turn:
            await self._turn_round()
            entry = self.host.replication.jobs()[0].get(ident)
            if entry is None:
                raise AgentError(TEXTS["no_job"].format(id=ident))
            place = configs.place(self.host, split_id(ident)[0])
            if place is None or place.node != self.host.name:
                raise AgentError(TEXTS["elsewhere"].format(vmid=split_id(ident)[0], node=self.host.name))
            if entry.values.get("remove_job"):
                await self._remove(entry)
                return
            while self.state(entry).last_sync == int(self.host.clock.now()):
                await self.host.clock.sleep(1)  # snapshots are named by the second
            await self._run(entry)
            if error := self.state(entry).error:
                raise AgentError(error)

    async def _round(self) -> None:
        host = self.host
        await self._turn_round()
        entries, _ = host.replication.jobs()
        for entry in sorted(entries.values(), key=lambda each: split_id(each.id)):
            place = configs.place(host, split_id(entry.id)[0])
            if place is None or place.node != host.name:
                continue
            if entry.values.get("remove_job"):
                await self._remove(entry)
            elif self._is_due(entry) and not entry.values.get("disable"):
                await self._run(entry)

    def _is_due(self, entry: Entry) -> bool:
        now = int(self.host.clock.now())
        # snapshots are named by the second: where time is scaled, two looks can fall into one
        return self.due(entry) <= now and self.state(entry).last_sync != now

    def due(self, entry: Entry) -> int:
        """When a job runs next (epoch); 0 for a job that never ran: as soon as the scheduler looks."""
        state = self.state(entry)
        if not state.last_try:
            return 0
        if state.fail_count:
            if entry.values["target"] not in self.host.cluster.members():
                return int(self.host.clock.now()) + self._pause(PERIOD)
            return state.last_try + self._pause(RETRIES[min(state.fail_count, len(RETRIES)) - 1])
        event = parse(entry.values.get("schedule", DEFAULT_SCHEDULE))
        return event.next_after(state.last_try, zone(self.host)) or 2**62

    def _pause(self, seconds: float) -> int:
        """A pause as it shows on the wall clock, in whole seconds, as states are told in them."""
        return max(1, round(self.host.clock.real(seconds)))

    # ---- state ------------------------------------------------------------------------------------------------------

    @property
    def _path(self) -> Path:
        return self.host.root / STATE_FILE

    def _stored(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}
        return found

    def state(self, entry: Entry) -> JobState:
        """What this node knows of a job."""
        known = self._stored().get(str(split_id(entry.id)[0]), {}).get(f"local/{entry.values['target']}", {})
        return JobState(**known)

    def keep(self, entry: Entry, state: JobState | None) -> None:
        """Remember a job's state, or forget it."""
        stored = self._stored()
        jobs = stored.setdefault(str(split_id(entry.id)[0]), {})
        target = f"local/{entry.values['target']}"
        if state is None:
            jobs.pop(target, None)
        else:
            jobs[target] = state.to_json()
        self._store(stored)

    def states(self, vmid: int) -> dict[str, dict[str, Any]]:
        """What this node knows of a guest's jobs, by target."""
        known: dict[str, dict[str, Any]] = self._stored().get(str(vmid), {})
        return {target.removeprefix("local/"): state for target, state in known.items()}

    def adopt(self, vmid: int, states: dict[str, dict[str, Any]]) -> None:
        """Take over what another node knew of a guest's jobs, by target, in place of everything known so far."""
        stored = self._stored()
        stored.pop(str(vmid), None)
        if states:
            stored[str(vmid)] = {f"local/{target}": state for target, state in states.items()}
        self._store(stored)

    def _store(self, stored: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self._path, json.dumps(stored).encode())

    def log_of(self, ident: str) -> list[str]:
        """The log of a job's last run."""
        path = self.host.root / LOGS / ident
        return path.read_text().splitlines() if path.exists() else []

    # ---- runs -------------------------------------------------------------------------------------------------------

    def _copy(self, entry: Entry) -> Copy:
        vmid, _ = split_id(entry.id)
        place = configs.place(self.host, vmid)
        assert place is not None
        rate = entry.values.get("rate")
        volumes = replicated_volumes(self.host, place)
        return Copy(entry.id, vmid, entry.values["target"], volumes, float(rate) if rate else None)

    async def _run(self, entry: Entry) -> None:
        host, now = self.host, int(self.host.clock.now())
        state = self.state(entry)
        state.last_try = now
        self.keep(entry, state)
        begun = host.clock.elapsed()
        self.running = entry.id
        with _log_file(host.root / LOGS / entry.id) as lines:
            lines(f"{now} {entry.id}: start replication job")
            try:
                async with self._guest_lock(split_id(entry.id)[0]):
                    copy = self._copy(entry)
                    lines(f"{now} {entry.id}: volumes => {','.join(copy.volumes)}")
                    await transfer.run(host, copy, now, lambda text: lines(f"{now} {entry.id}: {text}"))
            except (AgentError, OSError) as error:
                state.fail_count += 1
                state.error = str(error)
                lines(f"{now} {entry.id}: end replication job with error: {error}")
                log.warning("%s: got unexpected replication job error - %s", entry.id, error)
                self.keep(entry, state)
                host.notifications.replication_failed(
                    *(entry.id, entry.values["target"], entry.values.get("schedule", DEFAULT_SCHEDULE)),
                    *((state.last_sync, self.due(entry)), state.fail_count, state.error),
                )
            else:
                state = JobState(last_sync=now, last_try=now)
                lines(f"{now} {entry.id}: end replication job")
            finally:
                self.running = None
        state.duration = round(host.clock.elapsed() - begun, 6)
        self.keep(entry, state)

    @contextlib.asynccontextmanager
    async def _guest_lock(self, vmid: int) -> AsyncIterator[None]:
        lock = self.host.guests.lock(vmid)
        try:
            await self.host.clock.wait_for(lock.acquire(), LOCK_WAIT)
        except TimeoutError:
            raise AgentError(TEXTS["locked"].format(vmid=vmid)) from None
        try:
            yield
        finally:
            lock.release()

    async def _remove(self, entry: Entry) -> None:
        """What DELETE only asked for: snapshots, with `full` the copies, then the entry itself."""
        full = entry.values["remove_job"] == "full"
        with _log_file(self.host.root / LOGS / entry.id) as lines:
            await transfer.remove(self.host, self._copy(entry), lines, full=full)
        async with REPLICATION_CFG.locked(self.host):
            entries, _ = REPLICATION_CFG.read(self.host)
            entries.pop(entry.id, None)
            await REPLICATION_CFG.write(self.host, entries.values())
        self.keep(entry, None)

    async def _turn_round(self) -> None:
        """A guest that came here by HA's recovery: its jobs to this node go back to where it was (facts §9.4)."""
        entries, _ = REPLICATION_CFG.read(self.host)
        turned = []
        for entry in entries.values():
            place = configs.place(self.host, split_id(entry.id)[0])
            source = entry.values.get("source")
            if place is None or place.node != self.host.name or source in (None, self.host.name):
                continue
            if entry.values["target"] == self.host.name:
                entry.values["target"] = source
            entry.values["source"] = self.host.name
            turned.append(entry.id)
        if not turned:
            return
        async with REPLICATION_CFG.locked(self.host):
            present, _ = REPLICATION_CFG.read(self.host)
            for ident in turned:
                if ident in present:
                    present[ident].values |= entries[ident].values
            await REPLICATION_CFG.write(self.host, present.values())


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[Callable[[str], None]]:
    """A fresh log; the lines of the run before are gone, as on a real node."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", buffering=1) as stream:

        def write(text: str) -> None:
            stream.write(f"{text}\n")

        yield write
