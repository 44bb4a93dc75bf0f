# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OSDs of one host at work: as the primary of placement groups, and as one that keeps a copy.

A primary works on one request of a group at a time. It acknowledges a change when every OSD of the group has it on
stable storage. Copies take a change only from a primary that knows the same maps as they do; so one that was replaced
while nobody heard of it cannot acknowledge anything. Before its first request with other OSDs, or after a change that
not all of them took, a primary brings all copies in line with its own (it has all acknowledged writes).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from agentstack.ceph.crush import hash_name
from agentstack.ceph.datamap import DataMap, Key
from agentstack.ceph.messenger import Answer, Header
from agentstack.ceph.objects import BLOCK, ObjectStore, Whole
from agentstack.ceph.peering import PlacementGroup
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.ceph.dataplane import DataPlane

log = logging.getLogger(__name__)

T = TypeVar("T")

AGAIN: Answer = ({"again": 1}, b"")
"""The answer to what cannot be done with the present maps: come again with newer ones."""
CHANGING = frozenset({"write", "replace", "set", "remove"})
GROWING = CHANGING - {"remove"}
"""Requests that full OSDs hold up."""
LONGEST = 10.0
"""Real seconds that a primary waits for a copy."""
PATIENCE = 2.0
"""Real seconds that a copy waits for maps that its primary has already."""


class Osds:
    """The OSDs of a host; `stores`: number -> objects."""

    def __init__(self, plane: DataPlane) -> None:
        self.plane = plane
        self.stores: dict[int, ObjectStore] = {}
        self.locks: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.changes: defaultdict[Key, int] = defaultdict(int)
        """Counts what happened to a group here, so that others see whether it stood still."""
        self.frozen: set[Key] = set()
        """Groups that take no changes because the monitors are being told of a new copy; they can be read."""
        self._peered: dict[Key, tuple[tuple[int, str], ...]] = {}
        self._versions = itertools.count(1)

    async def handle(self, header: Header, payload: bytes) -> Answer:
        """Do what a client (`do`: a name below) or a primary (`to`: the OSD) asks."""
        if "to" in header:
            return await self._as_copy(header, payload)
        if header["do"] == "ls":
            return await self._list(header)
        return await self._as_primary(header, payload)

    def own(self, news: DataMap) -> Iterable[tuple[Key, PlacementGroup]]:
        """The groups for which an OSD of this host works."""
        for key, group in news.groups.items():
            if group.acting and group.acting[0] in self.stores:
                yield key, group

    async def run(self, osd: int, function: Callable[..., T], *args: Any) -> T:
        """Work on an OSD's objects, in its thread. OSError if it does not run (any more)."""
        store = self.stores.get(osd)
        if store is None:
            raise OSError(f"osd.{osd} does not run here")
        return await store.run(function, *args)

    # --- as the primary -------------------------------------------------------------------------------------------

    async def _as_primary(self, header: Header, payload: bytes) -> Answer:
        news = self.plane.map
        key = news.key(header["pool"], header["name"]) if news else None
        if key is None:
            return AGAIN
        async with self.locks[key]:
            news = self.plane.map
            group = news.groups.get(key) if news else None
            if news is None or group is None or not group.writable or group.acting[0] not in self.stores:
                return AGAIN
            if header["do"] in CHANGING and key in self.frozen:
                return AGAIN
            if header["do"] in GROWING and news.full.intersection(group.acting):
                return AGAIN
            if "pause" in news.flags or not await self.peer(news, key, group):
                return AGAIN
            return await _REQUESTS[header["do"]](self, news, group, header, payload)

    async def _read(self, news: DataMap, group: PlacementGroup, header: Header, payload: bytes) -> Answer:
        place = (header["pool"], header["name"])
        data = await self.run(group.acting[0], ObjectStore.read, *place, header["offset"], header["length"])
        return {}, data

    async def _fetch(self, news: DataMap, group: PlacementGroup, header: Header, payload: bytes) -> Answer:
        """The whole object with its holes; `error` when there is none."""
        whole = await self._whole(group.acting[0], header["pool"], header["name"])
        if whole is None:
            return {"missing": 1}, b""
        return {"size": whole.size, "blocks": [number for number, _ in whole.blocks]}, _joined(whole)

    async def _whole(self, osd: int, pool: int, name: str) -> Whole | None:
        return await self.run(osd, ObjectStore.whole, pool, name)

    async def _write(self, news: DataMap, group: PlacementGroup, header: Header, payload: bytes) -> Answer:
        change = {"change": "write", "offset": header["offset"]}
        return await self._change(news, group, header, change, payload)

    async def _replace(self, news: DataMap, group: PlacementGroup, header: Header, payload: bytes) -> Answer:
        """Have the object hold exactly the given blocks; `new`: what is there already stays as it is."""
        if header.get("new") and await self._whole(group.acting[0], header["pool"], header["name"]) is not None:
            return {}, b""
        change = {"change": "put", "size": header["size"], "blocks": header["blocks"]}
        return await self._change(news, group, header, change, payload)

    async def _remove(self, news: DataMap, group: PlacementGroup, header: Header, payload: bytes) -> Answer:
        return await self._change(news, group, header, {"change": "remove"}, b"")

    async def _set(self, news: DataMap, group: PlacementGroup, header: Header, payload: bytes) -> Answer:
        """Set keys of an object that is a JSON mapping (null: remove); `new`: they must not be there yet."""
        whole = await self._whole(group.acting[0], header["pool"], header["name"])
        present = decode(whole)
        if any(name in present for name in header.get("new", ())):
            return {"error": "(17) File exists"}, b""
        document = {name: value for name, value in {**present, **header["values"]}.items() if value is not None}
        content = json.dumps(document).encode()
        blocks = range(-(-len(content) // BLOCK))
        change = {"change": "put", "size": len(content), "blocks": list(blocks)}
        return await self._change(news, group, header, change, content.ljust(len(blocks) * BLOCK, b"\0"))

    async def _change(
        self, news: DataMap, group: PlacementGroup, header: Header, change: Header, payload: bytes
    ) -> Answer:
        """Have all copies take a change. What not all of them took is not acknowledged."""
        key = (group.pool, group.seed)
        self.changes[key] += 1
        change |= {"epoch": news.epoch, "pool": group.pool, "name": header["name"]}
        change["version"] = f"{news.epoch}.{news.boots.get(group.acting[0], '')}.{next(self._versions)}"
        done = await asyncio.gather(*(self.ask(news, osd, change, payload) for osd in group.acting))
        if all(answer is not None for answer in done) and self.plane.map is news:
            return {}, b""
        self._peered.pop(key, None)
        return AGAIN

    async def ask(self, news: DataMap, osd: int, header: Header, payload: bytes = b"") -> Answer | None:
        """Have an OSD do something for its primary; None when it did not."""
        try:
            call = self.plane.call(news.hosts[osd], {**header, "to": osd}, payload, private=True)
            answer = await asyncio.wait_for(call, LONGEST)
        except (OSError, TimeoutError):
            return None
        return None if "again" in answer[0] else answer

    async def _list(self, header: Header) -> Answer:
        """The objects of a pool whose names begin with `prefix`, of the groups that this host works for."""
        news = self.plane.map
        pool = header["pool"]
        if news is None or pool not in news.pg_nums:
            return AGAIN
        seeds: defaultdict[int, list[int]] = defaultdict(list)
        for (other, seed), group in self.own(news):
            if other == pool and group.writable:
                seeds[group.acting[0]].append(seed)
        names: dict[str, int] = {}
        for osd, own in seeds.items():
            found = await self.run(osd, ObjectStore.inventory, pool, news.pg_nums[pool], own)
            wanted = {name for group in found.values() for name in group if name.startswith(header["prefix"])}
            if wanted:
                sizes = await self.run(osd, ObjectStore.sizes)
                names |= {name: size for each, name, _, size in sizes if each == pool and name in wanted}
        return {"names": names, "groups": sum(map(len, seeds.values())), "epoch": news.epoch}, b""

    # --- bringing copies in line ----------------------------------------------------------------------------------

    async def peer(self, news: DataMap, key: Key, group: PlacementGroup) -> bool:
        """Bring the copies of a group in line with this primary's, if that has not been done; False if it failed."""
        if self._peered.get(key) == news.holders(group):
            return True
        primary, *copies = group.acting
        for osd in copies:
            if not await self.equalise(news, key, primary, osd):
                return False
        self._peered[key] = news.holders(group)
        return True

    async def equalise(self, news: DataMap, key: Key, primary: int, osd: int) -> bool:
        """Make the other OSD's objects of a group the same as the primary's. The group's lock is held."""
        inventories = await self.inventories(news, osd, [key])
        if inventories is None:
            return False
        own = await self.inventory(news, primary, key)
        return await self.copy(news, key, primary, osd, differences(own, inventories[key]))

    async def copy(self, news: DataMap, key: Key, primary: int, osd: int, names: Iterable[str]) -> bool:
        """Copy objects, or their absence, to another OSD; False if it did not take one."""
        for name in names:
            whole = await self._whole(primary, key[0], name)
            header: Header = {"epoch": news.epoch, "pool": key[0], "name": name}
            if whole is None:
                header |= {"change": "remove", "version": ""}
            else:
                blocks = [number for number, _ in whole.blocks]
                header |= {"change": "put", "size": whole.size, "blocks": blocks, "version": whole.version}
            if await self.ask(news, osd, header, _joined(whole) if whole else b"") is None:
                return False
        return True

    async def inventory(self, news: DataMap, osd: int, key: Key) -> dict[str, str]:
        """Objects and their versions in a group, as an OSD of this host has them."""
        found = await self.run(osd, ObjectStore.inventory, key[0], news.pg_nums[key[0]], [key[1]])
        return found[key[1]]

    async def inventories(self, news: DataMap, osd: int, keys: list[Key]) -> dict[Key, dict[str, str]] | None:
        """Objects and their versions in groups, as any OSD has them; None when it does not answer."""
        answer = await self.ask(news, osd, {"inventory": keys, "epoch": news.epoch})
        if answer is None:
            return None
        rows = json.loads(answer[1])
        return {(pool, seed): names for pool, seed, names in rows}

    # --- as a copy ------------------------------------------------------------------------------------------------

    async def _as_copy(self, header: Header, payload: bytes) -> Answer:
        if not await self._agree(int(header["epoch"])):
            return AGAIN
        news, osd = self.plane.map, int(header["to"])
        if news is None:
            return AGAIN
        if "inventory" in header:
            return {}, json.dumps(await self._inventories(news, osd, header["inventory"])).encode()
        place = (header["pool"], header["name"])
        match header["change"]:
            case "write":
                number = hash_name(header["name"])
                await self.run(osd, ObjectStore.write, *place, number, header["version"], header["offset"], payload)
            case "put":
                await self.run(osd, ObjectStore.put, *place, _whole(header, payload))
            case "remove":
                await self.run(osd, ObjectStore.remove, *place)
        # what was done under maps that have changed meanwhile counts for nothing
        return ({}, b"") if self.plane.map is not None and self.plane.map.epoch == header["epoch"] else AGAIN

    async def _inventories(self, news: DataMap, osd: int, keys: list[Key]) -> list[tuple[int, int, dict[str, str]]]:
        pools: defaultdict[int, list[int]] = defaultdict(list)
        for pool, seed in keys:
            pools[pool].append(seed)
        rows = []
        for pool, seeds in pools.items():
            if pool in news.pg_nums:
                found = await self.run(osd, ObjectStore.inventory, pool, news.pg_nums[pool], seeds)
                rows += [(pool, seed, names) for seed, names in found.items()]
        return rows

    async def _agree(self, epoch: int) -> bool:
        """Whether this host knows exactly the maps of that group epoch; waits a while for them."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while self.plane.map is None or self.plane.map.epoch < epoch:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            try:
                await asyncio.wait_for(self.plane.changed(), left)
            except TimeoutError:
                return False
        return self.plane.map.epoch == epoch


_Request = Callable[[Osds, DataMap, PlacementGroup, Header, bytes], Awaitable[Answer]]
_REQUESTS: dict[str, _Request] = {
    **{"read": Osds._read, "fetch": Osds._fetch, "write": Osds._write, "replace": Osds._replace},
    **{"remove": Osds._remove, "set": Osds._set},
}


def differences(own: dict[str, str], other: dict[str, str]) -> list[str]:
    """The objects that are not the same."""
    return sorted(name for name in own.keys() | other.keys() if own.get(name) != other.get(name))


def decode(whole: Whole | None) -> dict[str, Any]:
    """The mapping that an object of keys and values holds; empty for none."""
    if whole is None:
        return {}
    document = json.loads(_joined(whole)[: whole.size])
    if not isinstance(document, dict):
        raise AgentError("(22) Invalid argument")
    return document


def _joined(whole: Whole) -> bytes:
    return b"".join(data for _, data in whole.blocks)


def _whole(header: Header, payload: bytes) -> Whole:
    blocks = ((number, payload[at * BLOCK : (at + 1) * BLOCK]) for at, number in enumerate(header["blocks"]))
    return Whole(hash_name(header["name"]), header["version"], header["size"], tuple(blocks))
