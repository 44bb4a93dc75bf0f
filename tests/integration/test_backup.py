# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a node's guests, to a backup server and to a directory (facts §12, §13)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agentstack import control
from agentstack.backup import archive
from agentstack.guests.process import AREA, read_ledger, read_records
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import CHUNK_SIZE
from agentstack.pbs.snapshots import Group, Snapshot

from ..backups import Api, fingerprint, new_token, root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

NODE = "/nodes/pve1"
CONTENT = f"{NODE}/storage/pbs1/content"
EVERY_SECOND = "*:*:*"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts: dict[str, Any] = {"pve1": {"kind": "pve", "disks": [{"size": "32G"}]}}
    hosts["pbs1"] = {"kind": "pbs", "disks": [{"size": "32G"}]}
    return stack_factory(hosts, scale=50, boot_time=0.5)


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> Api:
    found = root(stack, "pbs1")
    found.run("POST", "/config/datastore", name="main", path="/backup/main")
    return found


@pytest.fixture(scope="module")
def settings(stack: RunningStack, server: Api) -> dict[str, Any]:
    """What a storage on the server needs; the token may back up and see how full the datastore is."""
    token, secret = new_token(server, "nodes@pbs", "ha", "DatastoreBackup", "/datastore/main")
    for authid in ("nodes@pbs", token):
        server.data("PUT", "/access/acl", path="/datastore/main", role="DatastoreAudit", auth_id=authid)
    place = {"server": server.address, "datastore": "main", "fingerprint": fingerprint(stack, "pbs1")}
    return {"storage": "pbs1", "type": "pbs", "username": token, "password": secret, **place}


@pytest.fixture(scope="module")
def node(stack: RunningStack, settings: dict[str, Any]) -> Api:
    """The node, with the storage, a running guest with two disks, and a container that is off."""
    found = root(stack, "pve1", "PVE")
    found.data("POST", "/storage", **settings)
    found.data("PUT", "/storage/local", content="images,rootdir,backup")
    found.run("POST", f"{NODE}/qemu", vmid=100, name="web", memory=512, scsi0="local:1", scsi1="local:1,backup=0")
    found.run("POST", f"{NODE}/qemu/100/status/start")
    return found


def backups(node: Api, storage: str = "pbs1") -> list[dict[str, Any]]:
    rows = node.data("GET", f"{NODE}/storage/{storage}/content", content="backup")
    return sorted(rows, key=lambda row: str(row["volid"]))


def tick() -> None:
    """Wait for the next second: no group has two backups of the same one."""
    second = int(time.time())
    wait_until(lambda: int(time.time()) > second)


def image_of(stack: RunningStack, stamp: int, target: Path) -> None:
    """Put the guest's disk together from the chunks on the server."""
    store = Datastore("main", stack.dir / "hosts/pbs1/root/backup/main")
    index = store.index(Snapshot(Group("", "vm", "100"), stamp), "drive-scsi0.img.fidx")
    with target.open("wb") as file:
        file.truncate(index.size)
        contents = {digest: store.chunks.read(digest) for digest in set(index.digests)}
        zeros = bytes(CHUNK_SIZE)
        for number, digest in enumerate(index.digests):
            if contents[digest] != zeros:
                file.seek(number * CHUNK_SIZE)
                file.write(contents[digest])


def acknowledged(stack: RunningStack) -> int:
    """The number of the last record that the guest has told the world about."""
    return max((number for number, _ in read_ledger(str(stack.dir / "ledger/100"))), default=0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"datastore": "nope"}, "other: Cannot find datastore 'nope', check permissions and existence!"),
        ({"password": "wrong"}, "other: error fetching datastores - 401 authentication failed"),
        ({"fingerprint": ":".join(["AB"] * 32)}, "(certificate verify failed)"),
        ({"fingerprint": None}, "(certificate verify failed)"),
        ({"port": 8009}, "8009 (Connection refused)"),
    ],
)
def test_a_storage_is_refused_before_it_is_written(
    node: Api, settings: dict[str, Any], change: dict[str, Any], text: str
) -> None:
    status, message = node.refusal("POST", "/storage", **{**settings, "storage": "other", **change})
    assert status == 500
    assert message.startswith("create storage failed: other: ")
    assert message.endswith(text)
    assert all(row["storage"] != "other" for row in node.data("GET", "/storage"))


def test_the_storage_shows_the_datastore(stack: RunningStack, node: Api, server: Api) -> None:
    status = node.data("GET", f"{NODE}/storage/pbs1/status")
    assert (status["active"], status["total"]) == (1, server.data("GET", "/admin/datastore/main/status")["total"])
    assert "password" not in node.data("GET", "/storage/pbs1")
    secret = stack.dir / "hosts/pve1/root/etc/pve/priv/storage/pbs1.pw"
    assert secret.stat().st_mode & 0o077 == 0


def test_a_running_guest_is_backed_up_as_of_one_instant(stack: RunningStack, node: Api, tmp_path: Path) -> None:
    wait_until(lambda: acknowledged(stack) > 0)
    before = acknowledged(stack)
    log = node.run("POST", f"{NODE}/vzdump", vmid="100", storage="pbs1", notes_template="{{guestname}} on {{node}}")
    for line in (
        "INFO: starting new backup job: vzdump 100 --storage pbs1 --notes-template '{{guestname}} on {{node}}'",
        "INFO: Starting Backup of VM 100 (qemu)",
        "INFO: backup mode: snapshot",
        "INFO: exclude disk 'scsi1' 'local:100/vm-100-disk-1.raw' 1G (backup=no)",
        "INFO: resuming VM again",
        "INFO: Backup job finished successfully",
        "TASK OK",
    ):
        assert line in log.splitlines()
    (row,) = backups(node)
    assert (row["format"], row["vmid"], row["notes"]) == ("pbs-vm", 100, "web on pve1")
    image = tmp_path / "scsi0.img"
    image_of(stack, row["ctime"], image)
    # every record is whole, and whatever was acknowledged before is there
    numbers = [record.number for record in read_records(str(image), AREA)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= before
    assert node.data("GET", f"{NODE}/qemu/100/config").get("lock") is None
    now = acknowledged(stack)
    wait_until(lambda: acknowledged(stack) > now)


def test_a_second_backup_sends_only_what_changed(stack: RunningStack, node: Api, server: Api) -> None:
    chunks = Datastore("main", stack.dir / "hosts/pbs1/root/backup/main").chunks
    before = len(list(chunks.files()))
    tick()
    node.run("POST", f"{NODE}/vzdump", vmid="100", storage="pbs1", mode="suspend", protected=1)
    assert [row.get("protected") for row in backups(node)] == [None, 1]
    # one chunk holds all records
    assert len(list(chunks.files())) == before + 1
    server.run("POST", "/admin/datastore/main/verify")
    assert [row["verification"]["state"] for row in backups(node)] == ["ok", "ok"]


def test_a_stopped_guest_runs_again_while_it_is_stored(node: Api) -> None:
    tick()
    log = node.run("POST", f"{NODE}/vzdump", vmid="100", storage="pbs1", mode="stop")
    assert log.index("stopping virtual guest") < log.index("resuming VM again") < log.index("creating Proxmox Backup")
    assert node.data("GET", f"{NODE}/qemu/100/status/current")["status"] == "running"


def test_a_token_that_may_not_prune_fails_the_backup(node: Api) -> None:
    tick()
    upid = node.data("POST", f"{NODE}/vzdump", vmid="100", storage="pbs1", prune_backups="keep-last=1")
    assert node.finished(upid) == "job errors"
    assert "ERROR: Backup of VM 100 failed - pruning failed: permission check failed" in node.log(upid)


def test_backups_are_removed_through_the_storage(node: Api, server: Api) -> None:
    plain, protected, *_ = backups(node)
    upid = node.data("DELETE", f"{CONTENT}/{plain['volid']}")
    # the token owns the group, but has no right to remove from it
    assert node.finished(upid) == "permission check failed"
    for authid in ("nodes@pbs", "nodes@pbs!ha"):
        server.data("PUT", "/access/acl", path="/datastore/main", role="DatastorePowerUser", auth_id=authid)
    node.run("DELETE", f"{CONTENT}/{plain['volid']}")
    assert plain["volid"] not in [row["volid"] for row in backups(node)]
    assert "protected snapshot" in node.finished(node.data("DELETE", f"{CONTENT}/{protected['volid']}"))
    node.data("PUT", f"{CONTENT}/{protected['volid']}", protected=0, notes="done")
    node.run("DELETE", f"{CONTENT}/{protected['volid']}")


def test_backups_to_a_directory(stack: RunningStack, node: Api) -> None:
    kept = "keep-last=2"
    for _ in range(3):
        node.run("POST", f"{NODE}/vzdump", all=1, storage="local", compress="zstd", prune_backups=kept)
        tick()
    rows = backups(node, "local")
    assert len(rows) == 2
    volid = rows[-1]["volid"]
    assert volid.startswith("local:backup/vzdump-qemu-100-")
    assert volid.endswith(".vma.zst")
    path = stack.dir / "hosts/pve1/root/var/lib/vz/dump" / volid.partition("/")[2]
    assert {key for key, _, _ in archive.read(path)} == {"scsi0"}
    assert "name: web" in node.data("GET", f"{NODE}/vzdump/extractconfig", volume=volid)
    assert path.with_name(f"{path.name.partition('.')[0]}.log").exists()


def test_a_container_is_backed_up_with_its_configuration(stack: RunningStack, node: Api, server: Api) -> None:
    template = "debian-13-standard_13.1-2_amd64.tar.zst"
    (stack.dir / "hosts/pve1/root/var/lib/vz/template/cache" / template).touch()
    node.data("PUT", "/storage/local", content="images,rootdir,backup,vztmpl")
    container = {"ostemplate": f"local:vztmpl/{template}", "rootfs": "local:1", "password": "secret-enough"}
    node.run("POST", f"{NODE}/lxc", vmid=200, hostname="mail", **container)
    log = node.run("POST", f"{NODE}/vzdump", vmid="200", storage="pbs1")
    assert "INFO: including mount point rootfs ('/') in backup" in log
    (row,) = server.data("GET", "/admin/datastore/main/groups", ns="")[-1:]
    assert (row["backup-type"], row["backup-id"], "pct.conf.blob" in row["files"]) == ("ct", "200", True)
    volid = next(row["volid"] for row in backups(node) if row["vmid"] == 200)
    assert "hostname: mail" in node.data("GET", f"{NODE}/vzdump/extractconfig", volume=volid)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "Parameter verification failed."),
        ({"vmid": "100", "all": 1}, "Parameter verification failed."),
        ({"vmid": "777"}, "Configuration file 'nodes/pve1/qemu-server/777.conf' does not exist"),
        ({"vmid": "100", "storage": "nope"}, "storage 'nope' does not exist"),
    ],
)
def test_runs_that_cannot_be(node: Api, given: dict[str, Any], text: str) -> None:
    assert node.refusal("POST", f"{NODE}/vzdump", **given)[1] == text


def test_a_locked_guest_is_not_backed_up(node: Api) -> None:
    node.data("PUT", f"{NODE}/qemu/100/config", lock="migrate")
    upid = node.data("POST", f"{NODE}/vzdump", vmid="100", storage="pbs1")
    assert node.finished(upid) == "job errors"
    assert "ERROR: Backup of VM 100 failed - VM is locked (migrate)" in node.log(upid)
    node.data("PUT", f"{NODE}/qemu/100/config", delete="lock", skiplock=1)


def test_jobs_run_by_their_calendar_events(node: Api) -> None:
    before = len(backups(node))
    node.data("POST", "/cluster/backup", id="often", schedule=EVERY_SECOND, storage="pbs1", all=1)
    wait_until(lambda: len(backups(node)) >= before + 2)
    node.data("DELETE", "/cluster/backup/often")
    (newest, *_) = node.data("GET", f"{NODE}/tasks", typefilter="vzdump", source="all")
    assert newest["user"] == "root@pam"


def test_backups_and_their_return_on_the_console(stack: RunningStack, node: Api) -> None:
    shell = Shell(stack, "pve1")
    tick()
    made = shell.run("vzdump 100 200 --storage pbs1 --mode snapshot --notes-template '{{guestname}} by hand'")
    assert (made.status, "INFO: Backup job finished successfully" in made.out) == (0, True), made.err
    of_vm, of_ct = (max(row["volid"] for row in backups(node) if row["vmid"] == vmid) for vmid in (100, 200))
    assert next(row["notes"] for row in backups(node) if row["volid"] == of_vm) == "web by hand"
    assert "name: web" in shell.run(f"pvesm extractconfig {of_vm}").out
    assert shell.run(f"qmrestore {of_vm} 110 --storage local --unique 1").status == 0
    assert node.data("GET", f"{NODE}/qemu/110/config")["name"] == "web"
    again = shell.run(f"qmrestore {of_vm} 110")
    assert (again.status, "unable to restore VM 110 - VM 110 already exists" in again.err) == (255, True)
    assert shell.run(f"pct restore 210 {of_ct} --storage local").status == 0
    assert node.data("GET", f"{NODE}/lxc/210/config")["hostname"] == "mail"
    assert shell.run("qm destroy 110").status == shell.run("pct destroy 210").status == 0

    for _ in range(2):
        tick()
        assert shell.run("vzdump 200 --storage local --compress zstd").status == 0
    before = {row["volid"] for row in backups(node, "local")}
    shown = shell.run("pvesm prune-backups local --vmid 200 --keep-last 1 --dry-run")
    assert [line.split()[-1] for line in shown.out.splitlines()[1:]].count("keep") == 1
    assert {row["volid"] for row in backups(node, "local")} == before, "nothing is removed when it is only asked"
    assert shell.run("pvesm prune-backups local --vmid 200 --keep-last 1").status == 0
    assert len([row for row in backups(node, "local") if row["vmid"] == 200]) == 1
    for line in ("vzdump", "vzdump 100 --mode perhaps", "qmrestore onlyone", "vzdump 777 --storage local"):
        refused = shell.run(line)
        assert refused.status != 0, line
        assert refused.err, line


def test_a_running_container_without_snapshots_is_held(node: Api) -> None:
    """A directory's raw image has none, so the run falls back, and says so."""
    node.run("POST", f"{NODE}/lxc/200/status/start")
    log = node.run("POST", f"{NODE}/vzdump", vmid="200", storage="local", mode="snapshot")
    lines = [line.removeprefix("INFO: ") for line in log.splitlines()]
    at = lines.index("mode failure - some volumes do not support snapshots")
    assert lines[at + 1 : at + 3] == ["trying 'suspend' mode instead", "backup mode: suspend"]
    assert "suspending guest" in lines
    node.run("POST", f"{NODE}/lxc/200/status/stop")


def test_a_limit_takes_its_time_and_fleecing_its_room(node: Api) -> None:
    given: dict[str, Any] = {"vmid": "100", "storage": "local"}
    tick()
    log = node.run("POST", f"{NODE}/vzdump", **given, bwlimit=20, ionice=8, fleecing="1,storage=local")
    lines = [line.removeprefix("INFO: ") for line in log.splitlines()]
    assert lines[0].endswith("--bwlimit 20 --ionice 8 --fleecing 1,storage=local")
    at = lines.index("bandwidth limit: 20 KiB/s")
    assert lines[at + 1] == "ionice priority: 8"
    (took,) = (line[-9:-1] for line in lines if line.startswith("Finished Backup of VM 100"))
    hours, minutes, seconds = map(int, took.split(":"))
    # a mebibyte with the guest's records is read
    assert hours * 3600 + minutes * 60 + seconds >= 45

    def images() -> list[str]:
        rows = node.data("GET", f"{NODE}/storage/local/content", vmid=100)
        return [row["volid"] for row in rows if "fleece" in row["volid"]]

    assert images() == []
    upid = node.data("POST", f"{NODE}/vzdump", **given, bwlimit=1, fleecing="1,storage=local")
    wait_until(lambda: images() == ["local:100/vm-100-fleece-0.raw"])
    node.data("DELETE", f"{NODE}/tasks/{upid}")
    assert node.finished(upid)
    assert images() == []
    assert node.data("GET", f"{NODE}/qemu/100/config").get("lock") is None

    upid = node.data("POST", f"{NODE}/vzdump", **given, fleecing="1,storage=nope")
    assert node.finished(upid) == "job errors"
    assert "ERROR: Backup of VM 100 failed - storage 'nope' does not exist" in node.log(upid)
    wrong = ({"bwlimit": -1}, {"ionice": 9}, {"fleecing": "1"}, {"fleecing": "perhaps=1"}, {"performance": "x=1"})
    for options in wrong:
        assert node.refusal("POST", f"{NODE}/vzdump", **given, **options)[0] == 400, options


def test_files_are_left_out_of_a_container(stack: RunningStack, node: Api) -> None:
    def files(**options: Any) -> bytes:
        tick()
        log = node.run("POST", f"{NODE}/vzdump", vmid="200", storage="local", compress="0", **options)
        name = log.partition("creating vzdump archive '")[2].partition("'")[0]
        path = stack.dir / "hosts/pve1/root" / name.lstrip("/")
        return b"".join(data for _, _, data in archive.read(path))

    assert b"./var/lib/records" in files()
    assert b"./var/lib" not in files(exclude_path=["lib", "/srv/*"])


def test_what_was_missed_is_repeated_only_if_the_job_says_so(stack: RunningStack, node: Api) -> None:
    daily = {"schedule": "2:00", "storage": "local"}
    node.data("POST", "/cluster/backup", id="missed", vmid="100", repeat_missed=1, **daily)
    node.data("POST", "/cluster/backup", id="skipped", vmid="200", **daily)
    states = stack.dir / "hosts/pve1/root/var/lib/pve-manager/jobs"
    wait_until(lambda: {"vzdump-missed.json", "vzdump-skipped.json"} <= {path.name for path in states.glob("*")})
    runs = {"typefilter": "vzdump", "source": "all"}
    before = {row["upid"] for row in node.data("GET", f"{NODE}/tasks", **runs)}
    stack.power("off", "pve1")
    control.request(stack.dir, {"do": "advance clock", "seconds": 86400.0})
    stack.power("on", "pve1")
    stack.wait_ready("pve1")
    again = root(stack, "pve1", "PVE")

    def ended() -> list[dict[str, Any]]:
        found = again.data("GET", f"{NODE}/tasks", **runs)
        return [row for row in found if row.get("status") and row["upid"] not in before]

    (row,) = wait_until(ended, 60)
    log = again.log(row["upid"])
    assert "vzdump 100 " in log.splitlines()[0]
    for name in ("missed", "skipped"):
        again.data("DELETE", f"/cluster/backup/{name}")


def test_a_server_that_is_gone_makes_the_storage_inactive(stack: RunningStack, settings: dict[str, Any]) -> None:
    node = root(stack, "pve1", "PVE")
    stack.power("off", "pbs1")
    wait_until(lambda: stack.host("pbs1")["power"] == "off")
    assert node.data("GET", f"{NODE}/storage/pbs1/status")["active"] == 0
    upid = node.data("POST", f"{NODE}/vzdump", vmid="100", storage="pbs1")
    assert node.finished(upid).startswith("could not activate storage 'pbs1': pbs1: error fetching datastores - 500 ")
    assert "Connection refused" in node.refusal("GET", CONTENT)[1]
