# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands on hosts over SSH, for what the API cannot do. The host's key must be known. Private to this collection."""

from __future__ import annotations

import base64
import binascii
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import InputError, ShellError
from ._libraries import Library

if TYPE_CHECKING:
    import paramiko
else:
    paramiko = Library("paramiko")

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
        self._client.close()

    def run(self, words: Sequence[str], *, stdin: str = "") -> str:
        """Run one command; returns its standard output. A status other than 0 is an error with its last words."""
        line = shlex.join(words)
        try:
            source, out, err = self._client.exec_command(line, timeout=self.login.timeout)
            if stdin:
                source.write(stdin)
            source.channel.shutdown_write()
            text, complaint = out.read().decode(errors="replace"), err.read().decode(errors="replace")
            status = out.channel.recv_exit_status()
        except (OSError, paramiko.SSHException) as error:
            raise ShellError(f"'{line}' on {self.address} broke off: {error or type(error).__name__}") from error
        if status:
            said = " / ".join((complaint.strip() or text.strip()).splitlines()[-4:])
            raise ShellError(f"'{line}' on {self.address} ended with status {status}: {said}")
        return text

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
            self._client.connect(
                self.address,
                login.port,
                login.user,
                password=login.password,
                key_filename=str(login.key_file) if login.key_file else None,
                allow_agent=login.password is None,
                look_for_keys=login.password is None and login.key_file is None,
                timeout=15,
            )
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
        except (OSError, paramiko.SSHException) as error:
            raise ShellError(
                f"cannot reach {self.address} port {login.port} over SSH: {error or type(error).__name__}",
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
