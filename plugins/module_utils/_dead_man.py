# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A switch on a node that puts things back by itself unless somebody who still reaches the node says not to.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ._client import Client, Connection
from ._errors import ConnectError, LoginError, QuorateError, ShellError, TrustError
from ._hosts import Hosts
from ._shell import Shell
from ._wait import wait_until

GONE = 5
"""The status of systemctl for a unit that is not there (any more)."""
PROBE_TIMEOUT = 4.0
UNREACHED = (ConnectError, LoginError, TrustError, ShellError)


class DeadMan:
    """Switches of one name on nodes. ``seconds``: after which a node acts by itself."""

    def __init__(self, hosts: Hosts, unit: str, seconds: int) -> None:
        self.hosts, self.unit, self.seconds = hosts, unit, seconds

    def arm(self, node: str, lines: Sequence[Sequence[str]]) -> None:
        """Have the node run command lines in a while, one after another; the paths of commands are absolute.

        One that is left from a run that broke off is taken away first: what it would put back is older.
        """
        before = [f"--property=ExecStartPre={' '.join(line)}" for line in lines[:-1]]

        def work(shell: Shell) -> None:
            shell.attempt(["systemctl", "stop", f"{self.unit}.timer"])
            # systemd may be a minute late by itself: that long nobody would reach the node
            accuracy = "--timer-property=AccuracySec=1s"
            options = [f"--unit={self.unit}", f"--on-active={self.seconds}s", accuracy, "--collect", *before]
            shell.run(["systemd-run", *options, *lines[-1]])

        self.hosts.do(node, work)

    def disarm(self, node: str) -> bool:
        """Call it off; False if it has struck already."""
        return (
            self.hosts.do(node, lambda shell: shell.attempt(["systemctl", "stop", f"{self.unit}.timer"])).status != GONE
        )


def reaches(connection: Connection, address: str, path: str = "/version") -> None:
    """Whether a node's own API takes a new connection; what is connected already proves nothing.

    Raises one of ``UNREACHED``.
    """
    client = Client(replace(connection, hosts=(address,), timeout=PROBE_TIMEOUT))
    try:
        client.get(path)
    finally:
        client.close()


def wait_reached(connection: Connection, address: str, what: str, timeout: float) -> QuorateError | None:
    """Wait until a node's API takes new connections; returns what kept it from that for so long."""

    def probe() -> bool:
        reaches(connection, address)
        return True

    try:
        wait_until(probe, timeout=timeout, what=what, passing=UNREACHED)
    except QuorateError as error:
        return error
    return None
