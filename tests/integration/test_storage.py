# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks, pools and storages over the API and the shell (facts §10, §12; observed: /storage)."""

from __future__ import annotations

import pytest

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

DISKS = [{"size": "32G"}, {"size": "2G", "model": "SSD-A", "count": 5}, {"size": "4G", "type": "nvme"}]
HOSTS = {"pve1": {"disks": DISKS}, "pve2": {"disks": DISKS}}
NODE = "/nodes/pve1"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(HOSTS, scale=50, start={"clustered": {"name": "test"}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve1")


@pytest.fixture(scope="module")
def shell(stack: RunningStack) -> Shell:
    return Shell(stack, "pve1")


def test_pool_from_disks_to_storage_and_back(root: Root, shell: Shell) -> None:
    free = root("GET", f"{NODE}/disks/list", type="unused")
    assert [row["devpath"] for row in free] == ["/dev/nvme0n1", *(f"/dev/sd{letter}" for letter in "bcdef")]
    pool = {"name": "tank", "raidlevel": "mirror", "devices": "/dev/sdb,/dev/sdc", "add_storage": 1}
    upid = root.run("POST", f"{NODE}/disks/zfs", **pool)
    assert upid.split(":")[5:7] == ["zfscreate", "tank"]
    root.run("POST", "/nodes/pve2/disks/zfs", **pool)
    storage = root("GET", "/storage/tank")
    assert (storage["type"], storage["pool"], storage["mountpoint"]) == ("zfspool", "tank", "/tank")
    assert set(storage["nodes"].split(",")) == {"pve1", "pve2"}
    assert set(storage["content"].split(",")) == {"images", "rootdir"}
    tree = root("GET", f"{NODE}/disks/zfs/tank")
    assert (tree["state"], tree["children"][0]["children"][0]["name"]) == ("ONLINE", "mirror-0")
    assert shell.run("zpool list -H -o name,health").out == "tank\tONLINE\n"
    for refused, text in (
        ({**pool, "devices": "/dev/sdb,/dev/sdd"}, "device '/dev/sdb' is already in use"),
        ({**pool, "devices": "/dev/sdd,/dev/sde"}, "Storage ID 'tank' already exists on node pve1"),
        ({**pool, "devices": "/dev/sdd,/dev/sde", "add_storage": 0}, "pool 'tank' already exists on node 'pve1'"),
    ):
        with pytest.raises(Refused) as caught:
            root("POST", f"{NODE}/disks/zfs", **refused)
        assert (caught.value.status, caught.value.reason) == (500, text)
    with pytest.raises(Refused) as caught:
        root("PUT", f"{NODE}/disks/wipedisk", disk="/dev/sdb")
    assert "has a holder" in caught.value.reason
    root.run("DELETE", "/nodes/pve2/disks/zfs/tank", cleanup__config=1, cleanup__disks=1)
    assert root("GET", "/storage/tank")["nodes"] == "pve1"
    assert "used" not in next(row for row in root("GET", "/nodes/pve2/disks/list") if row["devpath"] == "/dev/sdb")


def test_missing_pool_ends_the_task(root: Root) -> None:
    upid = root("DELETE", f"{NODE}/disks/zfs/nosuch")
    assert root.end_of(upid) == "command 'zpool destroy nosuch' failed: exit code 1"
    assert root.log_of(upid)[0] == "cannot open 'nosuch': no such pool"


def test_gpt_and_wipe(root: Root) -> None:
    root.run("POST", f"{NODE}/disks/initgpt", disk="/dev/sdf")
    row = next(row for row in root("GET", f"{NODE}/disks/list") if row["devpath"] == "/dev/sdf")
    assert row["gpt"] == 1
    root.run("PUT", f"{NODE}/disks/wipedisk", disk="/dev/sdf")
    with pytest.raises(Refused) as caught:
        root("POST", f"{NODE}/disks/initgpt", disk="/dev/sda")
    assert caught.value.reason == "disk /dev/sda already in use"
    with pytest.raises(Refused) as caught:
        root("POST", f"{NODE}/disks/initgpt", disk="/dev/disk/by-id/ata-x")
    assert caught.value.errors["disk"] == "value does not match the regex pattern"


def test_directory_on_a_disk(root: Root) -> None:
    root.run("POST", f"{NODE}/disks/directory", name="data", device="/dev/sde", add_storage=1)
    status = root("GET", f"{NODE}/storage/data/status")
    assert status["active"] == 1
    assert status["total"] == 2 << 30
    root.run("DELETE", f"{NODE}/disks/directory/data", cleanup__config=1, cleanup__disks=1)
    assert "data" not in {row["storage"] for row in root("GET", "/storage")}


def test_storage_life(root: Root) -> None:
    made = root(
        "POST", "/storage", storage="d1", type="dir", path="/srv/d1", content="images,rootdir", nodes="pve1,pve2"
    )
    assert made == {"storage": "d1", "type": "dir"}
    found = root("GET", "/storage/d1")
    assert set(found) == {"storage", "type", "path", "content", "nodes", "digest"}
    with pytest.raises(Refused) as caught:
        root("POST", "/storage", storage="d1", type="dir", path="/x")
    assert caught.value.reason == "create storage failed: storage ID 'd1' already defined"
    root("PUT", "/storage/d1", content="backup", delete="nodes", digest=found["digest"])
    with pytest.raises(Refused) as caught:
        root("PUT", "/storage/d1", disable=1, digest=found["digest"])
    assert caught.value.reason.startswith("update storage failed: detected modified configuration")
    assert "nodes" not in root("GET", "/storage/d1")
    root("PUT", "/storage/d1", disable=1)
    assert root("GET", f"{NODE}/storage/d1/status")["active"] == 0
    root("DELETE", "/storage/d1")
    with pytest.raises(Refused) as caught:
        root("DELETE", "/storage/d1")
    assert caught.value.reason == "delete storage failed: storage 'd1' does not exist"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"type": "nfs", "storage": "n1", "server": "127.0.0.99", "export": "/e"}, "storage 'n1' is not online"),
        ({"type": "zfspool", "storage": "z1", "pool": "nosuch"},
         "could not activate storage 'z1', zfs error: cannot import 'nosuch': no such pool available"),
        ({"type": "dir", "storage": "m1", "path": "/srv/m", "is_mountpoint": "1"},
         "unable to activate storage 'm1' - directory is expected to be a mount point but is not mounted: '/srv/m'"),
        ({"type": "dir", "storage": "m2", "path": "/srv/m", "mkdir": 0},
         "unable to activate storage 'm2' - directory '/srv/m' does not exist or is unreachable"),
        ({"type": "pbs", "storage": "p1", "server": "10.77.0.99", "datastore": "d", "password": "x"},
         "p1: error fetching datastores - 500 Can't connect to 10.77.0.99:8007 (No route to host)"),
    ],
)  # fmt: skip
def test_a_failed_activation_leaves_nothing(root: Root, given: dict[str, str], reason: str) -> None:
    with pytest.raises(Refused) as caught:
        root("POST", "/storage", **given)
    assert caught.value.reason == f"create storage failed: {reason}"
    assert given["storage"] not in {row["storage"] for row in root("GET", "/storage")}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"type": "nfs", "storage": "n2"}, "missing value for required option 'server'"),
        ({"type": "zfspool", "storage": "z2", "pool": "tank", "path": "/x"}, "unexpected property 'path'"),
    ],
)
def test_properties_of_each_type(root: Root, given: dict[str, str], reason: str) -> None:
    with pytest.raises(Refused) as caught:
        root("POST", "/storage", **given)
    assert (caught.value.status, caught.value.reason) == (500, reason)


def test_secrets_do_not_come_back(root: Root, shell: Shell) -> None:
    root(
        "POST",
        "/storage",
        type="rbd",
        storage="r1",
        monhost="127.0.0.9",
        pool="vm",
        keyring="[client.x]\nkey = s3cret\n",
    )
    try:
        found = root("GET", "/storage/r1")
        assert found["shared"] == 1
        assert "keyring" not in found
        assert "s3cret" not in shell.run("cat /etc/pve/storage.cfg").out
        assert "s3cret" in shell.run("cat /etc/pve/priv/ceph/r1.keyring").out
    finally:
        root("DELETE", "/storage/r1")


def test_volumes(root: Root, shell: Shell) -> None:
    volid = root("POST", f"{NODE}/storage/tank/content", filename="vm-900-disk-0", vmid=900, size="64M")
    assert volid == "tank:vm-900-disk-0"
    row = next(row for row in root("GET", f"{NODE}/storage/tank/content") if row["volid"] == volid)
    assert (row["size"], row["vmid"], row["format"], row["content"]) == (64 << 20, 900, "raw", "images")
    assert shell.run(f"pvesm path {volid}").out == "/dev/zvol/tank/vm-900-disk-0\n"
    with pytest.raises(Refused) as caught:
        root("POST", f"{NODE}/storage/tank/content", filename="vm-901-disk-0", vmid=900, size="64M")
    assert caught.value.reason == "illegal name 'vm-901-disk-0' - should be 'vm-900-*'"
    for name in ("vm-900-disk/../../x", "../vm-900-disk-0"):
        with pytest.raises(Refused):
            root("POST", f"{NODE}/storage/local/content", filename=name, vmid=900, size="1M")
    with pytest.raises(Refused) as caught:
        root("DELETE", f"{NODE}/storage/local/content/local:iso%2F..")
    assert caught.value.status == 500
    upid = root.run("DELETE", f"{NODE}/storage/tank/content/{volid}")
    assert upid.split(":")[6] == "900@tank"
    assert root("GET", f"{NODE}/storage/tank/content") == []


def test_status_lists_what_is_for_the_node(root: Root, shell: Shell) -> None:
    rows = {row["storage"]: row for row in root("GET", f"{NODE}/storage")}
    assert set(rows) == {"local", "tank"}
    assert rows["tank"]["used_fraction"] == pytest.approx(rows["tank"]["used"] / rows["tank"]["total"])
    assert [row["storage"] for row in root("GET", f"{NODE}/storage", content="iso")] == ["local"]
    with pytest.raises(Refused) as caught:
        root("GET", f"{NODE}/storage/nosuch/status")
    assert caught.value.errors == {"storage": "No such storage."}
    assert shell.run("pvesm status").out.splitlines()[0].split()[:3] == ["Name", "Type", "Status"]
