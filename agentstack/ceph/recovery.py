# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery and backfill: primaries copy the objects of their groups to OSDs that lack them, at a rate.

When an OSD has everything, the monitors are told; until the primary knows that they know, it takes no writes for the
group, because those would not go to the new copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from agentstack.ceph.datamap import DataMap, Key
from agentstack.ceph.objects import BLOCK, ObjectStore
from agentstack.ceph.osds import Osds, differences
from agentstack.ceph.peering import PlacementGroup
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.ceph.dataplane import DataPlane

log = logging.getLogger(__name__)

RATE = 64 << 20
"""Bytes that a host's primaries copy in a stack second."""
LAST = 4
"""So many objects may be left over for the moment in which a group takes no writes."""
PAUSE = 1.0
"""Stack seconds until what failed is tried again."""


class Recovery:
    """The recovery that the primaries of one host do."""

    def __init__(self, plane: DataPlane, osds: Osds) -> None:
        self.plane = plane
        self.osds = osds
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def look(self) -> None:
        """The maps, or this host's OSDs, have changed."""
        self._news.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            news = self.plane.map
            if news is None or not self.osds.stores:
                continue
            try:
                await self._trim(news)
                done = await self._recover(news)
            except OSError as error:
                log.debug("recovery: %s", error)
                done = False
            if not done:
                # what failed is tried again, with the maps of that time
                with contextlib.suppress(TimeoutError):
                    await self.plane.clock.wait_for(self._news.wait(), PAUSE)
                self._news.set()

    async def _trim(self, news: DataMap) -> None:
        """Forget the objects of pools that are gone."""
        for osd in list(self.osds.stores):
            await self.osds.run(osd, ObjectStore.keep_pools, list(news.pg_nums))

    async def count(self) -> tuple[dict[str, tuple[int, int]], dict[int, int]]:
        """Objects and bytes of the groups that this host works for, and bytes in use on its OSDs."""
        news = self.plane.map
        stats: dict[str, tuple[int, int]] = {}
        used: dict[int, int] = {}
        if news is None:
            return stats, used
        for osd in list(self.osds.stores):
            rows = await self.osds.run(osd, ObjectStore.sizes)
            used[osd] = sum(row[3] for row in rows)
            for pool, name, _, size in rows:
                key = news.key(pool, name)
                group = news.groups.get(key) if key else None
                if group is not None and news.primary(group) == osd:
                    objects, stored = stats.get(group.name, (0, 0))
                    stats[group.name] = (objects + 1, stored + size)
        return stats, used

    async def _recover(self, news: DataMap) -> bool:
        """Copy all that can be copied with these maps; False if something has to be tried again."""
        work: dict[int, list[tuple[Key, PlacementGroup]]] = defaultdict(list)
        for key, group in self.osds.own(news):
            for osd in group.missing:
                if not blocked(news, group):
                    work[osd].append((key, group))
        done = True
        for osd, groups in work.items():
            inventories = await self.osds.inventories(news, osd, [key for key, _ in groups])
            if inventories is None:
                done = False
                continue
            ready = []
            for key, group in groups:
                if self.plane.map is not news:
                    return True
                counted = self.osds.changes[key]
                own = await self.osds.inventory(news, group.acting[0], key)
                if own == inventories[key]:
                    ready.append((key, counted))
                elif not await self._copy(news, key, group, osd):
                    done = False
            if ready:
                done = await self._join(news, osd, ready) and done
            if self.plane.map is not news:
                return True
        return done

    async def _copy(self, news: DataMap, key: Key, group: PlacementGroup, osd: int) -> bool:
        """Copy one group to an OSD, and tell the monitors."""
        osds, primary = self.osds, group.acting[0]
        while self.plane.map is news:
            async with osds.locks[key]:
                inventories = await osds.inventories(news, osd, [key])
                if inventories is None or not await osds.peer(news, key, group):
                    return False
                names = differences(await osds.inventory(news, primary, key), inventories[key])
                last = len(names) <= LAST
                if last:
                    if not await osds.copy(news, key, primary, osd, names):
                        return False
                    # from here on nothing is written that the new copy would miss
                    osds.frozen.add(key)
            if last:
                try:
                    return await self._tell(news, osd, [key])
                finally:
                    osds.frozen.discard(key)
            for name in names[:-LAST]:
                async with osds.locks[key]:
                    if self.plane.map is not news or not await osds.copy(news, key, primary, osd, [name]):
                        return False
                whole = await osds.run(primary, ObjectStore.whole, key[0], name)
                await self.plane.clock.sleep((len(whole.blocks) if whole else 0) * BLOCK / RATE)
        return False

    async def _join(self, news: DataMap, osd: int, ready: list[tuple[Key, int]]) -> bool:
        """Groups that are the same there already: those that nobody has written to meanwhile are complete."""
        osds = self.osds
        try:
            for key, _ in ready:
                async with osds.locks[key]:
                    osds.frozen.add(key)
            keys = [key for key, counted in ready if osds.changes[key] == counted]
            told = await self._tell(news, osd, keys) if keys else True
        finally:
            osds.frozen.difference_update(key for key, _ in ready)
        return told and len(keys) == len(ready)

    async def _tell(self, news: DataMap, osd: int, keys: list[Key]) -> bool:
        """Tell the monitors, and wait until this host knows what follows. The groups take no changes meanwhile."""
        if self.plane.map is not news or self.plane.held_up:
            return False
        told = {f"{pool}.{seed:x}": [osd] for pool, seed in keys}
        report = asyncio.ensure_future(self.plane.report(news.epoch, told))
        while not self._known(news, osd, keys):
            if report.done():
                try:
                    epoch = report.result()
                except AgentError as error:
                    log.debug("recovery: %s", error)
                    return False
                while self.plane.map.epoch < epoch:
                    await self.plane.changed()
                return True
            change = asyncio.ensure_future(self.plane.changed())
            await asyncio.wait({report, change}, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
        # that everybody has it is not waited for; what became of that is of no interest
        report.add_done_callback(lambda done: done.cancelled() or done.exception())
        return True

    def _known(self, news: DataMap, osd: int, keys: list[Key]) -> bool:
        """Whether this host's maps name the copies as complete."""
        now = self.plane.map
        if now is None or now is news:
            return False
        return all(key in now.groups and osd in now.groups[key].complete for key in keys)


def blocked(news: DataMap, group: PlacementGroup) -> bool:
    """Whether flags, or the lack of a complete copy, keep a group from being recovered."""
    if not group.acting or "down" in group.state or "_wait" in group.state:
        return True
    return any(news.hosts[osd] not in news.reached for osd in (group.acting[0], *group.missing) if osd in news.hosts)
