# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH from a node to another host, as root: by root's own key, or where that is not accepted by a password."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncssh

from agentstack.cluster import ssh_keys
from agentstack.errors import AgentError
from agentstack.stack import SSH_PORT

if TYPE_CHECKING:
    from agentstack.host import Host

AskPassword = Callable[[], Awaitable[str]]


class NotLetIn(AgentError):
    """Neither the key nor the password was accepted."""

    def __init__(self, member: str) -> None:
        super().__init__(f"unable to copy ssh ID: root@{member}: Permission denied")


class Failed(AgentError):
    """A command on the other host ended with an error; `message` is what it said."""


class Remote:
    """A connection to another host."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.connection = connection

    async def run(self, *words: str) -> str:
        """Run a command; gives its output and what it said besides, raises Failed."""
        result = await self.connection.run(shlex.join(words), check=False)
        if result.exit_status != 0:
            raise Failed(_text(result.stderr).strip())
        return _text(result.stdout) + _text(result.stderr)

    async def read(self, path: str) -> bytes:
        """The content of a file."""
        async with self.connection.start_sftp_client() as sftp, sftp.open(path, "rb") as stream:
            content = await stream.read()
            return content if isinstance(content, bytes) else content.encode()

    async def write(self, path: str, content: bytes) -> None:
        """Replace the content of a file."""
        async with self.connection.start_sftp_client() as sftp, sftp.open(path, "wb") as stream:
            await stream.write(content)


@asynccontextmanager
async def connect(host: Host, member: str, ask_password: AskPassword | None = None) -> AsyncIterator[Remote]:
    """A connection to `member`, a name or address. NotLetIn; AgentError if it cannot be reached."""
    try:
        connection = await _connect(host, member, ask_password)
    except asyncssh.PermissionDenied:
        raise NotLetIn(member) from None
    except (OSError, asyncssh.Error) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise AgentError(f"ssh: connect to host {member} port {SSH_PORT}: {why}") from error
    async with connection:
        yield Remote(connection)


async def _connect(host: Host, member: str, ask_password: AskPassword | None) -> asyncssh.SSHClientConnection:
    key = await ssh_keys.ensure_root_key(host)
    address = host.cluster.resolve(member)
    await host.network.look_for(address)
    common: dict[str, Any] = {
        "username": "root",
        "known_hosts": None,
        "config": None,
        "agent_path": None,
        "local_addr": (host.network.source(address), 0),
    }
    try:
        return await asyncssh.connect(address, SSH_PORT, client_keys=[str(key)], **common)
    except asyncssh.PermissionDenied:
        if ask_password is None:
            raise
        password = await ask_password()
        return await asyncssh.connect(address, SSH_PORT, client_keys=None, password=password, **common)


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
