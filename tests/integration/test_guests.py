# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests over the API and the shell: their life, their moves, their records (facts §9, §13, §14)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from agentstack.guests.process import Record, read_ledger, read_records

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

DISKS = [{"size": "32G"}, {"size": "8G"}]
HOSTS = {name: {"disks": DISKS} for name in ("pve1", "pve2", "pve3")}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(HOSTS, scale=50, start={"clustered": {"name": "test"}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    root = Root(stack, "pve1")
    pool = {"name": "tank", "raidlevel": "single", "devices": "/dev/sdb", "add_storage": 1}
    for task in [root("POST", f"/nodes/{name}/disks/zfs", **pool) for name in HOSTS]:
        assert root.end_of(task) == "OK"
    return root


@pytest.fixture(scope="module")
def shell(stack: RunningStack) -> Shell:
    return Shell(stack, "pve1")


def volume(stack: RunningStack, host: str, name: str) -> Path | None:
    """Where a ZFS volume's bytes are."""
    return next((stack.dir / "hosts" / host / "zfs").glob(f"*/data/{name}.raw"), None)


def records(stack: RunningStack, host: str, name: str) -> list[Record]:
    path = volume(stack, host, name)
    return list(read_records(str(path))) if path else []


def chained(found: list[Record]) -> bool:
    numbered = all(record.number == number for number, record in enumerate(found, start=1))
    return numbered and all(after.previous == before.check_sum for before, after in pairwise(found))


def test_life_of_a_vm(stack: RunningStack, root: Root, shell: Shell) -> None:
    vms = "/nodes/pve1/qemu"
    upid = root.run("POST", vms, vmid=101, name="web", memory=256, scsi0="tank:1", net0="virtio,bridge=vmbr0")
    assert root.log_of(upid)[0] == "scsi0: successfully created disk 'tank:vm-101-disk-0,size=1G'"
    config = root("GET", f"{vms}/101/config")
    assert (config["scsi0"], config["boot"], config["memory"]) == (
        "tank:vm-101-disk-0,size=1G",
        "order=scsi0;net0",
        "256",
    )
    assert "101" in shell.run("cat /etc/pve/.vmlist").out
    with pytest.raises(Refused) as caught:
        root("POST", vms, vmid=101)
    assert caught.value.reason == "unable to create VM 101 - VM 101 already exists on node 'pve1'"
    root.run("POST", f"{vms}/101/status/start")
    assert root("GET", f"{vms}/101/status/current")["qmpstatus"] == "running"
    assert root.end_of(root("POST", f"{vms}/101/status/start")) == "VM 101 already running"
    wait_until(lambda: len(records(stack, "pve1", "vm-101-disk-0")) >= 2)
    with pytest.raises(Refused) as caught:
        root("DELETE", f"{vms}/101")
    assert caught.value.reason == "VM 101 is running - destroy failed"
    assert shell.run("qm status 101").out == "status: running\n"
    assert shell.run("qm shutdown 101").status == 0
    assert root("GET", f"{vms}/101/status/current")["status"] == "stopped"
    root.run("POST", f"{vms}/101/status/start")
    before = len(records(stack, "pve1", "vm-101-disk-0"))
    wait_until(lambda: len(records(stack, "pve1", "vm-101-disk-0")) > before)
    root.run("POST", f"{vms}/101/status/stop")
    found = records(stack, "pve1", "vm-101-disk-0")
    assert chained(found)
    assert len({record.run for record in found}) == 2
    acknowledged = dict(read_ledger(str(stack.dir / "ledger/101")))
    assert len(acknowledged) >= len(found) - 2
    assert acknowledged.items() <= {record.number: record.check_sum for record in found}.items()
    root.run("DELETE", f"{vms}/101")
    assert root("GET", "/nodes/pve1/storage/tank/content", vmid=101) == []
    with pytest.raises(Refused) as caught:
        root("GET", f"{vms}/101/config")
    assert caught.value.reason == "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist"


def test_a_failed_creation_leaves_nothing(root: Root) -> None:
    upid = root("POST", "/nodes/pve1/qemu", vmid=102, scsi0="tank:1", scsi1="tank:100")
    assert root.end_of(upid) == (
        "unable to create VM 102 - zfs error: cannot create 'tank/vm-102-disk-1': out of space"
    )
    assert root("GET", "/cluster/nextid", vmid=102) == "102"
    assert root("GET", "/nodes/pve1/storage/tank/content", vmid=102) == []
    with pytest.raises(Refused) as caught:
        root("POST", "/nodes/pve1/qemu", vmid=102, scsi0="nosuch:1")
    assert caught.value.reason == "storage 'nosuch' does not exist"


def test_configuration_changes(root: Root) -> None:
    vm = "/nodes/pve1/qemu/103"
    root.run("POST", "/nodes/pve1/qemu", vmid=103, memory=128, cores=1, scsi0="tank:1", start=1)
    digest = root("GET", f"{vm}/config")["digest"]
    root("PUT", f"{vm}/config", description="a\nb", memory=256, digest=digest)
    assert root("GET", f"{vm}/config", current=1)["memory"] == "128"
    assert root("GET", f"{vm}/config")["memory"] == "256"
    rows = {row["key"]: row for row in root("GET", f"{vm}/pending")}
    assert rows["memory"] == {"key": "memory", "value": "128", "pending": "256"}
    with pytest.raises(Refused) as caught:
        root("PUT", f"{vm}/config", cores=2, digest=digest)
    assert caught.value.reason.startswith("detected modified configuration")
    root.run("POST", f"{vm}/status/stop")
    found = root("GET", f"{vm}/config", current=1)
    assert (found["memory"], found["description"]) == ("256", "a\nb\n")
    root("PUT", f"{vm}/config", scsi1="local:1", delete="scsi0")
    found = root("GET", f"{vm}/config")
    assert found["unused0"] == "tank:vm-103-disk-0"
    assert found["scsi1"] == "local:103/vm-103-disk-0.raw,size=1G"
    root.run("PUT", f"{vm}/resize", disk="scsi1", size="+1G")
    assert root("GET", f"{vm}/config")["scsi1"].endswith("size=2G")
    root.run("DELETE", vm)
    assert root("GET", "/nodes/pve1/storage/tank/content", vmid=103) == []


def test_snapshots(root: Root) -> None:
    vm = "/nodes/pve1/qemu/104"
    root.run("POST", "/nodes/pve1/qemu", vmid=104, memory=64, scsi0="tank:1")
    root.run("POST", f"{vm}/snapshot", snapname="before", description="x")
    root("PUT", f"{vm}/config", memory=128)
    rows = root("GET", f"{vm}/snapshot")
    assert [row["name"] for row in rows] == ["before", "current"]
    assert rows[1]["parent"] == "before"
    root.run("POST", f"{vm}/snapshot/before/rollback")
    assert root("GET", f"{vm}/config")["memory"] == "64"
    root.run("DELETE", f"{vm}/snapshot/before")
    assert [row["name"] for row in root("GET", f"{vm}/snapshot")] == ["current"]
    root.run("DELETE", vm)


def test_live_migration_keeps_the_run(stack: RunningStack, root: Root) -> None:
    root.run("POST", "/nodes/pve1/qemu", vmid=110, memory=256, scsi0="tank:1", start=1)
    wait_until(lambda: len(records(stack, "pve1", "vm-110-disk-0")) >= 2)
    vm = "/nodes/pve1/qemu/110"
    with pytest.raises(Refused) as caught:
        root("POST", f"{vm}/migrate", target="pve2")
    assert caught.value.reason == "can't migrate running VM without --online"
    with pytest.raises(Refused) as caught:
        root("POST", f"{vm}/migrate", target="pve1", online=1)
    assert caught.value.errors == {"target": "target is local node."}
    with pytest.raises(Refused) as caught:
        root("POST", f"{vm}/migrate", target="nosuch", online=1)
    assert caught.value.reason == "no such cluster node 'nosuch'"
    upid = root("POST", f"{vm}/migrate", target="pve2", online=1)
    assert root.end_of(upid) == "can't live migrate attached local disks without with-local-disks option"
    allowed = root("GET", f"{vm}/migrate")
    assert (allowed["running"], sorted(allowed["allowed_nodes"])) == (1, ["pve2", "pve3"])
    upid = root.run("POST", f"{vm}/migrate", target="pve2", online=1, with__local__disks=1)
    assert "migration finished successfully" in root.log_of(upid)[-2]
    arrived = len(records(stack, "pve2", "vm-110-disk-0"))
    wait_until(lambda: len(records(stack, "pve2", "vm-110-disk-0")) > arrived)
    found = records(stack, "pve2", "vm-110-disk-0")
    assert chained(found)
    assert len({record.run for record in found}) == 1
    assert [record.host for record in found] == sorted(record.host for record in found)
    assert {record.host for record in found} == {"pve1", "pve2"}
    assert volume(stack, "pve1", "vm-110-disk-0") is None
    root.run("POST", "/nodes/pve2/qemu/110/status/stop")
    root.run("POST", "/nodes/pve2/qemu/110/migrate", target="pve3", targetstorage="local")
    assert root("GET", "/nodes/pve3/qemu/110/config")["scsi0"].startswith("local:110/vm-110-disk-0.raw")
    root.run("DELETE", "/nodes/pve3/qemu/110")


def test_containers_move_with_a_restart(stack: RunningStack, root: Root, shell: Shell) -> None:
    template = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
    given = {"vmid": 120, "ostemplate": template, "hostname": "ct", "rootfs": "tank:1", "start": 1}
    with pytest.raises(Refused) as caught:
        root("POST", "/nodes/pve1/lxc", **given)
    assert caught.value.reason == f"volume '{template}' does not exist"
    (stack.dir / "hosts/pve1/root/var/lib/vz/template/cache" / template.rpartition("/")[2]).touch()
    root.run("POST", "/nodes/pve1/lxc", **given)
    config = root("GET", "/nodes/pve1/lxc/120/config")
    assert (config["rootfs"], config["ostype"], config["memory"]) == ("tank:subvol-120-disk-0,size=1G", "debian", 512)
    with pytest.raises(Refused) as caught:
        root("POST", "/nodes/pve1/lxc/120/status/start")
    assert caught.value.reason == "CT 120 already running"
    root.run("POST", "/nodes/pve1/lxc/120/migrate", target="pve2", restart=1)
    assert root("GET", "/nodes/pve2/lxc/120/status/current")["status"] == "running"
    assert shell.run("pct list").out == ""
    root.run("POST", "/nodes/pve2/lxc/120/status/shutdown")
    root.run("DELETE", "/nodes/pve2/lxc/120")


def test_guests_are_off_after_their_host_was(stack: RunningStack, root: Root) -> None:
    root.run("POST", "/nodes/pve3/qemu", vmid=130, memory=64, start=1)
    pid = root("GET", "/nodes/pve3/qemu/130/status/current")["pid"]
    stack.power("off", "pve3")
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    stack.power("on", "pve3")
    stack.wait_ready("pve3")

    def status() -> str | None:
        try:
            return str(root("GET", "/nodes/pve3/qemu/130/status/current")["status"])
        except Refused:
            return None

    assert wait_until(status) == "stopped"
    wait_until(lambda: root("GET", "/cluster/status")[0]["quorate"])
    root.run("DELETE", "/nodes/pve3/qemu/130")


def test_replication_jobs(root: Root, shell: Shell) -> None:
    jobs = "/cluster/replication"
    root.run("POST", "/nodes/pve1/qemu", vmid=140, memory=64)
    for given, reason in (
        ({"id": "999-0", "target": "pve2"}, "Guest '999' does not exist."),
        ({"id": "140-0", "target": "nosuch"}, "Target 'nosuch' does not exist."),
        ({"id": "140-0", "target": "pve1"}, "Source and target must not be identical"),
        ({"id": "140-0", "target": "pve2", "source": "pve3"},
         "Source 'pve3' does not match current node of guest '140' (pve1)"),
        ({"id": "140-0", "target": "pve2"}, "No replicatable volumes found"),
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            root("POST", jobs, type="local", **given)
        assert (caught.value.status, caught.value.reason) == (500, reason)
    root("PUT", "/nodes/pve1/qemu/140/config", scsi0="local:1")
    with pytest.raises(Refused) as caught:
        root("POST", jobs, type="local", id="140-0", target="pve2")
    assert caught.value.reason == "missing replicate feature on volume 'local:140/vm-140-disk-0.raw'"
    root("PUT", "/nodes/pve1/qemu/140/config", scsi0="tank:1", delete="unused0")
    root("PUT", "/nodes/pve1/qemu/140/config", delete="unused0")
    root("POST", jobs, type="local", id="140-0", target="pve2", schedule="*/5", rate=2.5, comment="füß")
    found = root("GET", jobs)[0]
    assert found == {
        **{"id": "140-0", "type": "local", "guest": 140, "jobnum": 0, "target": "pve2", "source": "pve1"},
        **{"schedule": "*/5", "rate": 2.5, "comment": "füß"},
    }
    with pytest.raises(Refused) as caught:
        root("POST", jobs, type="local", id="140-1", target="pve2")
    assert caught.value.reason == "replication job for guest '140' to target 'local/pve2' already exists"
    status = root("GET", "/nodes/pve1/replication")[0]
    assert (status["fail_count"], status["vmtype"]) == (0, "qemu")
    assert status["next_sync"] % 300 == 0
    assert "140-0" in shell.run("pvesr list").out
    with pytest.raises(Refused) as caught:
        root("DELETE", "/nodes/pve1/qemu/140")
    assert caught.value.reason == "There is a replication job '140-0' for guest '140' - Please remove that first."
    root("DELETE", f"{jobs}/140-0", keep=1)
    assert root("GET", f"{jobs}/140-0")["remove_job"] == "local"
    root.run("DELETE", "/nodes/pve1/qemu/140", purge=1)
    assert root("GET", jobs) == []


def test_backup_jobs(root: Root) -> None:
    jobs = "/cluster/backup"
    root.run("POST", "/nodes/pve1/qemu", vmid=150, memory=64, name="db", scsi0="tank:1", scsi1="tank:1,backup=0")
    assert [row["vmid"] for row in root("GET", "/cluster/backup-info/not-backed-up")] == [150]
    root("POST", jobs, id="night", schedule="sat 03:00", vmid="150,999", storage="local", prune__backups="keep-last=3")
    row = root("GET", jobs)[0]
    assert (row["enabled"], row["prune-backups"], row["type"]) == (1, {"keep-last": "3"}, "vzdump")
    assert row["next-run"] > 0
    assert "next-run" not in root("GET", f"{jobs}/night")
    tree = {row["id"]: row for row in root("GET", f"{jobs}/night/included_volumes")["children"]}
    assert tree[999]["type"] == "unknown"
    assert [(disk["id"], disk["included"]) for disk in tree[150]["children"]] == [("scsi0", 1), ("scsi1", 0)]
    assert root("GET", "/cluster/backup-info/not-backed-up") == []
    root("PUT", f"{jobs}/night", all=1, exclude="150")
    assert "vmid" not in root("GET", f"{jobs}/night")
    assert [row["vmid"] for row in root("GET", "/cluster/backup-info/not-backed-up")] == [150]
    with pytest.raises(Refused) as caught:
        root("POST", jobs, schedule="02:00")
    assert caught.value.message == "400 Parameter verification failed.\nvmid: property is missing\n"
    root("DELETE", f"{jobs}/night")
    with pytest.raises(Refused) as caught:
        root("DELETE", f"{jobs}/night")
    assert caught.value.message == "400 Parameter verification failed.\nid: No such job 'night'\n"
    root.run("DELETE", "/nodes/pve1/qemu/150")


def test_schedules_are_analysed(root: Root) -> None:
    rows = root("GET", "/cluster/jobs/schedule-analyze", schedule="*/15", starttime=1795290000, iterations=2)
    assert [row["timestamp"] for row in rows] == [1795290300, 1795291200]


def test_guests_with_onboot_start_with_their_node(stack: RunningStack, root: Root) -> None:
    root.run("POST", "/nodes/pve3/qemu", vmid=160, memory=64, onboot=1)
    root.run("POST", "/nodes/pve3/qemu", vmid=161, memory=64)
    root.run("POST", "/nodes/pve3/startall")
    states = {row["vmid"]: row["status"] for row in root("GET", "/nodes/pve3/qemu")}
    assert states == {160: "running", 161: "stopped"}
    root.run("POST", "/nodes/pve3/stopall")
    assert root("GET", "/nodes/pve3/qemu/160/status/current")["status"] == "stopped"
    stack.power("off", "pve3")
    wait_until(lambda: stack.host("pve3")["power"] == "off")
    stack.power("on", "pve3")
    stack.wait_ready("pve3")

    def runs() -> bool:
        try:
            return bool(root("GET", "/nodes/pve3/qemu/160/status/current")["status"] == "running")
        except Refused:
            return False

    wait_until(runs)
