# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session over SSH that ends in the middle: one message, whatever the library raises."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import paramiko
import pytest
from ansible_collections.quorate.pve.plugins.module_utils._shell import Login, Shell, ShellError


class Leaving(paramiko.ServerInterface):
    """Lets everybody in and goes away when a channel is to be opened, as a node does that reboots."""

    def __init__(self, transport: paramiko.Transport) -> None:
        self.transport = transport

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self.transport.close()
        return paramiko.OPEN_FAILED_CONNECT_FAILED


class LeavingLater(Leaving):
    """Goes away when the command has said half of what it has to say."""

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._half, args=(channel,)).start()
        return True

    def _half(self, channel: paramiko.Channel) -> None:
        # the end of its input comes when the client knows that the command runs
        assert channel.recv(1) == b""
        channel.sendall(b"half an ans")
        channel.close()


class Silent(LeavingLater):
    """Takes commands and requests for files, and never says anything."""

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return True

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        return True


class Endless(Silent):
    """Closes a command's output, and never says how it ended."""

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._close_output, args=(channel,)).start()
        return True

    def _close_output(self, channel: paramiko.Channel) -> None:
        assert channel.recv(1) == b""
        channel.shutdown_write()


@contextmanager
def host(interface: type[Leaving]) -> Iterator[Shell]:
    """A session on such a host, with a second of patience."""
    key = paramiko.ECDSAKey.generate()
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as ended:

        def serve() -> None:
            connection, _ = server.accept()
            transport = paramiko.Transport(connection)
            ended.callback(transport.close)
            transport.add_server_key(key)
            transport.start_server(server=interface(transport))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        login = Login(port=server.getsockname()[1], password="secret", timeout=1)
        with Shell("127.0.0.1", login, f"{key.get_name()} {key.get_base64()}") as shell:
            yield shell
        thread.join(timeout=10)


def test_a_host_that_goes_away_ends_in_a_message() -> None:
    with host(Leaving) as shell, pytest.raises(ShellError, match=r"'uptime' on 127\.0\.0\.1 broke off: EOFError"):
        shell.attempt(["uptime"])


def test_half_an_answer_is_none() -> None:
    with host(LeavingLater) as shell, pytest.raises(ShellError, match=r"'uptime' on .* broke off: it has no exit"):
        shell.attempt(["uptime"])


def test_silence_is_not_waited_out() -> None:
    with host(Silent) as shell:
        with pytest.raises(ShellError, match=r"'uptime' on .* broke off: "):
            shell.attempt(["uptime"], timeout=0.1)
        with pytest.raises(ShellError, match="/etc/hosts on "):
            shell.read("/etc/hosts")


def test_a_command_that_does_not_end_is_not_waited_out() -> None:
    with host(Endless) as shell, pytest.raises(ShellError, match=r"'uptime' on .* broke off: it has not ended"):
        shell.attempt(["uptime"], timeout=0.1)


def test_small_messages_do_not_wait_for_one_another() -> None:
    with host(Silent) as shell:
        transport = shell._client.get_transport()
        assert transport is not None
        assert transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
