# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands on hosts over SSH, for what the API cannot do. The host's key must be known. Private to this collection."""

from __future__ import annotations

import base64
import binascii
import shlex
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import InputError, ShellError
from ._libraries import Library

if TYPE_CHECKING:
    import paramiko
else:
    paramiko = Library("paramiko")

GRACE = 120
"""Seconds for a host to greet, to let us in, and to open a channel."""

UNHEARD, ALIVE = 60, 20
"""Seconds after which a host that acknowledges nothing counts as gone (a power cut says no farewell), and seconds
between two messages that ask for such an acknowledgement."""

OPTIONS: dict[str, Any] = {
    "ssh_user": {"type": "str", "default": "root"},
    "ssh_port": {"type": "int", "default": 22},
    "ssh_password": {"type": "str", "no_log": True},
    "ssh_private_key_file": {"type": "path"},
    "ssh_known_hosts": {"type": "path"},
    "ssh_timeout": {"type": "int", "default": 900},
}
"""Options of every module that needs a shell; a host's own key is given with the host."""


@dataclass(frozen=True)
class Login:
    """How to reach hosts. ``timeout``: seconds that one command may take."""

    user: str = "root"
    port: int = 22
    password: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    known_hosts: Path | None = None
    timeout: float = 900

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Login:
        """Read a module's options; the password of the API is root's unless another is given."""
        password = params.get("ssh_password")
        if password is None and params.get("api_user") == "root@pam" and params["ssh_user"] == "root":
            password = params.get("api_password")
        return cls(
            params["ssh_user"],
            params["ssh_port"],
            password,
            Path(params["ssh_private_key_file"]) if params.get("ssh_private_key_file") else None,
            Path(params["ssh_known_hosts"]) if params.get("ssh_known_hosts") else None,
            float(params["ssh_timeout"]),
        )


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit status, what it printed, what it complained about."""

    status: int
    text: str
    complaint: str


class Shell:
    """A session on one host. Raises :class:`ShellError`. ``host_key`` is as in known_hosts: ``ssh-ed25519 AAAA…``."""

    def __init__(self, address: str, login: Login, host_key: str | None = None) -> None:
        self.address = address
        self.login = login
        self._client = paramiko.SSHClient()
        self._trust(host_key)
        self._connect()

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session."""
        self._client.close()

    def run(self, words: Sequence[str], *, stdin: str = "") -> str:
        """Run one command; returns its standard output. A status other than 0 is an error with its last words."""
        done = self.attempt(words, stdin=stdin)
        if done.status:
            said = " / ".join((done.complaint.strip() or done.text.strip()).splitlines()[-4:])
            raise ShellError(f"'{shlex.join(words)}' on {self.address} ended with status {done.status}: {said}")
        return done.text

    def attempt(self, words: Sequence[str], *, stdin: str = "", timeout: float | None = None) -> Done:
        """Run one command whose status is an answer as well. Raises only if it could not be run to its end.

        ``timeout``: seconds, instead of the login's.
        """
        line, limit = shlex.join(words), timeout or self.login.timeout
        try:
            source, out, err = self._client.exec_command(line, timeout=limit)
            if stdin:
                source.write(stdin)
            source.channel.shutdown_write()
            text, complaint = out.read().decode(errors="replace"), err.read().decode(errors="replace")
            # what it printed can have ended though the command has not; the library would wait for ever
            if not out.channel.status_event.wait(limit):
                raise TimeoutError("it has not ended")
            status = out.channel.recv_exit_status()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ShellError(f"'{line}' on {self.address} broke off: {str(error) or type(error).__name__}") from error
        if status < 0:
            # the session is gone, or a signal ended the command: what it printed may be half of it
            raise ShellError(f"'{line}' on {self.address} broke off: it has no exit status")
        return Done(status, text, complaint)

    def read(self, path: str) -> str | None:
        """The content of a file; None if it is not there."""
        with self._files(path) as files:
            try:
                with files.open(path) as file:
                    return str(file.read().decode("utf-8", "replace"))
            except FileNotFoundError:
                return None

    def list(self, path: str) -> list[str]:
        """The names in a directory, sorted; none if it is not there."""
        with self._files(path) as files:
            try:
                return sorted(files.listdir(path))
            except FileNotFoundError:
                return []

    @property
    def host_key(self) -> str:
        """The key that the host has shown, as ``ssh-ed25519 AAAA…``."""
        transport = self._client.get_transport()
        if transport is None:
            raise ShellError(f"the session with {self.address} has ended")
        key = transport.get_remote_server_key()
        return f"{key.get_name()} {key.get_base64()}"

    def write(self, path: str, text: str) -> None:
        """Write a file whole: under another name first, which is then given the file's, so that nobody sees half."""
        with self._files(path) as files:
            with files.open(f"{path}.new", "w") as file:
                file.write(text)
            files.posix_rename(f"{path}.new", path)

    def append(self, path: str, text: str) -> None:
        """Add to the end of a file, which is made if it is missing."""
        with self._files(path) as files, files.open(path, "a") as file:
            file.write(text)

    def remove(self, path: str) -> bool:
        """Remove a file, or a directory with all that is in it; whether there was one."""
        with self._files(path) as files:
            try:
                mode = files.lstat(path).st_mode or 0
            except FileNotFoundError:
                return False
            _remove(files, path, mode)
            return True

    @contextmanager
    def _files(self, path: str) -> Iterator[paramiko.SFTPClient]:
        try:
            transport = self._client.get_transport()
            if transport is None:
                raise EOFError("the session has ended")
            channel = transport.open_session(timeout=self.login.timeout)
            channel.settimeout(self.login.timeout)
            channel.invoke_subsystem("sftp")
            with paramiko.SFTPClient(channel) as files:
                yield files
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ShellError(f"{path} on {self.address}: {str(error) or type(error).__name__}") from error

    def _trust(self, host_key: str | None) -> None:
        self._client.set_missing_host_key_policy(paramiko.RejectPolicy())
        name = self.address if self.login.port == 22 else f"[{self.address}]:{self.login.port}"
        if host_key:
            self._client.get_host_keys().add(name, host_key.split()[0], parse_key(host_key))
        elif self.login.known_hosts:
            self._client.load_host_keys(str(self.login.known_hosts))
        else:
            self._client.load_system_host_keys()

    def _connect(self) -> None:
        login = self.login
        try:
            wire = socket.create_connection((self.address, login.port), timeout=15)
            # each command is a dialogue of small messages: without this, every one waits 40 ms for an acknowledgement
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # tcp(7); Linux has it, other control nodes may not
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD * 1000)
            self._client.connect(
                self.address,
                login.port,
                login.user,
                sock=wire,
                password=login.password,
                key_filename=str(login.key_file) if login.key_file else None,
                allow_agent=login.password is None,
                look_for_keys=login.password is None and login.key_file is None,
                timeout=15,
                # a busy host takes its time to say who it is and to check a password; sshd itself gives 120 s
                banner_timeout=GRACE,
                auth_timeout=GRACE,
                channel_timeout=GRACE,
            )
            if (transport := self._client.get_transport()) is not None:
                transport.set_keepalive(ALIVE)
        except paramiko.BadHostKeyException as error:
            raise ShellError(
                f"{self.address} shows another SSH host key than the known one; nothing was sent",
                hint="If this is the right machine, correct its key (pve_ssh_host_key, or known_hosts).",
            ) from error
        except paramiko.AuthenticationException as error:
            raise ShellError(
                f"{self.address} refuses {login.user} over SSH",
                hint="Set ssh_password or ssh_private_key_file (pve_ssh_password, pve_ssh_private_key_file).",
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ShellError(
                f"cannot reach {self.address} port {login.port} over SSH: {str(error) or type(error).__name__}",
                hint="Give its host key (pve_ssh_host_key) if it is not known."
                if "not found in known" in str(error)
                else "",
            ) from error


def parse_key(text: str) -> paramiko.PKey:
    """A public key as in a known_hosts file. Raises :class:`InputError`."""
    words = text.split()
    try:
        return paramiko.PKey.from_type_string(words[0], base64.b64decode(words[1], validate=True))
    except (IndexError, binascii.Error, paramiko.SSHException) as error:
        raise InputError(f"'{text[:40]}…' is no SSH host key", hint="It looks like 'ssh-ed25519 AAAA…'.") from error


def _remove(files: paramiko.SFTPClient, path: str, mode: int) -> None:
    if not stat.S_ISDIR(mode):
        files.remove(path)
        return
    for entry in files.listdir_attr(path):
        _remove(files, f"{path}/{entry.filename}", entry.st_mode or 0)
    files.rmdir(path)
