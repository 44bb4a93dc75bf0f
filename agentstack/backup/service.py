# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a node that makes backups: on demand, and as the cluster's jobs say (facts §13)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack.access.identity import ROOT, Identity
from agentstack.backup.bitmaps import Bitmaps
from agentstack.backup.options import Options
from agentstack.backup.vzdump import Vzdump
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests.config import Place
from agentstack.sections import Entry
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

KIND = "vzdump"
NOTHING = "OK"
"""What a run answers in place of a UPID when none of the guests it names is here."""


class Backups:
    """The backup runs of one node."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.lock = asyncio.Lock()
        """Held by the run that works: a node makes one backup at a time."""
        self.bitmaps = Bitmaps(host)
        self._moments: dict[int, int] = {}
        """The second of each guest's last backup."""

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
        """Runs begin when they are asked for."""

    async def stop(self) -> None:
        """Runs are tasks, which end with their host."""

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

    def run_job(self, entry: Entry) -> str:
        """Start what a job of the cluster says, for the guests that are here. Raises AgentError."""
        places, _ = self.host.backup_jobs.selected(entry)
        return self.run(Identity(ROOT), {**entry.values, "job-id": entry.id}, places)

    def is_mine(self, entry: Entry) -> bool:
        """Whether a job concerns this node."""
        return entry.values.get("node") in (None, self.host.name)


def chosen(host: Host, values: Mapping[str, Any]) -> dict[int, Place]:
    """The guests that the parameters of a run choose; raises AgentError for a number that no guest has."""
    entry = Entry("", KIND, {key: values[key] for key in ("all", "vmid", "pool", "exclude") if key in values})
    places, unknown = host.backup_jobs.selected(entry)
    for vmid in sorted(unknown):
        raise AgentError(configs.TEXTS["missing"].format(path=f"nodes/{host.name}/qemu-server/{vmid}.conf"))
    return places
