# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ways to start a join on the joining node: its API with the member's password, or SSH and root's key.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from ._client import Client
from ._errors import InputError, ShellError
from ._hosts import introduce
from ._membership import Member, Membership, read_membership
from ._pure.corosync_conf import CorosyncConfError, parse
from ._shell import Login, Shell
from ._tasks import running_tasks

GUESTS = ("/etc/pve/qemu-server", "/etc/pve/lxc")

API, SSH, AUTO = "api", "ssh", "auto"


class Joiner(Protocol):
    """The joining node, before and while it joins."""

    def membership(self) -> Membership:
        """What it says of itself."""

    def guests(self) -> list[int]:
        """Numbers of its guests."""

    def join(self, payload: Mapping[str, Any]) -> str | None:
        """Start to join: the task's id, or None if the join has run to its end already."""

    def close(self) -> None:
        """Nothing more is asked of it."""


class ByApi:
    """POST /cluster/config/join on the joining node (facts §6.1), with root's password on the member."""

    def __init__(self, client: Client, node: str, password: str | None) -> None:
        self.client = client
        self.node = node
        self.password = password

    def membership(self) -> Membership:
        return read_membership(self.client)

    def guests(self) -> list[int]:
        return sorted(int(guest["vmid"]) for guest in self.client.get("/cluster/resources", type="vm"))

    def join(self, payload: Mapping[str, Any]) -> str | None:
        """Take up a join that an earlier run began and that the member does not list yet, or start one."""
        begun = running_tasks(self.client, self.node, "clusterjoin")
        upid = (
            begun[0] if begun else str(self.client.post("/cluster/config/join", {**payload, "password": self.password}))
        )
        # from here on its logins die; asking for new ones would only be refused
        self.client.may_log_in_again = False
        return upid

    def require(self) -> None:
        """Raises :class:`InputError` without the password."""
        if not self.password:
            raise InputError(
                "the joining node needs the password of root@pam on the member; an API token does not do",
                where="peer_password",
            )

    def close(self) -> None:
        self.client.close()


class BySsh:
    """``pvecm add --use_ssh`` on the joining node, whose root key is made known to the member before (facts §6.3)."""

    def __init__(self, shell: Shell, peer: Shell, password: str | None) -> None:
        self.shell = shell
        self.peer = peer
        self.password = password

    def membership(self) -> Membership:
        """Of its name, and of the cluster in its corosync.conf if there is one."""
        name = self.shell.run(["hostname"]).strip()
        text = self.shell.read("/etc/pve/corosync.conf")
        try:
            cluster = parse(text).totem.cluster_name if text else None
        except CorosyncConfError:
            cluster = "(unreadable)"
        return Membership(cluster, True, 0, {name: Member(name, 0, None, True, True)})

    def guests(self) -> list[int]:
        names = [name for directory in GUESTS for name in self.shell.list(directory)]
        return sorted(int(name.removesuffix(".conf")) for name in names if name.removesuffix(".conf").isdecimal())

    def join(self, payload: Mapping[str, Any]) -> str | None:
        introduce(self.shell, self.peer, str(payload["hostname"]))
        words = ["pvecm", "add", str(payload["hostname"]), "--use_ssh"]
        for name, value in payload.items():
            if name not in ("hostname", "fingerprint") and value is not None:
                words += [f"--{name}", str(value)]
        # the password is asked for only if the key is not accepted
        self.shell.run(words, stdin=f"{self.password}\n" if self.password else "")
        return None

    def require(self) -> None:
        """A key does."""

    def close(self) -> None:
        self.shell.close()
        self.peer.close()


def joiner(params: Mapping[str, Any], member: Client, peer: str) -> ByApi | BySsh:
    """The way that ``method`` says; ``auto`` takes SSH if a key is given and both sides accept it."""
    password = params["peer_password"] or member.connection.password
    method = params["method"]
    if method == SSH or (method == AUTO and params["ssh_private_key_file"]):
        login = Login.from_params(params)
        try:
            return _by_ssh(params, replace(login, password=None) if method == AUTO else login, peer, password)
        except (ShellError, InputError):
            if method == SSH:
                raise
    connection = member.connection.to(
        params["address"], fingerprint=params["fingerprint"], user=params["user"], password=params["password"]
    )
    return ByApi(Client(connection, clock=member.clock), params["node"], password)


def _by_ssh(params: Mapping[str, Any], login: Login, peer: str, password: str | None) -> BySsh:
    entry = next((each for each in params["members"] if each["node"] == peer), None)
    if entry is None:
        raise InputError(f"{peer} must be reached over SSH for this", where="members", hint="List it there.")
    shell = Shell(params["address"], login, params["host_key"])
    try:
        return BySsh(shell, Shell(entry["address"], login, entry.get("host_key")), password)
    except ShellError:
        shell.close()
        raise
