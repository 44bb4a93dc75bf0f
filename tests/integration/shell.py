# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell of a host, as root with password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import paramiko

from ..stacks import RunningStack


@dataclass
class Answer:
    """What a command printed, and its exit status."""

    out: str
    err: str
    status: int


class Shell:
    """Runs single commands; one connection for all of them."""

    def __init__(self, stack: RunningStack, host: str) -> None:
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        self._client.connect(
            stack.resolved["hosts"][host]["address"],
            2222,
            "root",
            stack.secrets["root_password"],
            timeout=60,
            banner_timeout=60,
            auth_timeout=60,
            allow_agent=False,
            look_for_keys=False,
        )

    def append(self, files: Mapping[str, str]) -> None:
        """Add to the ends of files, by their paths; one that is missing is made."""
        with self._client.open_sftp() as remote:
            for path, text in files.items():
                with remote.open(path, "a") as file:
                    file.write(text)

    def run(self, line: str) -> Answer:
        """Run a command to its end."""
        _, out, err = self._client.exec_command(line, timeout=60)
        status = out.channel.recv_exit_status()
        return Answer(out.read().decode(), err.read().decode(), status)
