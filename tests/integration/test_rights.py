# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least rights of every module in docs/rights.yml: enough they are, and without each of them nothing goes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agentstack import x509

from ..api_client import Root
from ..backups import Api, fingerprint, root
from ..stacks import RunningStack, StackFactory
from .rights_trials import TABLE, Node, Server, Step, filled, over_ssh, try_out
from .shell import Shell

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

TESTED = [name for name, row in TABLE.items() if "steps" in row and "tried" not in row]
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    disks = [{"size": "32G"}, {"size": "64G", "count": 2}]
    hosts: dict[str, Any] = {f"pve{number}": {"kind": "pve", "disks": disks} for number in (1, 2)}
    hosts["pbs1"] = {"kind": "pbs", "version": "4.0", "disks": disks[:1]}
    guests: dict[int, dict[str, Any]] = {
        number: {"type": "vm", "name": f"g{number}", "node": "pve1", "memory": "64M"} for number in (100, 102, 103)
    }
    guests[102]["ha"] = "ignored"
    guests[103]["running"] = True
    start = {"clustered": {"name": "rights", "nodes": ["pve1", "pve2"], "guests": guests}}
    return stack_factory(hosts, scale=50, boot_time=0.5, start=start)


@pytest.fixture(scope="module")
def node(stack: RunningStack) -> Api:
    """root@pam beside users of no consequence, a pool, a replication job, a guest under HA, and Ceph's packages."""
    found = root(stack, "pve1", "PVE")
    found.data("POST", "/access/users", userid="other@pve")
    found.data("POST", "/pools", poolid="team")
    for name in ("pve1", "pve2"):
        root(stack, name, "PVE").run(
            "POST", "/nodes/localhost/disks/zfs", name="tank", raidlevel="single", devices="/dev/sdb"
        )
        assert Shell(stack, name).run("pveceph install --repository no-subscription --version squid").status == 0
    realm = {"type": "ldap", "server1": "192.0.2.1", "base_dn": "dc=example", "user_attr": "uid"}
    Root(stack, "pve1")("POST", "/access/domains", realm="example", **realm)
    found.data("POST", "/storage", storage="tank", type="zfspool", pool="tank")
    for vmid in (104, 105):
        found.run("POST", "/nodes/pve1/qemu", vmid=vmid, memory=64, scsi0="tank:1")
    found.data("PUT", "/nodes/pve1/qemu/100/config", net0="virtio,bridge=vmbr0")
    found.data("POST", "/cluster/replication", id="104-0", type="local", target="pve2")
    return found


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> Api:
    """root@pam on the backup server, with a datastore's name, a remote, and the user that tries things."""
    found = root(stack, "pbs1")
    for user in ("least@pbs", "other@pbs"):
        found.data("POST", "/access/users", userid=user, password=PASSWORD)
    here = {"host": found.address, "fingerprint": fingerprint(stack, "pbs1")}
    password = stack.secrets["root_password"]
    found.data("POST", "/config/remote", name="there", auth_id="root@pam", password=password, **here)
    return found


@pytest.fixture(scope="module")
def trials(stack: RunningStack, node: Api, server: Api) -> dict[str, Node | Server]:
    pve = Node.make(stack, node, ("pve1",))
    pbs = Server(stack, server, ("pbs1",), {})
    pbs.login = {**pbs.place, "api_user": "least@pbs", "api_password": PASSWORD}
    return {"pve": pve, "pbs": pbs}


def steps_of(name: str, stack: RunningStack, directory: Path) -> list[Step]:
    pair = x509.make_self_signed("Example", "Test", "pve2.example.org", [], time.time())
    places = {
        "CERTIFICATE": pair.certificate.decode(),
        "KEY": pair.key.decode(),
        "DIRECTORY": str(directory / "restored"),
        "SECRET": str(directory / "secret"),
        "MGMT": stack.resolved["networks"]["mgmt"]["cidr"],
        "PVE1": stack.resolved["hosts"]["pve1"]["address"],
        "PVE2": stack.resolved["hosts"]["pve2"]["address"],
    }
    shell = over_ssh(stack, "pve1", "pve2") if TABLE[name].get("ssh") else {}
    return [{**shell, **filled(step, places)} for step in TABLE[name]["steps"]]


@pytest.fixture
def a_backup(request: pytest.FixtureRequest, stack: RunningStack, node: Api, server: Api) -> None:
    """For what is about snapshots, from then on: one in the datastore that a trial before has made, and a job."""
    if "[pbs_snapshots]" in request.node.name:
        login = {"username": "root@pam", "password": stack.secrets["root_password"], "server": server.address}
        given = {"storage": "copies", "type": "pbs", "datastore": "main", "fingerprint": fingerprint(stack, "pbs1")}
        node.data("POST", "/storage", **given, **login)
        node.run("POST", "/nodes/pve1/vzdump", vmid="100,104", storage="copies")
        server.data("POST", "/admin/datastore/main/namespace", name="again")
        job = {"store": "main", "ns": "again", "remote": "there", "remote-store": "main", "max-depth": 0}
        server.data("POST", "/config/sync", id="again", **job)


@pytest.mark.usefixtures("a_backup")
@pytest.mark.parametrize("name", TESTED)
def test_it_is_enough_and_nothing_is_too_much(
    name: str, stack: RunningStack, trials: dict[str, Node | Server], tmp_path: Path
) -> None:
    def again() -> None:
        (tmp_path / "secret").unlink(missing_ok=True)

    try_out(name, trials[TABLE[name].get("server", "pve")], steps_of(name, stack, tmp_path), again)
