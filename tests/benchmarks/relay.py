# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long clients wait for a server: a relay of TCP between them, a process of its own.

A client waits from the last bytes that it sent until the last ones of the answer. TLS goes through as it is, so that
whoever the client is, and whatever server, both are as they always are.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from .callbacks.durations import waited

Span = tuple[float, float]


def covered(spans: Iterable[Span]) -> list[Span]:
    """The same time as spans that do not overlap, in their order."""
    found: list[Span] = []
    for begun, ended in sorted(spans):
        if found and begun <= found[-1][1]:
            found[-1] = (found[-1][0], max(ended, found[-1][1]))
        else:
            found.append((begun, ended))
    return found


class Relay:
    """Listens on an address for one server; `place`: the Unix socket that tells the seconds waited so far."""

    def __init__(self, address: str, port: int, server: str, place: str) -> None:
        command = [sys.executable, "-m", __name__, address, str(port), server, place]
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
        self.address, self.place = address, place

    def __enter__(self) -> Relay:
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"the relay ended with {self._process.wait()}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()

    def waited(self) -> float:
        """Seconds in which at least one client waited, until now."""
        return waited(self.place)


class _Clock:
    """What is known of the waiting."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, begun: float, ended: float) -> None:
        self._spans.append((begun, ended))

    def seconds(self) -> float:
        self._spans = covered(self._spans)
        return sum(ended - begun for begun, ended in self._spans)


class _End(asyncio.Protocol):
    """One end of a relayed connection; closes with the other."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # as clients and servers do: an answer must not lie about here
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in self.early:
            transport.write(data)

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self.early.append(data)
        else:
            self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _Server(_End):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self.clock = clock
        self.asked = 0.0

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        now = time.monotonic()
        self.clock.add(self.asked, now)
        self.asked = now
        self.other.send(data)


class _Client(_End):
    def __init__(self, clock: _Clock, server: str, port: int) -> None:
        super().__init__()
        self.there = _Server(clock)
        self.other, self.there.other = self.there, self
        self.server, self.port = server, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.there, self.server, self.port)
        except OSError:
            assert self.transport is not None
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.there.asked = time.monotonic()
        self.there.send(data)


async def _run(address: str, port: int, server: str, place: str) -> None:
    clock = _Clock()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Client(clock, server, port), address, port)

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{clock.seconds()}\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(tell, place), listening:
        print("listening", flush=True)
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
