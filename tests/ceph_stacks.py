# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph on stacks of tests, made through the API and the shell as an administrator would."""

from __future__ import annotations

from collections.abc import Sequence

from agentstack.guests.process import read_ledger

from .api_client import Refused, Root
from .integration.shell import Shell
from .stacks import RunningStack


def build_ceph(
    stack: RunningStack, root: Root, nodes: Sequence[str], *, disks: Sequence[str], monitors: Sequence[str] = ()
) -> None:
    """Install Ceph on nodes (and on other monitors' hosts), make monitors, one more manager, and OSDs on the disks."""
    monitors = monitors or nodes
    for node in dict.fromkeys([*nodes, *monitors]):
        assert Shell(stack, node).run("pveceph install --repository no-subscription --version squid").status == 0
    networks = stack.resolved["networks"]
    cluster = networks.get("ceph", networks["mgmt"])["cidr"]
    root("POST", f"/nodes/{nodes[0]}/ceph/init", network=networks["mgmt"]["cidr"], cluster__network=cluster)
    for node in monitors:
        root.run("POST", f"/nodes/{node}/ceph/mon/{node}")
    root.run("POST", f"/nodes/{nodes[1]}/ceph/mgr/{nodes[1]}")
    upids = [root("POST", f"/nodes/{node}/ceph/osd", dev=f"/dev/{disk}") for node in nodes for disk in disks]
    assert {root.end_of(upid) for upid in upids} == {"OK"}


def health(root: Root) -> tuple[str, set[str]]:
    """Overall health and the codes of the checks that are raised."""
    status = root("GET", "/cluster/ceph/status")
    return status["health"]["status"], set(status["health"]["checks"])


def health_if_told(root: Root) -> tuple[str, set[str]]:
    """For waits only: empty while the monitors elect, and nobody answers."""
    try:
        return health(root)
    except Refused as error:
        if "got timeout" not in str(error):
            raise
        return "", set()


def group_states(root: Root) -> set[str]:
    """The states that placement groups are in."""
    return {row["state_name"] for row in root("GET", "/cluster/ceph/status")["pgmap"]["pgs_by_state"]}


def clean(root: Root) -> bool:
    """Whether every placement group lies where CRUSH wants it; health alone is fine with copies still being moved."""
    return health(root) == ("HEALTH_OK", set()) and group_states(root) == {"active+clean"}


def acknowledged(stack: RunningStack, vmid: int = 100) -> int:
    """How many records a guest has said to the world outside to be written."""
    ledger = stack.dir / "ledger" / str(vmid)
    return sum(1 for _ in read_ledger(str(ledger))) if ledger.exists() else 0
