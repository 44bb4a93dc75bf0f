# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How clients and OSDs talk: requests and answers of a JSON header and a payload, many at a time on one connection."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any

Header = dict[str, Any]
Answer = tuple[Header, bytes]
Handler = Callable[[Header, bytes], Awaitable[Answer]]

PORT = 6800
"""First port of those that OSDs take (docs.ceph.com, "Network Configuration Reference")."""

CONNECT = 5.0
"""Real seconds after which an attempt to connect is given up."""

_LENGTHS = struct.Struct("<II")


def _frame(header: Header, payload: bytes) -> bytes:
    text = json.dumps(header).encode()
    return _LENGTHS.pack(len(text), len(payload)) + text + payload


async def _receive(reader: asyncio.StreamReader) -> Answer:
    header, payload = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    return json.loads(await reader.readexactly(header)), await reader.readexactly(payload)


class Peer:
    """The connection to one host, made when it is needed. Raises OSError when the host cannot be reached."""

    def __init__(self, source: str, address: str) -> None:
        self.source, self.address = source, address
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._numbers = itertools.count(1)
        self._connecting = asyncio.Lock()

    async def call(self, header: Header, payload: bytes = b"") -> Answer:
        """Send a request and wait for its answer, however long that takes."""
        async with self._connecting:
            if self._writer is None or self._writer.is_closing():
                attempt = asyncio.open_connection(self.address, PORT, local_addr=(self.source, 0), limit=1 << 20)
                try:
                    reader, writer = await asyncio.wait_for(attempt, CONNECT)
                except TimeoutError:
                    raise ConnectionError(f"{self.address} does not answer") from None
                self._writer = writer
                self._reading = asyncio.create_task(self._read(reader, writer))
            writer = self._writer
        number = next(self._numbers)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            writer.write(_frame({**header, "#": number}, payload))
            await writer.drain()
            return await future
        finally:
            self._waiting.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                header, payload = await _receive(reader)
                future = self._waiting.get(header.pop("#"))
                if future is not None and not future.done():
                    future.set_result((header, payload))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
        finally:
            writer.close()

    def close(self) -> None:
        """Break the connection: everybody who waits for an answer gets a ConnectionError."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._reading is not None and self._reading is not asyncio.current_task():
            self._reading.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("connection lost"))


class Server:
    """Listens on a host's addresses and answers every request by `handler`."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, addresses: set[str]) -> None:
        for address in sorted(addresses):
            self._servers.append(await asyncio.start_server(self._connected, address, PORT, limit=1 << 20))

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                header, payload = await _receive(reader)
                task = asyncio.create_task(self._answer(writer, header, payload))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, header: Header, payload: bytes) -> None:
        number = header.pop("#")
        answer, data = await self.handler(header, payload)
        with contextlib.suppress(OSError):
            writer.write(_frame({**answer, "#": number}, data))
            await writer.drain()
