# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the OSDs: finds the primary of an object's group, and comes again until it has an answer.

What cannot be done now, because too few copies live or nobody is reached, waits; that is how a guest's writes block
below `min_size` and go on afterwards. Whoever does not want to wait cancels.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from agentstack.ceph.datamap import DataMap
from agentstack.ceph.messenger import Answer, Header
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.ceph.dataplane import DataPlane

_BACKOFF = 0.1
"""Real seconds between attempts while the maps stay the same."""


class Client:
    """Reads and changes objects of pools. All calls raise AgentError when there is no such pool."""

    def __init__(self, plane: DataPlane) -> None:
        self.plane = plane

    async def read(self, pool: int, name: str, offset: int, length: int) -> bytes:
        """Bytes of an object; zeros where nothing was written."""
        return (await self._ask(pool, name, {"do": "read", "offset": offset, "length": length}))[1]

    async def write(self, pool: int, name: str, offset: int, data: bytes) -> None:
        """Write into an object; returns when all copies have it on stable storage."""
        await self._ask(pool, name, {"do": "write", "offset": offset}, data)

    async def fetch(self, pool: int, name: str) -> tuple[int, list[int], bytes] | None:
        """Size of an object, numbers of its blocks, and these; None when there is no such object."""
        header, payload = await self._ask(pool, name, {"do": "fetch"})
        return None if "missing" in header else (header["size"], header["blocks"], payload)

    async def replace(
        self, pool: int, name: str, size: int, blocks: list[int], data: bytes, *, new: bool = False
    ) -> None:
        """Give an object exactly these blocks; with `new` only if there is no such object, which is no error."""
        await self._ask(pool, name, {"do": "replace", "size": size, "blocks": blocks, "new": new}, data)

    async def remove(self, pool: int, name: str) -> None:
        """Remove an object; one that does not exist is no error."""
        await self._ask(pool, name, {"do": "remove"})

    async def set(self, pool: int, name: str, values: dict[str, Any], *, new: tuple[str, ...] = ()) -> None:
        """Set keys of a mapping that an object holds. Raises AgentError if one of `new` is there already."""
        await self._ask(pool, name, {"do": "set", "values": values, "new": list(new)})

    async def list(self, pool: int, prefix: str) -> dict[str, int]:
        """Objects whose names begin so, with the bytes that they take."""
        while True:
            news = self._map(pool)
            hosts = {
                news.hosts[group.acting[0]] for (each, _), group in news.groups.items() if each == pool and group.acting
            }
            with contextlib.suppress(OSError):
                answers = await asyncio.gather(
                    *(self.plane.call(host, {"do": "ls", "pool": pool, "prefix": prefix}) for host in hosts)
                )
                headers = [header for header, _ in answers]
                if (
                    all(header.get("epoch") == news.epoch for header in headers)
                    and sum(header["groups"] for header in headers) == news.pg_nums[pool]
                ):
                    return {name: size for header in headers for name, size in header["names"].items()}
            await self._wait()

    def _map(self, pool: int) -> DataMap:
        news = self.plane.map
        if news is None or pool not in news.pg_nums:
            raise AgentError("(2) No such file or directory")
        return news

    async def _ask(self, pool: int, name: str, request: Header, payload: bytes = b"") -> Answer:
        while True:
            news = self._map(pool)
            key = news.key(pool, name)
            group = news.groups[key] if key else None
            if group is not None and group.writable:
                host = news.hosts[group.acting[0]]
                answer = await self._attempt(host, {**request, "pool": pool, "name": name}, payload)
                if answer is not None:
                    if "error" in answer[0]:
                        raise AgentError(answer[0]["error"])
                    return answer
            await self._wait()

    async def _attempt(self, host: str, header: Header, payload: bytes) -> Answer | None:
        """One attempt; given up when the maps change before there is an answer."""
        call = asyncio.ensure_future(self.plane.call(host, header, payload))
        change = asyncio.ensure_future(self.plane.changed())
        try:
            await asyncio.wait({call, change}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                # whoever serves the group with the maps before may be gone, or may be about to answer
                await asyncio.wait({call}, timeout=_BACKOFF)
            if not call.done():
                return None
            answer = call.result()
        except OSError:
            return None
        finally:
            change.cancel()
            call.cancel()
        return None if "again" in answer[0] else answer

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.plane.changed(), _BACKOFF)
