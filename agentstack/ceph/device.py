# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's block device on an image: what the guest reads and writes comes through a pair of sockets.

Requests are `operation, offset, length` (and the data of a write), answered in turn: the data of a read, one byte for
a write that every copy has. An image that is gone ends the connection: an I/O error for the guest.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from agentstack.ceph.images import Image, Images
from agentstack.errors import AgentError
from agentstack.guests.process import REQUEST

READ, DONE = b"R", b"."


async def serve(images: Images, image: Image, wire: socket.socket) -> None:
    """Serve a guest until it closes its end."""
    reader, writer = await asyncio.open_connection(sock=wire)
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, AgentError):
        while True:
            operation, offset, length = REQUEST.unpack(await reader.readexactly(REQUEST.size))
            if operation == READ:
                data = await images.read(image, offset, length)
                writer.write(data.ljust(length, b"\0"))
            else:
                await images.write(image, offset, await reader.readexactly(length))
                writer.write(DONE)
            await writer.drain()
    writer.close()
