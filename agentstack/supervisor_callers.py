# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks the supervisor for something: connections to its socket, a JSON document a line each way."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
from collections.abc import Callable
from typing import Any

from agentstack import control

Reply = dict[str, Any]


class Callers:
    """The listening socket and its connections. `asked`: gets each request, and what to call with the answer."""

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        asked: Callable[[dict[str, Any], Callable[[Reply], None]], None],
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._asked = asked
        self._connections: set[socket.socket] = set()

    def listen(self) -> None:
        """Take callers from now on."""
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Take no further callers."""
        self._listener.close()

    def sockets(self) -> list[socket.socket]:
        """All sockets: a forked child has to close them."""
        return [self._listener, *self._connections]

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        self._connections.add(connection)
        buffer = bytearray()
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._read(connection, buffer))

    def _read(self, connection: socket.socket, buffer: bytearray) -> None:
        try:
            received = connection.recv(65536)
            buffer += received
            while b"\n" in buffer:
                line, _, rest = bytes(buffer).partition(b"\n")
                buffer[:] = rest
                self._answer_line(line, lambda reply: _send(connection, reply))
        except OSError:
            received = b""
        if not received or len(buffer) > control.MAX_LINE:
            self._selector.unregister(connection)
            self._connections.discard(connection)
            connection.close()

    def _answer_line(self, line: bytes, reply: Callable[[Reply], None]) -> None:
        try:
            request = json.loads(line)
        except ValueError:
            reply({"error": "not JSON"})
            return
        if isinstance(request, dict):
            self._asked(request, reply)
        else:
            reply({"error": "not a mapping"})


def _send(connection: socket.socket, reply: Reply) -> None:
    # whoever asked may have gone
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(reply).encode() + b"\n")
