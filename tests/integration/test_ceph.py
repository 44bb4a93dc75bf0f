# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph from nothing to health and through the loss of a host (facts §11)."""

from __future__ import annotations

import json

import pytest

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

NODES = ("pve1", "pve2", "pve3")
DISKS = [{"size": "32G"}, {"size": "64G", "type": "nvme", "count": 2}]
NETWORKS = {"mgmt": {}, "ceph": {}}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts = {name: {"disks": DISKS} for name in NODES}
    return stack_factory(hosts, scale=100, networks=NETWORKS, start={"clustered": {"name": "test", "links": ["mgmt"]}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve1")


def networks(stack: RunningStack) -> dict[str, str]:
    found = stack.resolved["networks"]
    return {"network": found["mgmt"]["cidr"], "cluster__network": found["ceph"]["cidr"]}


def health(root: Root) -> tuple[str, set[str]]:
    status = root("GET", "/cluster/ceph/status")
    return status["health"]["status"], set(status["health"]["checks"])


def refused(root: Root, verb: str, path: str, **given: object) -> str:
    with pytest.raises(Refused) as refusal:
        root(verb, path, **given)
    return refusal.value.message.strip() or refusal.value.reason


def test_the_way_to_health(stack: RunningStack, root: Root) -> None:
    assert refused(root, "GET", "/cluster/ceph/status") == "binary not installed: /usr/bin/ceph-mon"
    for node in NODES:
        shell = Shell(stack, node)
        assert shell.run("ceph -s").status == 127
        assert shell.run("pveceph install --version squid").status != 0, (
            "no subscription: the enterprise repository refuses"
        )
        assert shell.run("pveceph install --repository no-subscription --version squid").status == 0
    assert refused(root, "GET", "/nodes/pve1/ceph/mon").startswith("pveceph configuration not initialized")

    assert root("POST", "/nodes/pve1/ceph/init", **networks(stack)) is None
    conf = root("GET", "/nodes/pve2/ceph/cfg/raw")
    assert f"public_network = {networks(stack)['network']}" in conf
    assert refused(root, "GET", "/cluster/ceph/status") == "got timeout"

    for node in NODES:
        root.run("POST", f"/nodes/{node}/ceph/mon/{node}")
    assert refused(root, "POST", "/nodes/pve1/ceph/mon/pve1") == "monitor 'pve1' already exists"
    monitors = {mon["name"]: (mon["state"], mon["quorum"]) for mon in root("GET", "/nodes/pve3/ceph/mon")}
    assert monitors == dict.fromkeys(NODES, ("running", 1))
    assert [mgr["name"] for mgr in root("GET", "/nodes/pve1/ceph/mgr")] == ["pve1"], "the first monitor brings one"
    root.run("POST", "/nodes/pve2/ceph/mgr/pve2")
    states = {mgr["name"]: mgr["state"] for mgr in root("GET", "/nodes/pve1/ceph/mgr")}
    assert states == {"pve1": "active", "pve2": "standby"}
    assert health(root) == ("HEALTH_WARN", {"TOO_FEW_OSDS"})

    upids = [
        root("POST", f"/nodes/{node}/ceph/osd", dev=f"/dev/{disk}") for node in NODES for disk in ("nvme0n1", "nvme1n1")
    ]
    assert {root.end_of(upid) for upid in upids} == {"OK"}
    assert (
        refused(root, "POST", "/nodes/pve1/ceph/osd", dev="/dev/nvme0n1") == "device '/dev/nvme0n1' is already in use"
    )
    assert refused(root, "POST", "/nodes/pve1/ceph/osd", dev="/dev/sda") == "device '/dev/sda' is already in use"
    used = {disk["devpath"]: (disk.get("used"), disk["osdid"]) for disk in root("GET", "/nodes/pve1/disks/list")}
    assert used["/dev/nvme0n1"][0] == "LVM"
    assert used["/dev/nvme0n1"][1] >= 0

    root.run("POST", "/nodes/pve1/ceph/pool", name="vm", add_storages=1)
    wait_until(lambda: health(root) == ("HEALTH_OK", set()))
    status = root("GET", "/cluster/ceph/status")
    assert status["pgmap"]["pgs_by_state"] == [{"state_name": "active+clean", "count": 128}]
    [pool] = [pool for pool in root("GET", "/nodes/pve2/ceph/pool") if pool["pool_name"] == "vm"]
    assert (pool["size"], pool["min_size"], pool["application_metadata"]) == (3, 2, {"rbd": {}})
    [storage] = [row for row in root("GET", "/nodes/pve3/storage") if row["storage"] == "vm"]
    assert (storage["type"], storage["active"], storage["shared"]) == ("rbd", 1, 1)


def test_a_pool_changes_and_goes(root: Root) -> None:
    root.run("POST", "/nodes/pve1/ceph/pool", name="scratch", pg_num=16)
    root.run("PUT", "/nodes/pve1/ceph/pool/scratch", size=2)
    status = root("GET", "/nodes/pve1/ceph/pool/scratch/status")
    assert (status["size"], status["min_size"], status["hashpspool"]) == (2, 1, True), "a new size resets min_size"
    root.run("PUT", "/nodes/pve1/ceph/pool/scratch", min_size=2)
    assert refused(root, "DELETE", "/nodes/pve1/ceph/pool/vm") == "ceph pool 'vm' still in use by storage 'vm'"
    root.run("DELETE", "/nodes/pve1/ceph/pool/scratch")
    assert refused(root, "GET", "/nodes/pve1/ceph/pool/scratch/status") == "pool 'scratch' does not exist"


def test_a_guest_on_shared_storage_moves_without_its_disk(root: Root) -> None:
    root.run("POST", "/nodes/pve1/qemu", vmid=200, name="shared", memory=64, scsi0="vm:1")
    root.run("POST", "/nodes/pve1/qemu/200/status/start")
    root.run("POST", "/nodes/pve1/qemu/200/migrate", target="pve2", online=1)
    assert root("GET", "/nodes/pve2/qemu/200/status/current")["status"] == "running"
    assert [volume["volid"] for volume in root("GET", "/nodes/pve3/storage/vm/content")] == ["vm:vm-200-disk-0"]


def test_stopping_and_removing_an_osd(root: Root) -> None:
    tree = root("GET", "/nodes/pve1/ceph/osd")["root"]["children"][0]["children"]
    number = next(host for host in tree if host["name"] == "pve1")["children"][0]["id"]
    path = f"/nodes/pve1/ceph/osd/{number}"
    assert refused(root, "DELETE", path) == "osd is in use (in == 1)"
    root("POST", f"{path}/out")
    assert refused(root, "DELETE", path) == "osd is still running (up == 1)"
    root.run("POST", "/nodes/pve1/ceph/stop", service=f"osd.{number}")
    root.run("DELETE", path, cleanup=1)
    free = {disk["devpath"] for disk in root("GET", "/nodes/pve1/disks/list") if "used" not in disk}
    assert len(free) == 1
    root.run("POST", "/nodes/pve1/ceph/osd", dev=free.pop())
    wait_until(lambda: health(root)[0] == "HEALTH_OK")


def test_the_loss_of_a_host_is_noticed_and_healed(stack: RunningStack, root: Root) -> None:
    stack.power("off", "pve3")
    wait_until(lambda: health(root)[1] >= {"MON_DOWN", "OSD_DOWN", "OSD_HOST_DOWN", "PG_DEGRADED"})
    answer = Shell(stack, "pve2").run("ceph health --format json")
    assert (answer.status, json.loads(answer.out)["status"]) == (0, "HEALTH_WARN")
    states = {row["state_name"] for row in root("GET", "/cluster/ceph/status")["pgmap"]["pgs_by_state"]}
    assert all(state.startswith("active") for state in states), "two of three copies: still takes writes"
    stack.power("on", "pve3")
    stack.wait_ready("pve3")
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 30)
