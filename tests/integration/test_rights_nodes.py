# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least rights of modules that need something beside their nodes: an authority, a witness, backups, Ceph's map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..backups import root
from ..stacks import RunningStack, StackFactory
from .rights_trials import TABLE, Node, attempt, filled, over_ssh, try_out
from .shell import Shell

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

NODES = ("pve1", "pve2")
TESTED = [name for name, row in TABLE.items() if row.get("tried") == "nodes"]


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts: dict[str, Any] = {name: {"memory": "8G"} for name in NODES} | {"witness": {"kind": "witness"}}
    guest = {"type": "vm", "node": "pve1", "memory": "64M"}
    guests = {102: {**guest, "name": "g102", "ha": "ignored"}, 103: {**guest, "name": "g103", "running": True}}
    # more than a node has to give
    guests[103]["memory"] = "7900M"
    start = {"clustered": {"name": "rights", "nodes": [*NODES], "guests": guests}}
    return stack_factory(hosts, scale=50, boot_time=0.5, start=start, authority={"http_port": 8088})


@pytest.fixture(scope="module")
def trial(stack: RunningStack) -> Node:
    """A storage with a backup of a guest with a card and an agent, an account with the authority, Ceph's monitor."""
    found = root(stack, "pve1", "PVE")
    found.data("POST", "/storage", storage="data", type="dir", path="/srv/data", content="images,backup")
    network = {"net0": "virtio,bridge=vmbr0", "agent": 1, "ostype": "l26"}
    found.run("POST", "/nodes/pve1/qemu", vmid=106, memory=64, scsi0="data:1", **network)
    found.run("POST", "/nodes/pve1/vzdump", vmid="106", storage="data")
    assert Shell(stack, "pve1").run("pveceph install --repository no-subscription --version squid").status == 0
    found.data("POST", "/nodes/pve1/ceph/init", network=stack.resolved["networks"]["mgmt"]["cidr"])
    found.run("POST", "/nodes/pve1/ceph/mon/pve1")
    made = Node.make(stack, found, ("pve1",))
    account = {"name": "company", "contact": ["a@example.org"], "terms_agreed": True}
    account["directory"] = stack.resolved["authority"]["directory"]
    for module, given in (
        ("acme_accounts", {"accounts": [account]}),
        ("acme_domains", {"domains": [{"node": "pve2", "account": "company", "domains": ["pve2.test.test"]}]}),
    ):
        done = attempt(module, made.as_root, given)
        assert not done.get("failed"), done["msg"]
    return made


@pytest.fixture
def again(request: pytest.FixtureRequest, stack: RunningStack, tmp_path: Path) -> Callable[[], None]:
    """What has to be there anew for each round."""
    shell = Shell(stack, "pve1")

    def prepare() -> None:
        (tmp_path / "results").unlink(missing_ok=True)
        if "[ceph_lost_node]" in request.node.name:
            assert shell.run("ceph osd crush add-bucket pve9 host").status == 0

    return prepare


@pytest.mark.parametrize("name", TESTED)
def test_it_is_enough_and_nothing_is_too_much(
    name: str, stack: RunningStack, trial: Node, again: Callable[[], None], tmp_path: Path
) -> None:
    hosts, secrets = stack.resolved["hosts"], stack.secrets["hosts"]
    looked_at = [
        {
            "name": host,
            "address": hosts[host]["address"],
            "fingerprint": secrets[host]["fingerprint"],
            "host_key": secrets[host]["ssh_host_key"],
            "links": [{"number": 0, "address": hosts[host]["address"]}],
        }
        for host in NODES
    ]
    places = {
        "RESULTS": str(tmp_path / "results"),
        "WITNESS": hosts["witness"]["address"],
        "HOST_KEY": secrets["witness"]["ssh_host_key"],
        "LOOKED_AT": looked_at,
        "PASSWORD": stack.secrets["root_password"],
    }
    row = TABLE[name]
    shell = over_ssh(stack, *NODES) if row.get("ssh") else {}
    try_out(name, trial, [{**shell, **filled(step, places)} for step in row["steps"]], again)
