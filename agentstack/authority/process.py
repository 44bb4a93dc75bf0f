# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority's process."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from agentstack.authority import ca
from agentstack.authority.register import Register
from agentstack.authority.service import Service
from agentstack.clock import Clock
from agentstack.faults import desk
from agentstack.stack import ACME_PORT

if TYPE_CHECKING:
    from agentstack.stack import Authority, Stack

DIRECTORY = "authority"
"""Below the state directory."""


def _of(stack: Stack) -> Authority:
    assert stack.authority is not None
    return stack.authority


def prepare(stack: Stack, state: Path) -> socket.socket:
    """Make its keys and certificates if this is its first start, and listen. OSError if its port is taken."""
    authority = _of(stack)
    fqdn = f"{authority.name}.{stack.name}.test".lower()
    ca.prepare(state / DIRECTORY, fqdn, authority.address, f"{stack.name} ACME")
    listener = socket.create_server((authority.address, ACME_PORT), backlog=128)
    listener.setblocking(False)
    return listener


async def serve(stack: Stack, state: Path, listener: socket.socket) -> None:
    """Answer until cancelled."""
    directory = state / DIRECTORY

    def faults() -> dict[str, bool]:
        """What is wrong with it at present."""
        return {name: True for fault in desk.read(state)[1] if fault.kind == "authority" for name in fault.settings}

    def now() -> float:
        """What time it is in the stack."""
        return Clock(offset=desk.advanced(state)).now()

    service = Service(stack, _of(stack), Register(directory / "register.json"), directory, faults, now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(directory / f"{ca.SERVER}.pem", directory / f"{ca.SERVER}.key")
    runner = web.AppRunner(service.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, ssl_context=context).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def run(stack: Stack, state: Path, listener: socket.socket) -> int:
    """Blocks; its lease on the supervisor and the state directory is the supervisor's doing."""
    asyncio.run(serve(stack, state, listener))
    return 0
