# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph from nothing to health and through the loss of a host (facts §11)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentstack.guests.check_disks import check

from ..api_client import Refused, Root
from ..ceph_stacks import acknowledged, clean, group_states, health
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
    wait_until(lambda: clean(root))
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


def answered(shell: Shell, line: str) -> Any:
    """What a command prints as JSON."""
    answer = shell.run(line)
    assert answer.status == 0, (line, answer.err)
    return json.loads(answer.out)


def test_pools_on_the_console(stack: RunningStack, root: Root) -> None:
    shell = Shell(stack, "pve2")
    made = shell.run("pveceph pool create second --pg_num 16 --size 3 --min_size 2 --pg_autoscale_mode on")
    assert (made.status, "pool second: applying size = 3" in made.out) == (0, True), made.err
    for mode in ("off", "warn", "on"):
        assert shell.run(f"pveceph pool set second --pg_autoscale_mode {mode}").status == 0
        [row] = [
            row for row in answered(shell, "ceph osd pool autoscale-status -f json") if row["pool_name"] == "second"
        ]
        assert (row["pg_autoscale_mode"], row["pg_num_target"], row["would_adjust"]) == (mode, 16, False)
    wrong = shell.run("pveceph pool set second --pg_autoscale_mode perhaps")
    assert "value 'perhaps' does not have a value in the enumeration" in wrong.err
    single = shell.run("pveceph pool set second --size 1")
    assert (single.status, single.err.strip()) == (255, "Could not set: size")
    assert "configuring pool size as 1 is disabled by default" in single.out
    assert shell.run("ceph osd pool set second size 1").status == 1
    assert shell.run("ceph config get mon mon_allow_pool_size_one").out == "false\n"
    assert shell.run("ceph config set global mon_allow_pool_size_one true").status == 0
    assert shell.run("ceph osd pool set second size 1 --yes-i-really-mean-it").status == 0
    wait_until(lambda: "POOL_NO_REDUNDANCY" in health(root)[1])
    assert answered(shell, "ceph osd pool get second all -f json")["size"] == 1
    assert shell.run("ceph config rm global mon_allow_pool_size_one").status == 0

    listed = answered(shell, "pveceph pool ls --output-format json")
    assert {row["pool_name"] for row in listed} >= {"vm", "second"}
    assert "| PG Autoscale Mode " in shell.run("pveceph pool ls").out
    assert answered(shell, "pveceph pool get second --output-format json")["size"] == 1
    assert answered(shell, "ceph osd pool application get second -f json") == {"rbd": {}}
    [usage] = [row for row in answered(shell, "ceph df --format json")["pools"] if row["name"] == "vm"]
    assert usage["stats"]["max_avail"] > 0
    assert "--- POOLS ---" in shell.run("ceph df").out
    summary = answered(shell, "ceph pg stat --format=json")["pg_summary"]
    assert sum(row["num"] for row in summary["num_pg_by_state"]) == summary["num_pgs"]
    assert shell.run("pveceph pool destroy vm").err == "ceph pool 'vm' still in use by storage 'vm'\n"
    assert shell.run("pveceph pool destroy second").status == 0
    wait_until(lambda: health(root) == ("HEALTH_OK", set()))


def test_daemons_on_the_console(stack: RunningStack, root: Root) -> None:
    shell = Shell(stack, "pve3")
    assert shell.run("pveceph mon create").err == "monitor 'pve3' already exists\n"
    assert shell.run("pveceph mgr create").status == 0
    assert answered(shell, "ceph mgr stat -f json")["num_standby"] == 2
    assert shell.run("pveceph mgr destroy pve3").status == 0
    free = answered(shell, "ceph osd tree -f json")["nodes"]
    number = next(child for node in free if node["name"] == "pve3" for child in node["children"])
    busy = shell.run(f"pveceph osd destroy {number}")
    assert (busy.status, busy.err) == (255, "osd is in use (in == 1)\n")
    # two of three copies are still there while one OSD stops; without it for ever there would be fewer copies
    stoppable = answered(shell, f"ceph osd ok-to-stop {number} --format json")
    assert (stoppable["ok_to_stop"], stoppable["num_ok_pgs"] > 0) == (True, True)
    unsafe = shell.run(f"ceph osd safe-to-destroy osd.{number}")
    assert (unsafe.status, unsafe.err.startswith("Error EBUSY: OSD(s) ")) == (16, True)
    everybody = " ".join(str(child) for node in free if node["type"] == "host" for child in node["children"])
    stopped = shell.run(f"ceph osd ok-to-stop {everybody}")
    assert (stopped.status, "PGs are or would become offline" in stopped.err) == (16, True)
    assert shell.run("pveceph osd create /dev/nvme0n1").err == "device '/dev/nvme0n1' is already in use\n"
    assert shell.run(f"pveceph stop --service osd.{number}").status == 0
    wait_until(lambda: "OSD_DOWN" in health(root)[1])
    assert shell.run(f"pveceph start --service osd.{number}").status == 0
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 30)
    assert shell.run("pveceph lspools").status == 0
    assert shell.run("pveceph nonsense").status == 255


def test_keys_outlive_their_daemons(stack: RunningStack, root: Root) -> None:
    """Managers' keys stay until somebody removes them; those of OSDs go with `purge` (docs.ceph.com)."""
    shell = Shell(stack, "pve3")
    keys = {each["entity"]: each for each in answered(shell, "ceph auth ls --format json")["auth_dump"]}
    assert keys["mgr.pve1"]["caps"] == {"mds": "allow *", "mon": "allow profile mgr", "osd": "allow *"}
    assert {f"osd.{number}" for number in range(6)} <= set(keys)
    admin = shell.run("cat /etc/pve/priv/ceph.client.admin.keyring").out
    assert shell.run("ceph auth get client.admin").out == admin
    assert shell.run("ceph auth get-key client.admin").out.strip() in admin
    listed = shell.run("ceph auth ls")
    assert listed.err == "installed auth entries:\n\n"
    assert "mgr.pve1\n\tkey: AQ" in listed.out
    assert "\n\tcaps: [mon] allow profile osd\n" in listed.out

    made = shell.run("ceph auth get-or-create client.eve mon 'allow r'")
    assert made.out.startswith("[client.eve]\n\tkey = AQ")
    assert shell.run("ceph auth get-or-create client.eve mon 'allow r'").out == made.out
    other = shell.run("ceph auth get-or-create client.eve mon 'allow *'")
    assert (other.status, other.err) == (22, "Error EINVAL: key for client.eve exists but cap mon does not match\n")
    assert [shell.run("ceph auth del client.eve").status for _ in range(2)] == [0, 0]
    gone = shell.run("ceph auth get client.eve")
    assert (gone.status, gone.err) == (2, "Error ENOENT: failed to find client.eve in keyring\n")
    assert shell.run("ceph auth get eve").err == "Error EINVAL: bad entity name\n"

    # one that was destroyed, and is made again, has the same key
    assert shell.run("pveceph mgr create").status == 0
    key = shell.run("ceph auth print-key mgr.pve3").out
    for line in ("pveceph mgr destroy pve3", "pveceph mgr create", "pveceph mgr destroy pve3"):
        assert shell.run(line).status == 0
    assert shell.run("ceph auth print-key mgr.pve3").out == key
    assert shell.run("ceph auth rm mgr.pve3").status == 0


def managers(root: Root) -> dict[str, str]:
    """Managers and their states."""
    return {each["name"]: each["state"] for each in root("GET", "/nodes/pve1/ceph/mgr")}


def test_a_daemon_without_its_key_is_not_let_in(stack: RunningStack, root: Root) -> None:
    shell = Shell(stack, "pve3")
    assert shell.run("pveceph mgr create").status == 0
    assert shell.run("pveceph stop --service mgr.pve3").status == 0
    wait_until(lambda: managers(root)["pve3"] == "stopped")
    assert shell.run("ceph auth del mgr.pve3").status == 0
    assert shell.run("pveceph start --service mgr.pve3").status == 0
    assert managers(root)["pve3"] == "stopped"
    keyring = shell.run("ceph auth get-or-create mgr.pve3 mon 'allow profile mgr' osd 'allow *' mds 'allow *'")
    assert keyring.status == 0
    wait_until(lambda: managers(root)["pve3"] == "standby")
    assert shell.run("pveceph mgr destroy pve3").status == 0
    assert shell.run("ceph auth rm mgr.pve3").status == 0


def test_linked_clones_share_a_protected_snapshot(stack: RunningStack, root: Root) -> None:
    """As `pveceph`'s users see them: the base renamed, its snapshot protected, each clone with a parent."""
    root.run("POST", "/nodes/pve1/qemu", vmid=210, name="master", memory=64, scsi0="vm:1", start=1)
    wait_until(lambda: acknowledged(stack, 210) >= 2, 30)
    root.run("POST", "/nodes/pve1/qemu/210/status/stop")
    root.run("POST", "/nodes/pve1/qemu/210/template")
    assert root("GET", "/nodes/pve1/qemu/210/config")["scsi0"] == "vm:base-210-disk-0,size=1G"
    root.run("POST", "/nodes/pve1/qemu/210/clone", newid=211, target="pve2")
    used = {row["vmid"]: row["used"] for row in root("GET", "/nodes/pve1/storage/vm/content")}
    assert (used[211], used[210] > 0) == (0, True)
    root.run("POST", "/nodes/pve2/qemu/211/status/start")
    assert root("GET", "/nodes/pve2/qemu/211/config")["scsi0"] == "vm:base-210-disk-0/vm-211-disk-0,size=1G"
    volids = {row["volid"] for row in root("GET", "/nodes/pve3/storage/vm/content")}
    assert volids >= {"vm:base-210-disk-0", "vm:base-210-disk-0/vm-211-disk-0"}

    shell = Shell(stack, "pve3")
    parent = json.loads(shell.run("rbd info vm/vm-211-disk-0 --format json").out)["parent"]
    assert {key: parent[key] for key in ("pool", "image", "snapshot", "overlap")} == {
        **{"pool": "vm", "image": "base-210-disk-0", "snapshot": "__base__", "overlap": 1 << 30}
    }
    assert "\tparent: vm/base-210-disk-0@__base__\n" in shell.run("rbd -p vm info vm-211-disk-0").out
    [snapshot] = json.loads(shell.run("rbd snap ls vm/base-210-disk-0 --format json").out)
    assert (snapshot["name"], snapshot["protected"]) == ("__base__", "true")
    assert shell.run("rbd children vm/base-210-disk-0@__base__").out == "vm/vm-211-disk-0\n"
    for line, reason in {
        "rbd snap rm vm/base-210-disk-0@__base__": "snapshot '__base__' is protected from removal",
        "rbd snap unprotect vm/base-210-disk-0@__base__": "(16) Device or resource busy",
    }.items():
        answer = shell.run(line)
        assert answer.status != 0, line
        assert reason in answer.err, line
    why = "base volume 'vm:base-210-disk-0' is still in use by linked cloned"
    assert root.end_of(root("DELETE", "/nodes/pve1/qemu/210")) == why

    rows = {row["image"]: row for row in json.loads(shell.run("rbd ls -l vm --format json").out)}
    assert rows["vm-211-disk-0"]["parent"]["image"] == "base-210-disk-0"
    assert rows["base-210-disk-0"]["size"] == 1 << 30

    # the clone goes on from what its base held, moves, has snapshots, and leaves the base when it goes
    root.run("POST", "/nodes/pve2/qemu/211/migrate", target="pve1", online=1)
    wait_until(lambda: acknowledged(stack, 211) >= 2, 30)
    root.run("POST", "/nodes/pve1/qemu/211/snapshot", snapname="one")
    root.run("POST", "/nodes/pve1/qemu/211/status/stop")
    root.run("POST", "/nodes/pve1/qemu/211/snapshot/one/rollback")
    guest = next(guest for guest in check(stack.dir).guests if guest.guest.endswith("211"))
    assert guest.runs == 2
    assert shell.run("rbd flatten vm/vm-211-disk-0").status == 0
    assert next(guest for guest in check(stack.dir).guests if guest.guest.endswith("211")).runs == 2
    root.run("DELETE", "/nodes/pve1/qemu/211")
    root.run("DELETE", "/nodes/pve1/qemu/210")
    assert [row["volid"] for row in root("GET", "/nodes/pve3/storage/vm/content")] == ["vm:vm-200-disk-0"]


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
    assert all(state.startswith("active") for state in group_states(root)), "two of three copies: still takes writes"
    stack.power("on", "pve3")
    stack.wait_ready("pve3")
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 30)
