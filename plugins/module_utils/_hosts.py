# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions over SSH on the nodes of a cluster, kept open while a module runs. Private to this collection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ._errors import InputError, QuorateError, ShellError
from ._parallel import side_by_side
from ._shell import OPTIONS, Login, Shell

T = TypeVar("T")

NODES: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "node": {"type": "str", "required": True},
        "address": {"type": "str", "required": True},
        "host_key": {"type": "str", "no_log": False},
    },
}
"""The option of modules that say how nodes are reached over SSH."""


def ssh_options(timeout: int) -> dict[str, Any]:
    """The options of SSH, with the seconds that one command may take by default."""
    return {**OPTIONS, "ssh_timeout": {"type": "int", "default": timeout}}


KEY, KNOWN_HOSTS = "/root/.ssh/id_rsa.pub", "/root/.ssh/known_hosts"
AUTHORIZED = "/root/.ssh/authorized_keys"


def introduce(node: Shell, other: Shell, name: str) -> None:
    """Let root of a node log in at another host, called ``name``, without being asked anything.

    The other accepts the node's root key, and the node knows the other's host key.
    """
    key = node.read(KEY)
    if key is None:
        # makes what a node lacks, root's key among it
        node.run(["pvecm", "updatecerts"])
        key = node.read(KEY) or ""
    if key.strip() and key.strip() not in (other.read(AUTHORIZED) or "").splitlines():
        other.run(["mkdir", "-p", "/root/.ssh"])
        other.append(AUTHORIZED, f"{key.strip()}\n")
    known = f"{name} {other.host_key}"
    if known not in (node.read(KNOWN_HOSTS) or "").splitlines():
        node.append(KNOWN_HOSTS, f"{known}\n")


class Hosts:
    """Sessions by the name of the node, opened when they are needed and anew when one broke.

    ``elsewhere``: further addresses of a node, tried when its first one does not answer: a change of one network must
    not cut off who makes it. An error that a host raises while a session is made or used ends that session.
    """

    def __init__(
        self, entries: Iterable[Mapping[str, Any]], login: Login, elsewhere: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.entries = {str(entry["node"]): entry for entry in entries}
        self.login = login
        self.elsewhere = elsewhere or {}
        self._open: dict[str, Shell] = {}
        self._connecting = {node: threading.Lock() for node in self.entries}

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *exc: object) -> None:
        for shell in self._open.values():
            shell.close()

    @property
    def names(self) -> list[str]:
        """The nodes that can be reached."""
        return list(self.entries)

    def require(self, node: str) -> None:
        """Raise :class:`InputError` if it is not said how to reach a node."""
        if node not in self.entries:
            raise InputError(f"it is not said how to reach {node} over SSH", where="nodes")

    def do(self, node: str, work: Callable[[Shell], T]) -> T:
        """Do something on one node. Raises :class:`ShellError`."""
        with self._connecting[node]:
            shell = self._open.get(node)
            if shell is None:
                shell = self._open[node] = self._connect(node)
        try:
            return work(shell)
        except ShellError:
            # it may have broken with the network that it ran over
            self._open.pop(node, shell).close()
            raise

    def on_all(self, work: Callable[[Shell], T], nodes: Sequence[str] | None = None) -> dict[str, T | QuorateError]:
        """Do something on the nodes (all of them), side by side; the error of a node stands in its place."""
        wanted = self.names if nodes is None else list(nodes)
        return dict(zip(wanted, side_by_side(lambda node: self.do(node, work), wanted), strict=True))

    def _connect(self, node: str) -> Shell:
        entry = self.entries[node]
        addresses = list(dict.fromkeys([str(entry["address"]), *self.elsewhere.get(node, ())]))
        errors: list[ShellError] = []
        for address in addresses:
            try:
                return Shell(address, self.login, entry.get("host_key"))
            except ShellError as error:
                errors.append(error)
        raise errors[0]
