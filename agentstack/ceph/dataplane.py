# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread of a host in which data moves: its OSDs, and what reads and writes objects for this host's guests.

A thread of its own, because storage is used from code that waits for it. The host's main loop hands in a new excerpt of
the maps whenever there is one, and carries out what the primaries find (`report`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agentstack.ceph.client import Client
from agentstack.ceph.datamap import DataMap
from agentstack.ceph.messenger import Answer, Header, Peer, Server
from agentstack.ceph.objects import ObjectStore
from agentstack.ceph.osds import AGAIN, Osds
from agentstack.ceph.recovery import Recovery
from agentstack.clock import Clock
from agentstack.errors import AgentError

log = logging.getLogger(__name__)

T = TypeVar("T")
Complete = Callable[[int, dict[str, list[int]]], Awaitable[int]]


class DataPlane:
    """`name`: of this host; `addresses`: host -> its addresses in the public and the cluster network; `complete`: tells
    the monitors (in the main loop) that copies are complete, and returns the group epoch that knows it; `reaches`:
    whether there is a cable to an address."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        addresses: Mapping[str, tuple[str, str]],
        complete: Complete,
        reaches: Callable[[str], bool],
    ) -> None:
        self.name = name
        self.reaches = reaches
        self._served: set[asyncio.Task[None]] = set()
        self.clock = clock
        self.addresses = addresses
        self._complete = complete
        self._main = asyncio.get_running_loop()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ceph", daemon=True)
        self._peers: dict[str, Peer] = {}
        self.map: DataMap | None = None
        self.held_up = 0
        """The main loop waits for the thread at this moment, and can carry nothing out for it."""
        self._news = asyncio.Event()
        self.client = Client(self)
        self.osds = Osds(self)
        self.recovery = Recovery(self, self.osds)
        self._server = Server(self._handle)

    # --- called from the main loop --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to listen. Raises OSError if the port is taken."""
        self._thread.start()
        await self.do(self._server.start(set(self.addresses[self.name])))

    async def stop(self) -> None:
        """End; what is under way is not waited for."""
        with contextlib.suppress(concurrent.futures.CancelledError):
            await self.do(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        await asyncio.to_thread(self._thread.join)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the thread and await it here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Run something in the thread and wait for it, at most so many real seconds. Raises TimeoutError."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        self.held_up += 1
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError from None
        finally:
            self.held_up -= 1

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something in the thread that goes on by itself."""

        def begin() -> None:
            task = self.loop.create_task(work)
            self._served.add(task)
            task.add_done_callback(self._served.discard)

        self.loop.call_soon_threadsafe(begin)

    def take(self, news: DataMap) -> None:
        """There is a new excerpt of the maps."""
        self.loop.call_soon_threadsafe(self._take, news)

    async def set_stores(self, files: Mapping[int, Path]) -> None:
        """These OSDs run here now: number -> the file with their objects."""
        await self.do(self._set_stores(dict(files)))

    # --- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    async def _stop(self) -> None:
        await self.recovery.stop()
        await self._server.stop()
        for peer in self._peers.values():
            peer.close()
        await self._set_stores({})
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)

    async def _set_stores(self, files: dict[int, Path]) -> None:
        present = self.osds.stores
        for number in [each for each, store in present.items() if files.get(each) != store.path]:
            store = present.pop(number)
            await asyncio.to_thread(store.close)
        for number, path in files.items():
            if number not in present:
                present[number] = await asyncio.to_thread(ObjectStore, path)
        self.recovery.look()

    def _take(self, news: DataMap) -> None:
        for key in [key for key in self._peers if key.partition("/")[0] not in news.reached]:
            self._peers.pop(key).close()
        self.map = news
        self._news.set()
        self._news = asyncio.Event()
        self.recovery.look()

    async def changed(self) -> None:
        """Wait for the next excerpt of the maps."""
        await self._news.wait()

    async def call(self, host: str, header: Header, payload: bytes = b"", *, private: bool = False) -> Answer:
        """Ask a host's OSDs; `private`: on the cluster network. Raises OSError when it cannot be reached."""
        if host == self.name:
            return await self._handle(dict(header), payload)
        if self.map is None or host not in self.map.reached:
            raise ConnectionError(f"{host} is not reached")
        network = int(private)
        if not self.reaches(self.addresses[host][network]):
            raise ConnectionError(f"no route to {host}")
        peer = self._peers.get(key := f"{host}/{network}")
        if peer is None:
            peer = self._peers[key] = Peer(self.addresses[self.name][network], self.addresses[host][network])
        return await peer.call(header, payload)

    async def report(self, epoch: int, groups: dict[str, list[int]]) -> int:
        """Tell the monitors which copies are complete. Raises AgentError."""
        future = asyncio.run_coroutine_threadsafe(_await(self._complete(epoch, groups)), self._main)
        return await asyncio.wrap_future(future)

    async def _handle(self, header: Header, payload: bytes) -> Answer:
        try:
            return await self.osds.handle(header, payload)
        except AgentError as error:
            return {"error": error.message}, b""
        except OSError as error:
            # an OSD of this host was stopped in the middle of it
            log.debug("ceph: %s", error)
            return AGAIN


async def _await(work: Awaitable[T]) -> T:
    return await work
