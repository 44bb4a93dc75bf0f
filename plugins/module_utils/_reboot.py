# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Booting a node anew, and waiting until the cluster has it back. Private to this collection."""

from __future__ import annotations

from ._api import Api
from ._errors import ShellError, StateError
from ._hosts import Hosts
from ._membership import read_membership, read_votes
from ._shell import Shell
from ._wait import PASSING, wait_until

BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""proc_sys_kernel(5): another text with every boot."""

LOOK = 20.0
"""Seconds for that text: a session that a host leaves behind as it goes down may never end by itself."""


def reboot(api: Api, hosts: Hosts, node: str, timeout: float) -> None:
    """Boot a node anew through its API; returns when it is an online member of a quorate cluster again.

    Raises StateError if somebody is away and the others would not be quorate meanwhile, WaitError after ``timeout``
    seconds. That it was away is seen by its boot id: it may be quicker than we look.
    """
    before = hosts.do(node, read_boot_id)
    if not before:
        raise StateError(f"{node} does not tell its boot id ({BOOT_ID})", where="node")
    _check_quorum(api, node)
    api.client.post(f"/nodes/{node}/status", {"command": "reboot"})
    seen = "it has not gone down yet"

    def back() -> bool | None:
        nonlocal seen
        now = hosts.do(node, read_boot_id)
        if now in ("", before):
            seen = seen if now else "it does not answer over SSH"
            return None
        membership = read_membership(api.client)
        seen = "it is up, and not back in the cluster"
        alone = membership.cluster is None
        return True if alone or (membership.quorate and membership.online(node)) else None

    wait_until(
        back,
        timeout=timeout,
        what=f"the boot of {node}",
        clock=api.client.clock,
        passing=(*PASSING, ShellError),
        describe=lambda: seen,
        hint="Look at its console.",
    )


def _check_quorum(api: Api, node: str) -> None:
    """Much can have happened since somebody looked: without quorum HA resets the nodes that are left (facts §6).

    That a cluster is too small to do without any of its nodes is for its owner to know.
    """
    membership = read_membership(api.client)
    if all(member.online for member in membership.members.values()):
        return
    votes = read_votes(api.client, membership, api.client.get("/cluster/config/nodes"))
    if not votes.enough_without(node):
        left = votes.present - votes.of.get(node, 1)
        raise StateError(
            f"without {node} the others have {left} votes of the {votes.quorum} needed",
            where="node",
            hint="Bring back who is missing, and run again.",
        )


def read_boot_id(shell: Shell) -> str:
    """The id of a host's present boot; ``""`` if it does not tell. Raises :class:`ShellError`."""
    return shell.attempt(["cat", BOOT_ID], timeout=LOOK).text.strip()
