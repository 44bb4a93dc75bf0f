# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of disk, every way to move a guest: what is said, and where the bytes are then (facts §9.4, §14)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest

from agentstack.ceph import offline
from agentstack.ceph.images import data_of
from agentstack.guests.check_disks import GuestReport, check

from ..api_client import Refused, Root
from ..ceph_stacks import acknowledged, build_ceph, health
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = [pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"), pytest.mark.long]

NODES = ("pve1", "pve2", "pve3")
TARGET = "iqn.2026-01.test:san"
DEFINITION: dict[str, Any] = {
    "networks": {"mgmt": {}, "san": {}},
    "arrays": {"nas1": {"network": "san", "exports": {"/export/vm": "100G"}, "targets": {TARGET: ["40G"]}}},
    "start": {"clustered": {"name": "test", "links": ["mgmt"]}},
}
TEMPLATE = "debian-12-standard_12.7-1_amd64.tar.zst"
COPIED, REPLICATED, SHARED = "copying local disk images", "replicating disk images", ""
NEEDS_LOCAL = "can't live migrate attached local disks without with-local-disks option"


@dataclass(frozen=True)
class Disk:
    """A kind of disk: its storage, what a migration's log says of it, and the hosts that have one afterwards."""

    storage: str
    log: str
    left_on: tuple[str, ...]
    number: int


DISKS = {
    "ZFS, replicated": Disk("tank", REPLICATED, ("pve1", "pve2"), 0),
    "ZFS, local": Disk("tank", COPIED, ("pve2",), 1),
    "a directory": Disk("files", COPIED, ("pve2",), 2),
    "RBD": Disk("vm", SHARED, (), 3),
    "NFS": Disk("nas", SHARED, (), 4),
    "LVM on iSCSI": Disk("vms", SHARED, (), 5),
}
SIZE = 0.125
"""GiB of each disk: small, as all of it is read and compared."""
LIVE, OFFLINE, CONTAINER = 100, 200, 300
"""What each way's guests are numbered from."""


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    disks = [{"size": "32G"}, {"size": "16G"}, {"size": "64G", "type": "nvme"}]
    return stack_factory({name: {"disks": disks} for name in NODES}, scale=50, **DEFINITION)


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    """With a guest of each kind for each way, all running, the replicated ones with a copy on pve2."""
    root = Root(stack, "pve3")
    storages(stack, root)
    (stack.dir / "hosts/pve1/root/var/lib/vz/template/cache" / TEMPLATE).touch()
    tasks = []
    for disk in DISKS.values():
        for first in (LIVE, OFFLINE):
            vm = {"vmid": first + disk.number, "memory": 64, "scsi0": f"{disk.storage}:{SIZE}", "start": 1}
            tasks.append(root("POST", "/nodes/pve1/qemu", **vm))
        ct = {"vmid": CONTAINER + disk.number, "ostemplate": f"local:vztmpl/{TEMPLATE}", "start": 1}
        tasks.append(root("POST", "/nodes/pve1/lxc", rootfs=f"{disk.storage}:{SIZE}", **ct))
    assert {root.end_of(task) for task in tasks} == {"OK"}
    for first in (LIVE, OFFLINE, CONTAINER):
        root("POST", "/cluster/replication", id=f"{first}-0", type="local", target="pve2", schedule="yearly")
    wait_until(lambda: all(row["last_sync"] for row in root("GET", "/nodes/pve1/replication")), 60)
    return root


def storages(stack: RunningStack, root: Root) -> None:
    """ZFS, a directory, Ceph, and an array's NFS and iSCSI."""
    pool = {"name": "tank", "raidlevel": "single", "devices": "/dev/sdb", "add_storage": 1}
    for task in [root("POST", f"/nodes/{name}/disks/zfs", **pool) for name in NODES]:
        assert root.end_of(task) == "OK"
    content = {"content": "images,rootdir"}
    root("POST", "/storage", storage="files", type="dir", path="/srv/files", **content)
    address = stack.resolved["arrays"]["nas1"]["address"]
    root("POST", "/storage", storage="nas", type="nfs", server=address, export="/export/vm", **content)
    root("POST", "/storage", storage="san", type="iscsi", portal="nas1", target=TARGET, content="none")
    lun = root("GET", "/nodes/pve1/storage/san/content")[0]["volid"]
    root("POST", "/storage", storage="vms", type="lvm", vgname="vg_san", base=lun, shared=1, **content)
    build_ceph(stack, root, NODES, disks=("nvme0n1",))
    root.run("POST", "/nodes/pve1/ceph/pool", name="vm", pg_num=16, add_storages=1)
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 60)


def report(stack: RunningStack, vmid: int) -> GuestReport:
    """What the guest wrote; nothing of it may be lost, torn, or written by two."""
    found = check(stack.dir)
    assert [finding for finding in found.findings if finding.guest.endswith(str(vmid))] == []
    return next(guest for guest in found.guests if guest.guest.endswith(str(vmid)))


def digest(stack: RunningStack, vmid: int, disk: Disk) -> str:
    """The bytes of the guest's disk where it works on it now."""
    if disk.storage == "vm":
        [cluster] = offline.clusters(stack.dir)
        image = next(image for image in cluster.images() if image.name == f"vm-{vmid}-disk-0")
        first = data_of(image.id, 1)
        return "".join(
            sorted({hashlib.sha256(copy).hexdigest() for copy in cluster.copies(image.pool, first).values()})
        )
    with (stack.dir / report(stack, vmid).disk).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def writes(stack: RunningStack, vmid: int, more: int = 1) -> None:
    """The guest goes on."""
    before = acknowledged(stack, vmid)
    wait_until(lambda: acknowledged(stack, vmid) >= before + more, 60)


def log_of(root: Root, upid: str, disk: Disk) -> None:
    """The task's log says what was done with this kind of disk, and nothing of the others' kinds."""
    log = "\n".join(root.log_of(upid))
    for phrase in (COPIED, REPLICATED):
        assert (phrase in log) == (phrase == disk.log), log
    assert ("found local disk" in log) == bool(disk.log), log
    assert ("switching replication job target" in log) == (disk.log == REPLICATED), log
    assert "migration finished successfully" in log


def volumes(stack: RunningStack, root: Root, vmid: int, disk: Disk) -> None:
    """Local disks are on these hosts and on no other; shared ones are there once, whoever looks."""
    found = {
        node: [row["volid"] for row in root("GET", f"/nodes/{node}/storage/{disk.storage}/content", vmid=vmid)]
        for node in NODES
    }
    having = tuple(node for node, volids in found.items() if volids)
    assert having == (disk.left_on or NODES), found
    assert {len(volids) for volids in found.values() if volids} == {1}


@pytest.mark.parametrize("name", DISKS)
def test_a_running_vm(stack: RunningStack, root: Root, name: str) -> None:
    disk = DISKS[name]
    vmid = LIVE + disk.number
    writes(stack, vmid)
    with pytest.raises(Refused, match="can't migrate running VM without --online"):
        root("POST", f"/nodes/pve1/qemu/{vmid}/migrate", target="pve2")
    if disk.log == REPLICATED:
        words = "Cannot live-migrate replicated VM to node 'pve3' - not a replication target. Use 'force' to override."
        with pytest.raises(Refused) as caught:
            root("POST", f"/nodes/pve1/qemu/{vmid}/migrate", target="pve3", online=1, with__local__disks=1)
        assert caught.value.reason == words
    if disk.log:
        assert root.end_of(root("POST", f"/nodes/pve1/qemu/{vmid}/migrate", target="pve2", online=1)) == NEEDS_LOCAL
    more = {"with__local__disks": 1} if disk.log else {}
    upid = root.run("POST", f"/nodes/pve1/qemu/{vmid}/migrate", target="pve2", online=1, **more)
    log_of(root, upid, disk)
    writes(stack, vmid)
    found = report(stack, vmid)
    assert (found.node, found.runs, found.hosts) == ("pve2", 1, ["pve1", "pve2"])
    volumes(stack, root, vmid, disk)


@pytest.mark.parametrize("name", DISKS)
def test_a_stopped_vm(stack: RunningStack, root: Root, name: str) -> None:
    disk = DISKS[name]
    vmid = OFFLINE + disk.number
    writes(stack, vmid)
    root.run("POST", f"/nodes/pve1/qemu/{vmid}/status/stop")
    before = digest(stack, vmid, disk)
    log_of(root, root.run("POST", f"/nodes/pve1/qemu/{vmid}/migrate", target="pve2"), disk)
    found = report(stack, vmid)
    assert (found.node, found.records > 0) == ("pve2", True)
    assert digest(stack, vmid, disk) == before
    volumes(stack, root, vmid, disk)


@pytest.mark.parametrize("name", DISKS)
def test_a_container(stack: RunningStack, root: Root, name: str) -> None:
    disk = DISKS[name]
    vmid = CONTAINER + disk.number
    writes(stack, vmid)
    with pytest.raises(Refused, match="lxc live migration is currently not implemented"):
        root("POST", f"/nodes/pve1/lxc/{vmid}/migrate", target="pve2", online=1)
    upid = root.run("POST", f"/nodes/pve1/lxc/{vmid}/migrate", target="pve2", restart=1)
    log_of(root, upid, disk)
    assert [line[20:] for line in root.log_of(upid) if line.endswith(("on target node", f"shutdown CT {vmid}"))] == [
        f"shutdown CT {vmid}",
        "start container on target node",
    ]
    writes(stack, vmid)
    found = report(stack, vmid)
    assert (found.node, found.runs, found.hosts) == ("pve2", 2, ["pve1", "pve2"])
    volumes(stack, root, vmid, disk)


def test_the_jobs_run_the_other_way(root: Root) -> None:
    jobs = {job["id"]: (job["source"], job["target"]) for job in root("GET", "/cluster/replication")}
    assert jobs == dict.fromkeys((f"{first}-0" for first in (LIVE, OFFLINE, CONTAINER)), ("pve2", "pve1"))


def test_volume_groups_have_no_linked_clones(root: Root) -> None:
    """Thick logical volumes are copied; nothing on them can be a template (facts §14)."""
    vm = f"/nodes/pve2/qemu/{OFFLINE + DISKS['LVM on iSCSI'].number}"
    with pytest.raises(Refused) as caught:
        root("POST", f"{vm}/clone", newid=900, full=0)
    assert caught.value.reason == "Linked clone feature is not supported for drive 'scsi0'"
    with pytest.raises(Refused) as caught:
        root("POST", f"{vm}/template")
    assert caught.value.reason == "Template feature is not available for 'scsi0'"
    root.run("POST", f"{vm}/clone", newid=900, name="copy")
    assert root("GET", "/nodes/pve2/qemu/900/config")["scsi0"].startswith("vms:vm-900-disk-0,")
