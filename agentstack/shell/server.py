# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSH server of a host: single commands, SFTP and SCP, for root by password or key."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

import asyncssh

from agentstack import pam
from agentstack.install import HOST_KEY
from agentstack.shell.registry import CommandIO, command, load_commands
from agentstack.shell.rootfs import RootFs
from agentstack.shell.sftp import RootSftp
from agentstack.stack import SSH_PORT

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
LOGIN_GRACE = 120
"""Real seconds for a client to log in (sshd_config(5), LoginGraceTime): what takes it longer is this machine's load."""

_GONE = (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged, BrokenPipeError, ConnectionError)
"""Whoever asked is not there any more, or does not want to wait."""

PAM_DELAY = 2.0
"""Seconds after a wrong password (pam_unix)."""


class ShellServer:
    """Listens on port 2222 of the management address."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.fs = RootFs(host)
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        load_commands()

    async def start(self) -> None:
        """Listen; OSError if the port is taken."""
        self._acceptor = await asyncssh.listen(
            self.host.address,
            SSH_PORT,
            server_factory=lambda: Session(self),
            server_host_keys=[str(self.host.root / HOST_KEY)],
            process_factory=self._serve,
            sftp_factory=lambda channel: RootSftp(channel, self.fs),
            allow_scp=True,
            gss_host=None,
            encoding=None,
            reuse_address=True,
            login_timeout=LOGIN_GRACE,
        )

    async def stop(self) -> None:
        """Stop listening and end what runs."""
        if self._acceptor is not None:
            self._acceptor.close()
            for connection in list(self.connections):
                connection.abort()
            await self._acceptor.wait_closed()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            if process.command is not None:
                process.exit(await self._run(process, process.command))
                return
            status = 0
            # no command: one a line, as a shell reads them
            async for line in process.stdin:
                words = line.decode(errors="replace").strip()
                if words == "exit":
                    break
                # as in a shell it changes nothing of the status; the end of the input may come as one, too
                if not words:
                    continue
                status = await self._run(process, words)
            process.exit(status)
        except _GONE:
            process.exit(130)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes], line: str) -> int:
        io = Streams(process)
        try:
            status = await command.run(self.host, line, io)
            await process.stdout.drain()
        finally:
            failure = sys.exception()
            if failure is not None and not isinstance(failure, (*_GONE, asyncio.CancelledError)):
                # the connection ends with it, which says nothing to whoever looks for the reason
                log.error("ssh: %s failed", line.partition(" ")[0], exc_info=failure)
        return status


class Streams(CommandIO):
    """A command's streams on an SSH channel: what it writes is sent at once."""

    def __init__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        super().__init__()
        self.process = process

    def out(self, text: str | bytes) -> None:
        self.process.stdout.write(text.encode() if isinstance(text, str) else text)

    def err(self, text: str | bytes) -> None:
        self.process.stderr.write(text.encode() if isinstance(text, str) else text)

    async def read(self) -> bytes:
        return bytes(await self.process.stdin.read())


class Session(asyncssh.SSHServer):
    """One connection: who may come in."""

    def __init__(self, server: ShellServer) -> None:
        self.server = server
        self.host = server.host
        self.connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.server.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.connection is not None:
            self.server.connections.discard(self.connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "root" and key.public_data in self._authorized_keys()

    def password_auth_supported(self) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        # off in Debian's sshd_config
        return False

    async def validate_password(self, username: str, password: str) -> bool:
        known = username == "root" and await asyncio.to_thread(pam.check_password, self.host.root, username, password)
        if not known:
            log.warning("ssh: failed password for %s", username)
            await self.host.clock.sleep(PAM_DELAY)
        return known

    def _authorized_keys(self) -> set[bytes]:
        try:
            text = self.server.fs.read(AUTHORIZED_KEYS).decode(errors="replace")
        except OSError:
            return set()
        keys = set()
        for line in text.splitlines():
            # sshd, too, skips what it cannot read
            try:
                keys.add(asyncssh.import_public_key(line).public_data)
            except asyncssh.KeyImportError:
                continue
        return keys
