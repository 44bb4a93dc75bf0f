# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The listening socket: TLS for those who speak it, a redirection for those who do not (facts §1.1)."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine

log = logging.getLogger(__name__)

FIRST_BYTE = 10.0
"""Real seconds that a client has for its first byte and for the TLS handshake."""

BACKLOG = 256
LARGEST_HEAD = 8192

_TLS_HANDSHAKE = b"\x16"


class Listener:
    """Accepts connections and gives those with TLS to the protocol of an HTTP server."""

    def __init__(
        self, address: str, port: int, context: ssl.SSLContext, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._address = (address, port)
        self._context = context
        self._protocol = protocol
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind and listen; raises OSError if the address is taken."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setblocking(False)
        try:
            self._socket.bind(self._address)
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"{self._address[0]}:{self._address[1]}: {error.strerror}") from error
        self._socket.listen(BACKLOG)
        self._keep(self._accept(self._socket))

    @property
    def port(self) -> int:
        """The port that is listened on; the one given, unless that was 0."""
        found: int = self._socket.getsockname()[1] if self._socket is not None else self._address[1]
        return found

    async def stop(self) -> None:
        """Stop listening; connections that were handed on live as long as their server lets them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listening)
            self._keep(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        handed_on = False
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(FIRST_BYTE):
                await _readable(connection)
                if connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
                    handed_on = True
                    await loop.connect_accepted_socket(
                        self._protocol, connection, ssl=self._context, ssl_handshake_timeout=FIRST_BYTE
                    )
                else:
                    await self._redirect(connection)
        except (OSError, TimeoutError) as error:
            log.debug("connection ended: %s", error)
        finally:
            if not handed_on:
                connection.close()

    async def _redirect(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        head = b""
        while b"\r\n\r\n" not in head and len(head) < LARGEST_HEAD:
            more = await loop.sock_recv(connection, LARGEST_HEAD)
            if not more:
                return
            head += more
        answer = redirection(head, *self._address)
        await loop.sock_sendall(connection, answer)
        connection.shutdown(socket.SHUT_WR)


def redirection(head: bytes, address: str, port: int) -> bytes:
    """The answer to a request in clear: 301 for GET and HEAD, 308 for all others."""
    lines = head.decode("latin-1").split("\r\n")
    verb, _, rest = lines[0].partition(" ")
    path = rest.partition(" ")[0] or "/"
    fields = (line.partition(":") for line in lines[1:])
    host = next((value.strip() for name, _, value in fields if name.lower() == "host"), f"{address}:{port}")
    status = "301 Moved Permanently" if verb in ("GET", "HEAD") else "308 Permanent Redirect"
    return (
        f"HTTP/1.1 {status}\r\nLocation: https://{host}{path}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    ).encode("latin-1")


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection, wake)
    try:
        await ready
    finally:
        loop.remove_reader(connection)
