# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fabric's process: the switch of a stack on `STATE/fabric.sock`, cabled as the stack's hosts are."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.clock import Clock
from agentstack.cluster import wire
from agentstack.cluster.cabling import Cabling, cabling_of
from agentstack.cluster.switch import Switch
from agentstack.control import NotRunning, unix_address
from agentstack.faults import desk

if TYPE_CHECKING:
    from agentstack.stack import Stack

SOCKET = "fabric.sock"


async def serve(state: Path, cabling: Cabling, clock: Clock, faults: socket.socket) -> None:
    """Run a switch on `STATE/fabric.sock` until cancelled."""
    switch = Switch(cabling, clock)
    faults.setblocking(False)
    asyncio.get_running_loop().add_reader(faults, _rewire, switch, state, faults)
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


def _rewire(switch: Switch, state: Path, wire: socket.socket) -> None:
    """The list of faults is another one: be as it says, and tell."""
    if wire.recv(4096):
        version, faults = desk.read(state)
        switch.cabling.break_by(faults)
        switch.rewired()
        wire.send(json.dumps({"faults": version}).encode())


def run(stack: Stack, state: Path, faults: socket.socket) -> int:
    """The fabric's process: blocks; its lease on the supervisor and the state directory is the supervisor's doing.

    `faults`: the wire on which the supervisor says that the list of faults is another one.
    """
    asyncio.run(serve(state, cabling_of(stack), Clock(scale=stack.scale), faults))
    return 0


def state_of(state: Path, timeout: float = 10.0) -> dict[str, Any]:
    """What is cut in a running stack, and which memberships exist: {down: [[host, network]], walls: [[network, host,
    host]], rings: [[ring id, [hosts]]]}. NotRunning if there is no fabric."""
    try:
        with unix_address(state / SOCKET) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(address)
            client.sendall(wire.encode({"t": "state"}))
            with client.makefile("rb") as stream:
                answer, _ = wire.read(stream)
    except OSError as error:
        raise NotRunning(f"no stack is up in {state}") from error
    found: dict[str, Any] = answer["state"]
    return found
