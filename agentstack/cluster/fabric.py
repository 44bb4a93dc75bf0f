# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fabric's process: the switch of a stack on `STATE/fabric.sock`, cabled as the stack's hosts are."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.clock import Clock
from agentstack.cluster import wire
from agentstack.cluster.switch import Switch
from agentstack.cluster.topology import Cabling, Plug
from agentstack.control import NotRunning, unix_address
from agentstack.reader import StackError

if TYPE_CHECKING:
    from agentstack.stack import Stack

SOCKET = "fabric.sock"


async def serve(state: Path, cabling: Cabling, clock: Clock) -> None:
    """Run a switch on `STATE/fabric.sock` until cancelled."""
    switch = Switch(cabling, clock)
    path = state / SOCKET
    path.unlink(missing_ok=True)
    with unix_address(path) as address:
        server = await asyncio.start_unix_server(switch.serve, address)
    path.chmod(0o600)
    interval = min(0.5, max(0.05, clock.real(0.75)))
    async with server:
        while True:
            await asyncio.sleep(interval)
            switch.watch_processes()


def cabling_of(stack: Stack) -> Cabling:
    """Which address of which host hangs on which network."""
    return Cabling(
        {
            address: Plug(host.name, network)
            for host in stack.hosts.values()
            for network, address in host.addresses.items()
        }
    )


def run(stack: Stack, state: Path) -> int:
    """The fabric's process: blocks; its lease on the supervisor and the state directory is the supervisor's doing."""
    asyncio.run(serve(state, cabling_of(stack), Clock(scale=stack.scale)))
    return 0


def control(state: Path, command: str, timeout: float = 10.0, **arguments: Any) -> dict[str, Any]:
    """Ask the fabric of a running stack: `cut` and `restore` (host=, network=), `separate` (sets=, network=), `state`.

    Gives what is cut and which memberships exist: {down: [[host, network]], walls: [[network, host, host]], rings:
    [[ring id, [hosts]]]}. StackError if it refuses, NotRunning if there is no fabric.
    """
    request = wire.encode({"t": "control", "command": command, **arguments})
    try:
        with unix_address(state / SOCKET) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(address)
            client.sendall(request)
            with client.makefile("rb") as stream:
                answer, _ = wire.read(stream)
    except OSError as error:
        raise NotRunning(f"no stack is up in {state}") from error
    if answer["t"] == "error":
        raise StackError(answer["message"])
    state_of_things: dict[str, Any] = answer["state"]
    return state_of_things
