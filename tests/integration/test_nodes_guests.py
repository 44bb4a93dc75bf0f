# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of guests with their bytes, templates, moved disks, cloud-init, agents, and all guests at once (facts §14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentstack.guests.process import AREA, Record, read_records

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

VMS, CTS = "/nodes/pve1/qemu", "/nodes/pve1/lxc"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts = {"pve1": {"disks": [{"size": "32G"}, {"size": "8G"}]}, "pve2": {}}
    return stack_factory(hosts, scale=50, start={"clustered": {"name": "test"}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    root = Root(stack, "pve1")
    root.run("POST", "/nodes/pve1/disks/zfs", name="tank", raidlevel="single", devices="/dev/sdb", add_storage=1)
    return root


@pytest.fixture(scope="module")
def source(stack: RunningStack, root: Root) -> int:
    """A VM whose guest has written something, with a snapshot."""
    options: dict[str, Any] = {"ide2": "local:cloudinit", "ipconfig0": "ip=10.0.0.5/24,gw=10.0.0.1", "ciuser": "ops"}
    options |= {"net0": "virtio,bridge=vmbr0", "agent": 1, "cipassword": "secret", "memory": 64, "name": "web"}
    root.run("POST", VMS, vmid=100, scsi0="tank:1", **options)
    root.run("POST", f"{VMS}/100/status/start")
    wait_until(lambda: len(zfs_records(stack, "vm-100-disk-0")) >= 2, 30)
    root.run("POST", f"{VMS}/100/snapshot", snapname="first", description="early")
    return 100


def refused(root: Root, verb: str, path: str, **given: Any) -> str:
    with pytest.raises(Refused) as caught:
        root(verb, path, **given)
    return str(caught.value.reason)


def zfs_file(stack: RunningStack, name: str) -> Path:
    return next((stack.dir / "hosts/pve1/zfs").glob(f"*/data/{name}.raw"))


def zfs_records(stack: RunningStack, name: str) -> list[Record]:
    return list(read_records(str(zfs_file(stack, name))))


def local_records(stack: RunningStack, name: str) -> list[Record]:
    return list(read_records(str(stack.dir / "hosts/pve1/root/var/lib/vz/images" / name)))


def test_a_full_clone_has_all_bytes_and_nothing_shared(stack: RunningStack, root: Root, source: int) -> None:
    root.run("POST", f"{VMS}/{source}/clone", newid=110, name="copy", description="of web")
    one, other = root("GET", f"{VMS}/{source}/config"), root("GET", f"{VMS}/110/config")
    assert (other["name"], other["description"], other["scsi0"]) == ("copy", "of web\n", "tank:vm-110-disk-0,size=1G")
    assert not {one[key] for key in ("net0", "smbios1", "vmgenid")} & {other[key] for key in ("net0", "smbios1")}
    copied = zfs_records(stack, "vm-110-disk-0")
    assert copied == zfs_records(stack, "vm-100-disk-0")[: len(copied)]
    assert len(copied) >= 2
    assert refused(root, "POST", f"{VMS}/{source}/clone", newid=110) == "VM 110 already exists on node 'pve1'"
    local = refused(root, "POST", f"{VMS}/{source}/clone", newid=111, target="pve2")
    assert local == "can't clone VM to node 'pve2' (VM uses local storage)"
    linked = refused(root, "POST", f"{VMS}/{source}/clone", newid=111, full=0)
    assert linked == "Linked clone feature is not supported for drive 'scsi0'"


def test_a_clone_of_a_snapshot_is_older(stack: RunningStack, root: Root, source: int) -> None:
    before = len(zfs_records(stack, "vm-100-disk-0"))
    wait_until(lambda: len(zfs_records(stack, "vm-100-disk-0")) > before + 1, 30)
    root.run("POST", f"{VMS}/{source}/clone", newid=112, snapname="first", storage="local", format="qcow2")
    assert root("GET", f"{VMS}/112/config")["scsi0"] == "local:112/vm-112-disk-0.qcow2,size=1G"
    copied = local_records(stack, "112/vm-112-disk-0.qcow2")
    assert 0 < len(copied) < len(zfs_records(stack, "vm-100-disk-0"))


def test_templates_and_what_depends_on_them(stack: RunningStack, root: Root, source: int) -> None:
    snapshots = "unable to create template, because VM contains snapshots"
    assert refused(root, "POST", f"{VMS}/{source}/template") == snapshots
    root.run("POST", f"{VMS}/{source}/clone", newid=120)
    root.run("POST", f"{VMS}/120/template")
    assert root("GET", f"{VMS}/120/config")["scsi0"] == "tank:base-120-disk-0,size=1G"
    assert root("GET", f"{VMS}/120/feature", feature="clone")["hasFeature"] == 1
    assert root.end_of(root("POST", f"{VMS}/120/status/start")) == "you can't start a VM if it's a template"
    assert refused(root, "POST", f"{VMS}/120/template") == "you can't convert a template to a template"
    storage = refused(root, "POST", f"{VMS}/120/clone", newid=121, storage="local")
    assert storage == "parameter 'storage' not allowed for linked clones"
    root.run("POST", f"{VMS}/120/clone", newid=121)
    assert root("GET", f"{VMS}/121/config")["scsi0"] == "tank:base-120-disk-0/vm-121-disk-0,size=1G"
    shell = Shell(stack, "pve1")
    for line in ("zfs destroy -r tank/base-120-disk-0", "zfs destroy tank/base-120-disk-0@__base__"):
        answer = shell.run(line)
        assert (answer.status, answer.err.splitlines()[1:]) == (
            1,
            ["use '-R' to destroy the following datasets:", "tank/vm-121-disk-0"],
        )
        assert "has dependent clones" in answer.err
    inherited = zfs_records(stack, "vm-121-disk-0")
    assert len(inherited) >= 2
    root.run("POST", f"{VMS}/121/status/start")
    wait_until(lambda: len(zfs_records(stack, "vm-121-disk-0")) > len(inherited), 30)
    root.run("POST", f"{VMS}/121/status/stop")
    used = "base volume 'tank:base-120-disk-0' is still in use by linked cloned"
    assert root.end_of(root("DELETE", f"{VMS}/120")) == used
    root.run("DELETE", f"{VMS}/121")
    root.run("DELETE", f"{VMS}/120")
    assert root("GET", "/nodes/pve1/storage/tank/content", vmid=120) == []


def test_a_linked_clone_in_a_directory_is_an_overlay(root: Root) -> None:
    root.run("POST", VMS, vmid=125, scsi0="local:1,format=raw")
    root.run("POST", f"{VMS}/125/template")
    root.run("POST", f"{VMS}/125/clone", newid=126)
    volume = "local:125/base-125-disk-0.raw/126/vm-126-disk-0.qcow2"
    assert root("GET", f"{VMS}/126/config")["scsi0"] == f"{volume},size=1G"
    assert {row["volid"] for row in root("GET", "/nodes/pve1/storage/local/content", vmid=126)} == {volume}
    moved = root("POST", f"{VMS}/126/migrate", target="pve2")
    assert root.end_of(moved) == "Problem found while scanning volumes - can't migrate VM - check log"
    why = f"can't migrate '{volume}' as it's a clone of 'base-125-disk-0.raw'"
    assert any(line.endswith(why) for line in root.log_of(moved))
    root.run("POST", f"{VMS}/126/snapshot", snapname="one")
    removal = root("DELETE", "/nodes/pve1/storage/local/content/local:125/base-125-disk-0.raw")
    assert root.end_of(removal) == "base volume 'local:125/base-125-disk-0.raw' is still in use by linked cloned"
    root.run("DELETE", f"{VMS}/126")
    root.run("DELETE", f"{VMS}/125")


def test_a_running_guest_goes_on_where_its_disk_is(stack: RunningStack, root: Root, source: int) -> None:
    same = refused(root, "POST", f"{VMS}/{source}/move_disk", disk="scsi0", storage="tank")
    assert same == "you can't move to the same storage with same format"
    deleted = refused(root, "POST", f"{VMS}/{source}/move_disk", disk="scsi0", storage="local", delete=1)
    assert deleted == "you can't move a disk with snapshots and delete the source"
    root.run("POST", f"{VMS}/{source}/clone", newid=130)
    root.run("POST", f"{VMS}/130/status/start")
    wait_until(lambda: len({record.run for record in zfs_records(stack, "vm-130-disk-0")}) == 2, 30)
    root.run("POST", f"{VMS}/130/move_disk", disk="scsi0", storage="local")
    config = root("GET", f"{VMS}/130/config")
    assert (config["scsi0"], config["unused0"]) == ("local:130/vm-130-disk-0.raw,size=1G", "tank:vm-130-disk-0")
    moved = len(zfs_records(stack, "vm-130-disk-0"))
    found = wait_until(lambda: _longer(local_records(stack, "130/vm-130-disk-0.raw"), moved), 30)
    # one run without a gap: the move was no restart
    assert [record.number for record in found] == list(range(1, len(found) + 1))
    assert found[-1].run == found[moved - 1].run
    root.run("POST", f"{VMS}/130/status/stop")
    root.run("POST", VMS, vmid=131)
    root.run("POST", f"{VMS}/130/move_disk", disk="scsi0", target__vmid=131, target__disk="virtio0")
    assert root("GET", f"{VMS}/131/config")["virtio0"] == "local:131/vm-131-disk-0.raw,size=1G"
    assert "scsi0" not in root("GET", f"{VMS}/130/config")


def _longer(found: list[Record], than: int) -> list[Record]:
    return found if len(found) > than else []


def test_cloud_init(stack: RunningStack, root: Root, source: int) -> None:
    config = root("GET", f"{VMS}/{source}/config")
    assert (config["cipassword"], config["ide2"]) == (
        "**********",
        "local:100/vm-100-cloudinit.qcow2,media=cdrom,size=4M",
    )
    user = root("GET", f"{VMS}/{source}/cloudinit/dump", type="user")
    assert "\nhostname: web\n" in user
    assert "\nuser: ops\n" in user
    assert "secret" not in user
    assert "address: '10.0.0.5'" in root("GET", f"{VMS}/{source}/cloudinit/dump", type="network")
    root("PUT", f"{VMS}/{source}/config", ciuser="dev")
    root("PUT", f"{VMS}/{source}/cloudinit")
    rows = {row["key"]: row for row in root("GET", f"{VMS}/{source}/cloudinit")}
    assert rows["ipconfig0"] == {"key": "ipconfig0", "value": "ip=10.0.0.5/24,gw=10.0.0.1"}


def test_the_agent_in_the_guest(stack: RunningStack, root: Root, source: int) -> None:
    agent = f"{VMS}/{source}/agent"
    assert root("POST", f"{agent}/ping") == {"result": {}}
    cards = root("GET", f"{agent}/network-get-interfaces")["result"]
    assert [card["name"] for card in cards] == ["lo", "eth0"]
    assert cards[1]["ip-addresses"][0]["ip-address"] == "10.0.0.5"
    assert root("POST", f"{agent}/fsfreeze-freeze") == {"result": 1}
    assert root("POST", agent, command="fsfreeze-status") == {"result": "frozen"}
    frozen = len(zfs_records(stack, "vm-100-disk-0"))
    assert root("POST", f"{agent}/fsfreeze-thaw") == {"result": 1}
    wait_until(lambda: len(zfs_records(stack, "vm-100-disk-0")) > frozen, 30)
    assert "No such file or directory" in refused(root, "POST", f"{agent}/exec", command="ls")
    root.run("POST", VMS, vmid=140)
    assert refused(root, "POST", f"{VMS}/140/agent/ping") == "No QEMU guest agent configured"


def test_snapshots_with_memory(stack: RunningStack, root: Root, source: int) -> None:
    snapshot = f"{VMS}/{source}/snapshot"
    root.run("POST", snapshot, snapname="warm", vmstate=1)
    rows = {row["name"]: row for row in root("GET", snapshot)}
    assert (rows["first"]["vmstate"], rows["warm"]["vmstate"]) == (0, 1)
    assert root("GET", f"{snapshot}/warm/config")["vmstate"].startswith("tank:vm-100-state-warm")
    root("PUT", f"{snapshot}/warm/config", description="later")
    wait_until(lambda: len(zfs_records(stack, "vm-100-disk-0")) > 3, 30)
    root.run("POST", f"{snapshot}/warm/rollback")
    assert root("GET", f"{VMS}/{source}/status/current")["status"] == "running"
    root.run("DELETE", f"{snapshot}/warm")
    names = {row["volid"] for row in root("GET", "/nodes/pve1/storage/tank/content", vmid=source)}
    assert names == {"tank:vm-100-disk-0"}
    root.run("POST", f"{snapshot}/first/rollback", start=1)
    assert root("GET", f"{VMS}/{source}/status/current")["status"] == "running"


def test_containers_are_copied_and_moved(stack: RunningStack, root: Root) -> None:
    cache = stack.dir / "hosts/pve1/root/var/lib/vz/template/cache"
    (cache / "debian-13-standard_13.1-2_amd64.tar.zst").write_bytes(b"")
    template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
    net = "name=eth0,bridge=vmbr0,ip=10.0.0.7/24"
    root.run("POST", CTS, vmid=150, ostemplate=template, rootfs="tank:1", hostname="box", net0=net, start=1)
    cards = {row["name"]: row for row in root("GET", f"{CTS}/150/interfaces")}
    assert cards["eth0"]["inet"] == "10.0.0.7/24"
    running = "Cannot do full clones on a running container without snapshots"
    assert refused(root, "POST", f"{CTS}/150/clone", newid=151) == running
    moving = refused(root, "POST", f"{CTS}/150/move_volume", volume="rootfs", storage="local")
    assert moving == "cannot move volumes of a running container"
    inside = next((stack.dir / "hosts/pve1/zfs").glob("*/data/subvol-150-disk-0"))
    wait_until(lambda: _size(inside / "var/lib/records") > 0, 30)
    root.run("POST", f"{CTS}/150/status/stop")
    root.run("POST", f"{CTS}/150/clone", newid=151, hostname="box2")
    written = list(read_records(str(inside / "var/lib/records"), 0))
    root.run("POST", f"{CTS}/150/move_volume", volume="rootfs", storage="local", delete=1)
    assert root("GET", f"{CTS}/150/config")["rootfs"] == "local:150/vm-150-disk-0.raw,size=1G"
    moved = stack.dir / "hosts/pve1/root/var/lib/vz/images/150/vm-150-disk-0.raw"
    assert list(read_records(str(moved), AREA)) == written
    assert root("GET", f"{CTS}/151/config")["hostname"] == "box2"
    root("POST", f"{CTS}/151/template")
    root.run("POST", f"{CTS}/151/clone", newid=152, hostname="box3")
    assert root("GET", f"{CTS}/152/config")["rootfs"] == "tank:basevol-151-disk-0/subvol-152-disk-0,size=1G"
    root("POST", f"{CTS}/150/template")
    linked = refused(root, "POST", f"{CTS}/150/clone", newid=153)
    assert linked == "Linked clone feature is not supported for drive 'rootfs'"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_all_guests_at_once(root: Root, source: int) -> None:
    root.run("POST", "/nodes/pve1/suspendall", vms=source)
    assert root("GET", f"{VMS}/{source}/status/current")["lock"] == "suspended"
    root.run("POST", f"{VMS}/{source}/status/resume")
    root.run("POST", VMS, vmid=160, scsi0="local:1", start=1)
    root.run("POST", "/nodes/pve1/migrateall", target="pve2", vms=160, with__local__disks=1)
    assert root("GET", "/nodes/pve2/qemu/160/status/current")["status"] == "running"
    assert refused(root, "POST", "/nodes/pve1/migrateall", target="nosuch") == "no such cluster node 'nosuch'"
