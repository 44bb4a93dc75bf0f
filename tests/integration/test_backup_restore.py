# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests come back from their backups: whole, elsewhere, under another number, encrypted (facts §13, §14)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentstack.guests.process import AREA, read_ledger, read_records

from ..backups import Api, fingerprint, new_token, root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

HERE, THERE = "/nodes/pve1", "/nodes/pve2"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts: dict[str, Any] = {name: {"kind": "pve", "disks": [{"size": "32G"}]} for name in ("pve1", "pve2")}
    hosts["pbs1"] = {"kind": "pbs", "disks": [{"size": "32G"}]}
    return stack_factory(hosts, scale=50, boot_time=0.5)


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> Api:
    found = root(stack, "pbs1")
    found.run("POST", "/config/datastore", name="main", path="/backup/main")
    found.data("POST", "/admin/datastore/main/namespace", name="secret")
    return found


@pytest.fixture(scope="module")
def storage(stack: RunningStack, server: Api) -> dict[str, Any]:
    token, secret = new_token(server, "nodes@pbs", "ha", "DatastoreAdmin", "/datastore/main")
    place = {"server": server.address, "datastore": "main", "fingerprint": fingerprint(stack, "pbs1")}
    return {"type": "pbs", "username": token, "password": secret, **place}


@pytest.fixture(scope="module")
def node(stack: RunningStack, storage: dict[str, Any]) -> Api:
    """The node whose guests are backed up: a running VM with two disks, and a running container."""
    found = root(stack, "pve1", "PVE")
    found.data("POST", "/storage", storage="pbs1", **storage)
    found.data("PUT", "/storage/local", content="images,rootdir,backup,vztmpl")
    found.run("POST", f"{HERE}/qemu", vmid=100, name="web", scsi0="local:1", scsi1="local:1", net0="virtio")
    found.run("POST", f"{HERE}/qemu/100/status/start")
    return found


@pytest.fixture(scope="module")
def other(stack: RunningStack, storage: dict[str, Any]) -> Api:
    """A node of another cluster with the same storage."""
    found = root(stack, "pve2", "PVE")
    found.data("POST", "/storage", storage="backups", **storage)
    found.data("PUT", "/storage/local", content="images,rootdir,backup")
    return found


def newest(node: Api, where: str, storage: str, vmid: int = 100) -> str:
    rows = node.data("GET", f"{where}/storage/{storage}/content", content="backup", vmid=vmid)
    return str(max(rows, key=lambda row: int(row["ctime"]))["volid"])


def disk(stack: RunningStack, host: str, node: Api, where: str, vmid: int, key: str = "scsi0") -> Path:
    volume = node.data("GET", f"{where}/qemu/{vmid}/config")[key].partition(",")[0]
    return stack.dir / f"hosts/{host}/root/var/lib/vz/images" / volume.partition(":")[2]


def acknowledged(stack: RunningStack, vmid: int) -> int:
    path = stack.dir / f"ledger/{vmid}"
    return max((number for number, _ in read_ledger(str(path))), default=0) if path.exists() else 0


def records(path: Path) -> int:
    """The number of the last record on a disk; all of them have to be whole and in a row."""
    found = list(read_records(str(path), AREA))
    assert [record.number for record in found] == list(range(1, len(found) + 1))
    return len(found)


def back_up(node: Api, vmid: int, storage: str = "pbs1", **given: Any) -> str:
    return node.run("POST", f"{HERE}/vzdump", vmid=str(vmid), storage=storage, **given)


def test_a_running_guest_comes_back_in_another_cluster(stack: RunningStack, node: Api, other: Api) -> None:
    wait_until(lambda: acknowledged(stack, 100) > 0)
    before = acknowledged(stack, 100)
    back_up(node, 100)
    volume = newest(other, THERE, "backups")
    log = other.run("POST", f"{THERE}/qemu", vmid=200, archive=volume, storage="local", unique=1, start=1)
    for line in ("new volume ID is 'local:200/vm-200-disk-0.raw'", "rescan volumes..."):
        assert line in log.splitlines()
    assert "restore image complete (bytes=1073741824" in log
    old, new = node.data("GET", f"{HERE}/qemu/100/config"), other.data("GET", f"{THERE}/qemu/200/config")
    assert new["name"] == "web"
    assert new["net0"].partition(",")[0] != old["net0"].partition(",")[0]
    wait_until(lambda: acknowledged(stack, 200) > before)
    other.run("POST", f"{THERE}/qemu/200/status/stop")
    assert records(disk(stack, "pve2", other, THERE, 200)) > before


def test_a_second_backup_reads_what_was_written_since(stack: RunningStack, node: Api, server: Api) -> None:
    back_up(node, 100)
    assert acknowledged(stack, 100) > 0
    written = acknowledged(stack, 100)
    wait_until(lambda: acknowledged(stack, 100) > written)
    log = back_up(node, 100)
    assert "scsi0: dirty-bitmap status: OK (4.0 MiB of 1.0 GiB dirty)" in log
    assert "scsi1: dirty-bitmap status: OK (0 B of 1.0 GiB dirty)" in log
    assert "using fast incremental mode (dirty-bitmap), 4.0 MiB dirty of 2.0 GiB total" in log
    # what the bitmap counts from is gone
    kind, ident, _ = newest(node, HERE, "pbs1").partition("backup/")[2].split("/")
    group = {"backup-type": kind, "backup-id": ident}
    last = max(row["backup-time"] for row in server.data("GET", "/admin/datastore/main/snapshots", **group))
    server.data("DELETE", "/admin/datastore/main/snapshots", backup_time=last, **group)
    assert "scsi0: dirty-bitmap status: existing bitmap was invalid and has been cleared" in back_up(node, 100)
    volume = newest(node, HERE, "pbs1")
    node.run("POST", f"{HERE}/qemu", vmid=101, archive=volume)
    assert records(disk(stack, "pve1", node, HERE, 101)) >= written
    node.run("DELETE", f"{HERE}/qemu/101")


def test_nothing_is_overwritten_by_accident(stack: RunningStack, node: Api) -> None:
    back_up(node, 100)
    volume, path = newest(node, HERE, "pbs1"), f"{HERE}/qemu"
    text = "unable to restore VM 100 - VM 100 already exists on node 'pve1'"
    assert node.refusal("POST", path, vmid=100, archive=volume)[1] == text
    refused = node.refusal("POST", path, vmid=100, archive=volume, force=1)[1]
    assert refused == "unable to restore VM 100 - VM is running"
    node.run("POST", f"{path}/100/status/stop")
    there = records(disk(stack, "pve1", node, HERE, 100))
    node.run("POST", path, vmid=100, archive=volume, force=1)
    assert records(disk(stack, "pve1", node, HERE, 100)) <= there
    volumes = node.data("GET", f"{HERE}/storage/local/content", content="images", vmid=100)
    assert len(volumes) == 2
    upid = node.data("POST", path, vmid=109, archive="pbs1:backup/vm/100/2001-01-01T00:00:00Z")
    assert node.finished(upid).startswith("unable to restore VM 109 - ")
    assert node.refusal("GET", f"{path}/109/config")[0] == 500
    node.run("POST", f"{path}/100/status/start")


def test_who_restores_needs_rights_on_the_backup_the_guest_and_the_storage(stack: RunningStack, node: Api) -> None:
    node.data("POST", "/access/users", userid="sam@pve", password="correct horse")
    sam, volume = node.login("sam@pve", "correct horse"), newest(node, HERE, "pbs1")

    def give(path: str, *privileges: str) -> None:
        role = "Rest" + path.replace("/", "-")
        node.data("POST", "/access/roles", roleid=role, privs=",".join(privileges))
        node.data("PUT", "/access/acl", path=path, roles=role, users="sam@pve")

    def refused(**given: Any) -> str:
        status, text = sam.refusal("POST", f"{HERE}/qemu", archive=volume, **given)
        assert status == 403
        return text.removeprefix("Permission check failed ").strip("()")

    assert refused(vmid=110) == "/vms/110, VM.Allocate"
    give("/vms/110", "VM.Allocate")
    assert refused(vmid=110) == "/storage/pbs1, Datastore.AllocateSpace"
    give("/storage/pbs1", "Datastore.AllocateSpace")
    # to back up the guest that is made now is not to back up the one that the backup is of
    assert refused(vmid=110) == "/vms/100, VM.Backup"
    give("/vms/100", "VM.Backup")
    assert refused(vmid=110, storage="local") == "/storage/local, Datastore.AllocateSpace"
    assert refused(vmid=110, memory=128) == "/vms/110, VM.Config.Memory"
    # where the disks go if nothing is said stands in the backup
    ended = sam.finished(sam.data("POST", f"{HERE}/qemu", vmid=110, archive=volume))
    text = "unable to restore VM 110 - Permission check failed (/storage/local, Datastore.AllocateSpace)"
    assert ended == text
    # with force, what may be backed up may be overwritten; without it, and elsewhere, not
    assert refused(vmid=100) == refused(vmid=100, storage="local") == "/vms/100, VM.Allocate"
    assert refused(vmid=111, force=1) == "/vms/111, VM.Allocate"
    assert sam.refusal("POST", f"{HERE}/qemu", vmid=100, archive=volume, force=1)[1].endswith("VM is running")


def test_a_guest_runs_while_it_is_restored(stack: RunningStack, node: Api) -> None:
    volume = newest(node, HERE, "pbs1")
    log = node.run("POST", f"{HERE}/qemu", vmid=102, archive=volume, live_restore=1)
    lines = [line for line in log.splitlines() if "Starting VM for live-restore" in line or "drive-scsi1" in line]
    assert "Starting VM" in lines[0]
    assert node.data("GET", f"{HERE}/qemu/102/status/current")["status"] == "running"
    # what it wrote meanwhile, and goes on to write, stands behind what was in the backup
    told = wait_until(lambda: acknowledged(stack, 102))
    wait_until(lambda: acknowledged(stack, 102) > told)
    node.run("POST", f"{HERE}/qemu/102/status/stop")
    assert records(disk(stack, "pve1", node, HERE, 102)) >= acknowledged(stack, 102) > told > 1
    node.run("DELETE", f"{HERE}/qemu/102")


def test_a_backup_file_gives_the_guest_back(stack: RunningStack, node: Api) -> None:
    back_up(node, 100, "local", compress="zstd")
    volume = newest(node, HERE, "local")
    node.run("POST", f"{HERE}/qemu", vmid=103, archive=volume)
    assert records(disk(stack, "pve1", node, HERE, 103)) > 0
    node.run("DELETE", f"{HERE}/qemu/103")


def test_a_container_comes_back_with_its_files(stack: RunningStack, node: Api, server: Api) -> None:
    (template := stack.dir / "hosts/pve1/root/var/lib/vz/template/cache").mkdir(parents=True, exist_ok=True)
    (template / "debian-13-standard_13.1-2_amd64.tar.zst").write_bytes(b"")
    image = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
    node.run("POST", f"{HERE}/lxc", vmid=300, ostemplate=image, rootfs="local:1", hostname="box")
    node.run("POST", f"{HERE}/lxc/300/status/start")
    wait_until(lambda: acknowledged(stack, 300) > 0)
    before = acknowledged(stack, 300)
    log = back_up(node, 300)
    assert "INFO: root.pxar: had to backup" in log
    (row,) = server.data("GET", "/admin/datastore/main/snapshots", backup_type="ct")
    names = [entry["filename"] for entry in row["files"]]
    assert names == ["pct.conf.blob", "catalog.pcat1.didx", "root.pxar.didx", "index.json.blob"]
    node.run("POST", f"{HERE}/lxc", vmid=301, ostemplate=newest(node, HERE, "pbs1", 300), restore=1, storage="local")
    volume = node.data("GET", f"{HERE}/lxc/301/config")["rootfs"].partition(",")[0].partition(":")[2]
    assert records(stack.dir / "hosts/pve1/root/var/lib/vz/images" / volume) >= before
    node.run("POST", f"{HERE}/lxc/301/status/start")
    wait_until(lambda: acknowledged(stack, 301) > before)
    for vmid in (300, 301):
        node.run("POST", f"{HERE}/lxc/{vmid}/status/stop")
    single_files(node, newest(node, HERE, "pbs1", 300), "root.pxar.didx")
    single_files(node, newest(node, HERE, "pbs1", 100), "drive-scsi0.img.fidx", "part", "1")


def single_files(node: Api, volume: str, *first: str) -> None:
    """Walk down to the file of records, and fetch it."""
    path, found = f"{HERE}/storage/pbs1/file-restore", {"filepath": "/"}
    for name in (*first, "var", "lib", "records"):
        rows = node.data("GET", f"{path}/list", volume=volume, filepath=found["filepath"])
        found = next(row for row in rows if row["text"] == name)
    assert (found["type"], found["leaf"]) == ("f", 1)
    answer = node("GET", f"{path}/download", volume=volume, filepath=found["filepath"])
    assert (answer.status_code, answer.content[:4], len(answer.content)) == (200, b"QREC", found["size"])


def test_the_client_lists_and_restores_on_the_console(stack: RunningStack, node: Api, storage: dict[str, Any]) -> None:
    shell = Shell(stack, "pve1")
    place = f"PBS_FINGERPRINT={storage['fingerprint']} PBS_PASSWORD={storage['password']}"
    repository = f"--repository '{storage['username']}@{storage['server']}:main'"
    client = f"{place} proxmox-backup-client"
    name = newest(node, HERE, "pbs1").partition("backup/")[2]
    assert "| vm/100 | vm/100/" in shell.run(f"{client} list {repository}").out
    listed = shell.run(f"{client} snapshot list vm/100 {repository}").out
    assert name in listed
    assert "drive-scsi0.img" in listed
    assert "drive-scsi0.img.fidx" in shell.run(f"{client} snapshot files {name} {repository}").out
    restored = shell.run(f"{client} restore {name} drive-scsi0.img /root/disk.raw {repository}")
    assert (restored.status, restored.err) == (0, "")
    assert records(stack.dir / "hosts/pve1/root/root/disk.raw") > 0
    assert "name: web" in shell.run(f"{client} restore {name} qemu-server.conf - {repository}").out
    again = shell.run(f"{client} restore {name} drive-scsi0.img /root/disk.raw {repository}")
    assert (again.status, again.err) == (255, "Error: unable to create output file 'disk.raw' - File exists\n")
    assert shell.run(f"proxmox-backup-client list {repository}").err == "Error: no password input mechanism available\n"
    wrong = shell.run(f"{client} list --repository '{storage['username']}@{storage['server']}:mian'")
    assert wrong.status == 255
    assert "mian" in wrong.err
    for change in ("notes update {} checked", "protected update {} true"):
        assert shell.run(f"{client} snapshot {change.format(name)} {repository}").status == 0
    assert shell.run(f"{client} snapshot notes show {name} {repository}").out == "checked\n"
    assert shell.run(f"{client} snapshot protected show {name} {repository}").out == "true\n"
    kept = shell.run(f"{client} snapshot forget {name} {repository}")
    assert (kept.status, "protected" in kept.err) == (255, True)
    assert shell.run(f"{client} snapshot protected update {name} false {repository}").status == 0
    oldest = listed.split("| vm/100/")[1].split()[0]
    assert f"vm/100/{oldest}" != name
    assert shell.run(f"{client} snapshot forget vm/100/{oldest} {repository}").status == 0
    assert oldest not in shell.run(f"{client} snapshot list vm/100 {repository}").out
    assert shell.run(f"{client} namespace list {repository}").out == "secret\n"
    tree = newest(node, HERE, "pbs1", 300).partition("backup/")[2]
    assert shell.run(f"{client} restore {tree} root.pxar /root/tree {repository}").status == 0
    assert (stack.dir / "hosts/pve1/root/root/tree/var/lib/records").stat().st_size > 0


def test_only_the_key_opens_an_encrypted_backup(
    stack: RunningStack, node: Api, other: Api, server: Api, storage: dict[str, Any]
) -> None:
    secret = {**storage, "namespace": "secret"}
    made = node.data("POST", "/storage", storage="sealed", **secret, encryption_key="autogen")
    key = made["config"]["encryption-key"]
    name = json.loads(key)["fingerprint"]
    assert node.data("GET", "/storage/sealed")["encryption-key"] == name
    assert "enabling encryption" in back_up(node, 100, "sealed")
    (row,) = server.data("GET", "/admin/datastore/main/snapshots", ns="secret")
    assert row["fingerprint"] == name
    assert {entry["crypt-mode"] for entry in row["files"]} == {"encrypt", "sign-only"}
    server.run("POST", "/admin/datastore/main/verify", ns="secret")
    assert "backup was done incrementally, reused" in back_up(node, 100, "sealed")
    node.run("POST", f"{HERE}/qemu", vmid=104, archive=newest(node, HERE, "sealed"))
    assert records(disk(stack, "pve1", node, HERE, 104)) > 0
    other.data("POST", "/storage", storage="sealed", **secret)
    volume = newest(other, THERE, "sealed")
    upid = other.data("POST", f"{THERE}/qemu", vmid=201, archive=volume)
    assert other.finished(upid).endswith(f"missing key - manifest was created with key {name}")
    other.data("PUT", "/storage/sealed", encryption_key=key)
    other.run("POST", f"{THERE}/qemu", vmid=201, archive=volume)
    assert records(disk(stack, "pve2", other, THERE, 201)) > 0
