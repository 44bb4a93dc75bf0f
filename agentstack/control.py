# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's control socket `STATE/control.sock`: one JSON request a line, one JSON answer a line.

    {"do": "status"}                                 {"hosts": [...], …}
    {"do": "power", "host": "pve1", "action": "on"}  {}
    {"do": "stop"}                                   {}
A refused request is answered {"error": "text"}.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentstack.reader import StackError

SOCKET = "control.sock"
MAX_LINE = 1 << 20
"""Bytes of the longest request or answer."""


class NotRunning(StackError):
    """Nobody answers on the control socket."""


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """A name for the unix socket `path` that is never too long for the kernel (108 bytes)."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen(state: Path) -> socket.socket:
    """The listening end, in the supervisor; what a crashed predecessor left is replaced."""
    path = state / SOCKET
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with unix_address(path) as address:
        server.bind(address)
    path.chmod(0o600)
    server.listen(16)
    server.setblocking(False)
    return server


def request(state: Path, message: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
    """Send one request to the supervisor of `state`; NotRunning if there is none, StackError if it refuses."""
    try:
        with unix_address(state / SOCKET) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(address)
            client.sendall(json.dumps(message).encode() + b"\n")
            with client.makefile("rb") as stream:
                line = stream.readline()
    except TimeoutError as error:
        raise StackError(f"the supervisor of {state} does not answer (see {state}/supervisor.log)") from error
    except OSError as error:
        raise NotRunning(f"no stack is up in {state}") from error
    if not line:
        raise NotRunning(f"the supervisor of {state} is ending")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise StackError(answer["error"])
    return answer
