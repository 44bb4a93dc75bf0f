# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup server over HTTPS, as clients meet it (facts §20)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from agentstack.errors import AgentError
from agentstack.pbs.client import Login, PbsClient, Unreachable
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import CHUNK_SIZE, FixedIndex
from agentstack.pbs.snapshots import Group, Snapshot

from ..backups import Api, fingerprint, login, new_token, root
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SCALE = 50
STORE = "/admin/datastore/main"
IMAGE = "drive-scsi0.img.fidx"
DISK = {"size": "32G"}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory({name: {"kind": "pbs", "disks": [DISK, {"size": "64G"}]} for name in ("pbs1", "pbs2")},
                         scale=SCALE, boot_time=0.5)  # fmt: skip


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> Api:
    found = root(stack, "pbs1")
    found.run("POST", "/config/datastore", name="main", path="/backup/main")
    return found


@pytest.fixture(scope="module")
def other(stack: RunningStack) -> Api:
    found = root(stack, "pbs2")
    found.run("POST", "/config/datastore", name="main", path="/backup/main")
    return found


@pytest.fixture(scope="module")
def writer(stack: RunningStack, server: Api) -> Login:
    return login(stack, "pbs1", *new_token(server, "nodes@pbs", "ha", "DatastoreBackup", "/datastore/main"))


def directory(stack: RunningStack, host: str, path: str = "backup/main") -> Datastore:
    return Datastore("main", stack.dir / "hosts" / host / "root" / path)


async def upload(
    login: Login, stamp: int, chunks: list[bytes], *, vmid: str = "100", ns: str = "", finish: bool = True
) -> int:
    """Write a snapshot as a node does; gives how many chunks were sent."""
    sent = 0
    async with PbsClient(login, login.server.rpartition(".")[0] + ".11") as client:
        snapshot = Snapshot(Group(ns, "vm", vmid), stamp)
        await client.begin_backup("main", snapshot)
        await client.send_blob("qemu-server.conf.blob", b"name: web\n")
        previous = await client.previous_index(IMAGE)
        known = set(previous.digests) if previous else set()
        digests = [hashlib.sha256(data).digest() for data in chunks]
        for digest, data in zip(digests, chunks, strict=True):
            if digest not in known:
                await client.send_chunk(digest, data)
                sent += 1
        await client.send_index(IMAGE, FixedIndex(CHUNK_SIZE * len(chunks), digests, stamp))
        if finish:
            await client.finish_backup()
    return sent


def back_up(login: Login, stamp: int, *letters: str, **where: Any) -> int:
    return asyncio.run(upload(login, stamp, [letter.encode() * CHUNK_SIZE for letter in letters], **where))


def times(api: Api, vmid: str = "100", **where: Any) -> list[int]:
    rows = api.data("GET", f"{STORE}/snapshots", backup_type="vm", backup_id=vmid, **where)
    return sorted(row["backup-time"] for row in rows)


# --- how it speaks ----------------------------------------------------------------------------------------------------


def test_anybody_may_ping_and_nobody_else_gets_far(stack: RunningStack, server: Api) -> None:
    anybody = Api(server.address)
    assert anybody.data("GET", "/ping") == {"pong": True}
    begun = time.monotonic()
    assert anybody.refusal("GET", "/version") == (401, "authentication failed")
    assert time.monotonic() - begun >= 3 / SCALE
    assert server.data("GET", "/version")["version"].startswith("4.0.")


@pytest.mark.parametrize(
    ("verb", "path", "given", "status", "text"),
    [
        ("GET", "/nosuch", {}, 404, "Path '/nosuch' not found."),
        ("GET", "/admin/datastore/nosuch/status", {}, 404, "datastore 'nosuch' does not exist."),
        ("GET", "/nodes/elsewhere/status", {}, 400, "parameter verification failed - 'node': no such node 'elsewhere'"),
        (
            "POST",
            "/config/datastore",
            {"name": "main", "path": "/elsewhere"},
            400,
            "parameter verification failed - 'name': datastore 'main' already exists.",
        ),
        (
            "POST",
            "/config/datastore",
            {"name": "ab", "colour": "red", "path": "/x"},
            400,
            "parameter verification failed:\n- 'name': value must be at least 3 characters long (got 2)\n"
            "- 'colour': schema does not allow additional properties.",
        ),
        ("PUT", "/config/datastore/main", {"digest": "0" * 64}, 400, "detected modified configuration"),
        ("PUT", "/config/datastore/main", {"delete": ["colour"]}, 400, "not defined in the enumeration"),
        (
            "PUT",
            "/config/datastore/main",
            {"gc-schedule": "now and then"},
            400,
            "'gc-schedule': invalid calendar event",
        ),
        ("POST", "/config/datastore", {"name": "inner", "path": "/backup/main/sub"}, 400, "nested datastores"),
        ("POST", "/access/users", {"userid": "a@ldap"}, 400, "no such realm 'ldap'"),
        ("PUT", "/access/acl", {"path": "/nowhere", "role": "Audit", "auth-id": "root@pam"}, 400, "invalid acl path"),
        ("PUT", "/access/acl", {"path": "/", "role": "Audit", "auth-id": "ghost@pbs"}, 400, "no such user."),
    ],
)
def test_refusals_are_plain_text(
    server: Api, verb: str, path: str, given: dict[str, Any], status: int, text: str
) -> None:
    found = server.refusal(verb, path, **given)
    assert found[0] == status
    assert text in found[1]


def test_upgrades_to_the_protocol_of_real_clients_are_refused(server: Api) -> None:
    place = {"store": "main", "backup-type": "vm", "backup-id": "1", "backup-time": 1}
    assert server.refusal("GET", "/reader", **place)[0] == 501


def test_writes_with_a_ticket_need_the_token_against_forgery(server: Api) -> None:
    forged = Api(server.address, headers={"Cookie": server.headers["Cookie"]})
    assert forged.data("GET", "/access/users")
    assert forged.refusal("POST", "/access/users", userid="x@pbs")[0] == 401


def test_the_certificate_is_the_one_of_the_secrets_file(stack: RunningStack, server: Api) -> None:
    (shown,) = server.data("GET", "/nodes/localhost/certificates/info")
    assert shown["fingerprint"] == fingerprint(stack, "pbs1").lower()
    assert shown["subject"] == shown["issuer"]


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_a_user_from_creation_to_removal(server: Api) -> None:
    server.data("POST", "/access/users", userid="ann@pbs", password="correct horse", comment="Ann")
    assert "already exists" in server.refusal("POST", "/access/users", userid="ann@pbs")[1]
    ann = Api(server.address).login("ann@pbs", "correct horse")
    assert [row["userid"] for row in ann.data("GET", "/access/users")] == ["ann@pbs"]
    assert ann.refusal("POST", "/access/users", userid="x@pbs") == (403, "permission check failed")
    token = ann.data("POST", "/access/users/ann@pbs/token/laptop")
    with_token = Api(server.address).token(token["tokenid"], token["value"])
    assert with_token.data("GET", "/admin/datastore") == []
    renewed = ann.data("PUT", "/access/users/ann@pbs/token/laptop", regenerate=1)["secret"]
    assert with_token.refusal("GET", "/version")[0] == 401
    assert Api(server.address).token(token["tokenid"], renewed).data("GET", "/version")
    server.data("PUT", "/access/users/ann@pbs", enable=0, delete="comment")
    assert server.data("GET", "/access/users/ann@pbs") == {"userid": "ann@pbs", "enable": False}
    assert Api(server.address).refusal("POST", "/access/ticket", username="ann@pbs", password="correct horse")[0] == 401
    server.data("PUT", "/access/acl", path="/datastore", role="Audit", auth_id="ann@pbs")
    server.data("DELETE", "/access/users/ann@pbs")
    assert server.refusal("GET", "/access/users/ann@pbs")[0] == 404
    assert all(row["ugid"] != "ann@pbs" for row in server.data("GET", "/access/acl"))


def test_a_token_has_no_more_rights_than_its_user(server: Api) -> None:
    token, secret = new_token(server, "bob@pbs", "full", "DatastoreAudit", "/datastore/main")
    server.data("PUT", "/access/acl", path="/", role="Admin", auth_id=token)
    bob = Api(server.address).token(token, secret)
    assert bob.data("GET", f"{STORE}/status")["total"] > 0
    assert bob.refusal("POST", f"{STORE}/gc")[0] == 403
    assert set(bob.data("GET", "/access/permissions", path="/datastore/main")["/datastore/main"]) == {"Datastore.Audit"}


# --- configuration ----------------------------------------------------------------------------------------------------


def test_a_datastore_from_creation_to_removal(stack: RunningStack, server: Api) -> None:
    log = server.run(
        "POST", "/config/datastore", name="spare", path="/backup/spare", prune_schedule="daily", keep_last=2
    )
    assert log.endswith("TASK OK")
    answer = server("GET", "/config/datastore/spare").json()
    assert answer["data"] == {"name": "spare", "path": "/backup/spare"}
    (job,) = [job for job in server.data("GET", "/config/prune") if job["store"] == "spare"]
    assert (job["schedule"], job["keep-last"]) == ("daily", 2)
    server.data("PUT", "/config/datastore/spare", digest=answer["digest"], comment="second", gc_schedule="weekly")
    assert server("GET", "/config/datastore/spare").json()["digest"] != answer["digest"]
    server.data("PUT", "/config/datastore/spare", maintenance_mode="offline")
    assert "offline maintenance mode" in server.refusal("GET", "/admin/datastore/spare/snapshots")[1]
    server.data("PUT", "/config/datastore/spare", delete=["maintenance-mode", "comment"])
    server.run("DELETE", "/config/datastore/spare", destroy_data=1)
    assert server.refusal("GET", "/config/datastore/spare")[0] == 404
    assert all(job["store"] != "spare" for job in server.data("GET", "/config/prune"))
    assert not directory(stack, "pbs1", "backup/spare").exists


@pytest.mark.parametrize(
    ("kind", "settings", "change"),
    [
        ("prune", {"schedule": "daily", "keep-daily": 7}, {"keep-daily": 14}),
        ("verify", {"schedule": "weekly", "outdated-after": 30}, {"ignore-verified": 0}),
        ("sync", {"remote-store": "elsewhere", "schedule": "hourly"}, {"remove-vanished": 1}),
    ],
)
def test_a_job_from_creation_to_removal(
    server: Api, kind: str, settings: dict[str, Any], change: dict[str, Any]
) -> None:
    path = f"/config/{kind}"
    server.data("POST", path, id="job-1", store="main", **settings)
    assert server.refusal("POST", path, id="job-1", store="main", **settings)[1].endswith("job 'job-1' already exists.")
    (row,) = server.data("GET", f"/admin/{kind}", store="main")
    assert row["id"] == "job-1"
    assert row["next-run"] > time.time()
    server.data("PUT", f"{path}/job-1", **change)
    ((name, value),) = change.items()
    assert server.data("GET", f"{path}/job-1")[name] == value
    server.data("DELETE", f"{path}/job-1")
    assert server.refusal("GET", f"{path}/job-1") == (404, "job 'job-1' does not exist.")


def test_a_remote_in_use_stays(stack: RunningStack, server: Api) -> None:
    secret = {"host": server.address, "auth-id": "root@pam", "password": stack.secrets["root_password"]}
    server.data("POST", "/config/remote", name="itself", fingerprint=fingerprint(stack, "pbs1"), **secret)
    assert "password" not in server.data("GET", "/config/remote/itself")
    assert [row["store"] for row in server.data("GET", "/config/remote/itself/scan")] == ["main"]
    server.data("POST", "/config/sync", id="loop", store="main", remote="itself", remote_store="other")
    assert server.refusal("DELETE", "/config/remote/itself")[1].endswith(
        "remote 'itself' is used by sync job 'loop' (datastore 'main')"
    )
    server.data("PUT", "/config/remote/itself", fingerprint=fingerprint(stack, "pbs2"))
    assert "certificate verify failed" in server.refusal("GET", "/config/remote/itself/scan")[1]
    server.data("DELETE", "/config/sync/loop")
    server.data("DELETE", "/config/remote/itself")


def test_a_disk_becomes_a_datastore(server: Api) -> None:
    path, size = "/nodes/localhost/disks", 64 << 30
    assert [row["name"] for row in server.data("GET", f"{path}/list", usage_type="unused")] == ["sdb"]
    assert "already in use" in server.refusal("POST", f"{path}/directory", name="big", disk="sda")[1]
    server.run("POST", f"{path}/directory", name="big", disk="sdb", add_datastore=1)
    (mounted,) = server.data("GET", f"{path}/directory")
    assert (mounted["path"], mounted["device"], mounted["filesystem"]) == ("/mnt/datastore/big", "/dev/sdb1", "ext4")
    assert size * 0.9 < server.data("GET", "/admin/datastore/big/status")["total"] < size
    assert (
        server.refusal("DELETE", f"{path}/directory/big")[1]
        == "Can't remove 'big' since it's required by datastore 'big'"
    )
    server.run("DELETE", "/config/datastore/big")
    server.data("DELETE", f"{path}/directory/big")
    server.run("PUT", f"{path}/wipedisk", disk="sdb")
    assert server.data("GET", f"{path}/list", usage_type="unused")[0]["name"] == "sdb"


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_a_second_backup_sends_only_what_changed(stack: RunningStack, server: Api, writer: Login) -> None:
    assert back_up(writer, 1000, "a", "b", "c") == 3
    assert back_up(writer, 2000, "a", "B", "c") == 1
    assert times(server) == [1000, 2000]
    store = directory(stack, "pbs1")
    assert len(list(store.chunks.files())) == 4
    (group,) = server.data("GET", f"{STORE}/groups")
    assert (group["owner"], group["backup-count"]) == (writer.authid, 2)
    (task, _) = server.data("GET", "/nodes/localhost/tasks", typefilter="backup", store="main")
    assert (task["worker_id"], task["user"], task["status"]) == ("main:vm/100", writer.authid, "OK")


def test_a_backup_is_whole_or_not_there(server: Api, writer: Login) -> None:
    with pytest.raises(AgentError, match="older than last backup"):
        back_up(writer, 1500, "a")
    back_up(writer, 3000, "x", finish=False)
    wait_until(lambda: server.data("GET", f"{STORE}/active-operations")["write"] == 0)
    assert times(server) == [1000, 2000]
    (task, *_) = server.data("GET", "/nodes/localhost/tasks", typefilter="backup")
    assert task["status"] == "backup ended but finished flag is not set."


def test_chunks_that_were_never_sent_cannot_be_claimed(server: Api, writer: Login) -> None:
    async def claim() -> None:
        async with PbsClient(writer, writer.server) as client:
            await client.begin_backup("main", Snapshot(Group("", "vm", "100"), 4000))
            # in the datastore, but neither sent nor in the last snapshot
            digest = hashlib.sha256(b"b" * CHUNK_SIZE).digest()
            await client.send_index(IMAGE, FixedIndex(CHUNK_SIZE, [digest], 4000))

    with pytest.raises(AgentError, match="contains unknown chunk"):
        asyncio.run(claim())
    wait_until(lambda: server.data("GET", f"{STORE}/active-operations")["write"] == 0)


def test_groups_are_their_owners_own(stack: RunningStack, server: Api, writer: Login) -> None:
    stranger = login(stack, "pbs1", *new_token(server, "strange@pbs", "node", "DatastoreBackup", "/datastore/main"))
    with pytest.raises(AgentError, match=r"backup owner check failed \(strange@pbs!node != nodes@pbs!ha\)"):
        back_up(stranger, 5000, "a")
    assert times(Api(server.address).token(stranger.authid, stranger.secret)) == []
    mine = Api(server.address).token(writer.authid, writer.secret)
    place = {"backup-type": "vm", "backup-id": "100", "backup-time": 1000}
    assert mine.refusal("DELETE", f"{STORE}/snapshots", **place) == (403, "permission check failed")
    mine.data("PUT", f"{STORE}/notes", notes="first\nof all", **place)
    assert server.data("GET", f"{STORE}/snapshots")[0]["comment"] == "first"
    with pytest.raises(Unreachable, match="certificate verify failed"):
        back_up(Login(writer.server, writer.authid, writer.secret, fingerprint=fingerprint(stack, "pbs2")), 6000, "a")


def test_protected_snapshots_survive_pruning(server: Api) -> None:
    place = {"backup-type": "vm", "backup-id": "100"}
    server.data("PUT", f"{STORE}/protected", protected=1, backup_time=1000, **place)
    plan = server.data("POST", f"{STORE}/prune", keep_last=1, dry_run=1, **place)
    assert [(row["backup-time"], row["keep"]) for row in plan] == [(2000, True), (1000, True)]
    assert "cannot remove protected" in server.refusal("DELETE", f"{STORE}/snapshots", backup_time=1000, **place)[1]
    server.data("PUT", f"{STORE}/protected", protected=0, backup_time=1000, **place)
    assert [row["keep"] for row in server.data("POST", f"{STORE}/prune", keep_last=1, dry_run=1, **place)] == [
        True,
        False,
    ]
    assert times(server) == [1000, 2000]


def test_namespaces_keep_backups_apart(server: Api, writer: Login) -> None:
    assert server.data("POST", f"{STORE}/namespace", name="lab") == "lab"
    server.data("POST", f"{STORE}/namespace", name="deep", parent="lab")
    assert [row["ns"] for row in server.data("GET", f"{STORE}/namespace")] == ["", "lab", "lab/deep"]
    assert back_up(writer, 1000, "a", "n", ns="lab/deep") == 2
    assert (times(server, ns="lab/deep"), times(server, ns="lab")) == ([1000], [])
    assert server.refusal("GET", f"{STORE}/snapshots", ns="nope") == (404, "namespace not found")


def test_verification_finds_a_damaged_chunk(stack: RunningStack, server: Api, writer: Login) -> None:
    back_up(writer, 1000, "d", "e", vmid="200")
    path = f"{STORE}/verify"
    place = {"backup-type": "vm", "backup-id": "200"}
    server.run("POST", path, **place)
    (row,) = server.data("GET", f"{STORE}/snapshots", **place)
    assert row["verification"]["state"] == "ok"
    chunk = directory(stack, "pbs1").chunks.path(hashlib.sha256(b"e" * CHUNK_SIZE).digest())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    assert "SKIPPED" in server.run("POST", path, **place)
    upid = server.data("POST", path, ignore_verified=0, **place)
    assert server.finished(upid) == "verification failed - please check the log for details"
    assert "\tvm/200/1970-01-01T00:16:40Z" in server.log(upid)
    assert not chunk.exists()
    assert server.data("GET", f"{STORE}/snapshots", **place)[0]["verification"]["state"] == "failed"
    # the chunk is no longer taken for granted: it comes again, and the old snapshot is whole again
    assert back_up(writer, 2000, "d", "e", vmid="200") == 2
    server.run("POST", path, ignore_verified=0, **place)


def test_garbage_collection_tells_what_it_found(server: Api) -> None:
    log = server.run("POST", f"{STORE}/gc")
    assert "On-Disk chunks: " in log
    found = server.data("GET", f"{STORE}/gc")
    assert (found["last-run-state"], found["removed-bad"]) == ("OK", 1)
    assert found["disk-chunks"] == 7
    assert found["index-file-count"] == 5


# --- the second server ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def remote(stack: RunningStack, server: Api, other: Api, writer: Login) -> str:
    """pbs1 as pbs2 knows it, with the least rights."""
    assert writer
    token, secret = new_token(server, "copy@pbs", "pbs2", "DatastoreReader", "/datastore/main")
    found = {"host": server.address, "auth-id": token, "password": secret, "fingerprint": fingerprint(stack, "pbs1")}
    other.data("POST", "/config/remote", name="first", **found)
    return "first"


def test_a_pull_brings_what_is_missing(
    stack: RunningStack, server: Api, other: Api, remote: str, writer: Login
) -> None:
    pull = {"store": "main", "remote": remote, "remote-store": "main"}
    log = other.run("POST", "/pull", **pull)
    assert "sync snapshot vm/100/1970-01-01T00:16:40Z" in log
    assert times(other) == times(server) == [1000, 2000]
    assert times(other, ns="lab/deep") == [1000]
    here, there = directory(stack, "pbs2"), directory(stack, "pbs1")
    for snapshot in there.all_snapshots():
        assert here.index(snapshot, IMAGE) == there.index(snapshot, IMAGE)
        assert all(here.chunks.read(digest) for digest in here.index(snapshot, IMAGE).digests)
    assert "Summary: sync job pulled 0.00 MiB" in other.run("POST", "/pull", **pull)
    back_up(writer, 7000, "a", "B", "new")
    assert "found 2 groups to sync (out of 2 total)" in other.run("POST", "/pull", **pull)
    assert times(other) == [1000, 2000, 7000]


def test_a_pull_removes_what_vanished(server: Api, other: Api, remote: str) -> None:
    server.data("DELETE", f"{STORE}/snapshots", backup_type="vm", backup_id="100", backup_time=1000)
    server.data("DELETE", f"{STORE}/groups", backup_type="vm", backup_id="200")
    server.data("DELETE", f"{STORE}/namespace", ns="lab", delete_groups=1)
    other.run("POST", "/pull", store="main", remote=remote, remote_store="main")
    assert times(other) == [1000, 2000, 7000]
    other.run("POST", "/pull", store="main", remote=remote, remote_store="main", remove_vanished=1)
    assert (times(other), times(other, "200")) == ([2000, 7000], [])
    assert [row["ns"] for row in other.data("GET", f"{STORE}/namespace")] == [""]


def test_jobs_run_when_their_time_comes(server: Api, other: Api, remote: str, writer: Login) -> None:
    back_up(writer, 8000, "a", "late")
    every_second = "*:*:*"
    other.data("POST", "/config/sync", id="from-first", store="main", remote=remote, remote_store="main",
               schedule=every_second)  # fmt: skip
    other.data("POST", "/config/prune", id="keep-one", store="main", schedule=every_second, keep_last=1)
    wait_until(lambda: times(other) == [8000])
    (job,) = other.data("GET", "/admin/sync")
    assert job["last-run-state"] == "OK"
    assert "task triggered by schedule" in other.log(job["last-run-upid"])
    other.data("DELETE", "/config/sync/from-first")
    other.data("DELETE", "/config/prune/keep-one")
    # a job without a calendar event runs on demand only
    other.data("POST", "/config/verify", id="by-hand", store="main")
    other.run("POST", "/admin/verify/by-hand/run")


def test_everything_survives_a_power_cut(stack: RunningStack, server: Api, writer: Login) -> None:
    before = server.data("GET", f"{STORE}/snapshots")
    tasks = server("GET", "/nodes/localhost/tasks").json()["total"]
    stack.power("off", "pbs1")
    wait_until(lambda: stack.host("pbs1")["power"] == "off")
    stack.power("on", "pbs1")
    stack.wait_ready("pbs1")
    again = root(stack, "pbs1")
    assert again.data("GET", f"{STORE}/snapshots") == before
    assert again("GET", "/nodes/localhost/tasks").json()["total"] == tasks
    assert back_up(writer, 9000, "a", "late") == 0
    (shown,) = again.data("GET", "/nodes/localhost/certificates/info")
    assert shown["fingerprint"] == fingerprint(stack, "pbs1").lower()


# --- the console ------------------------------------------------------------------------------------------------------


def test_the_console_shows_certificate_and_datastores(stack: RunningStack, server: Api) -> None:
    async def ask(line: str) -> str:
        secret = stack.secrets["root_password"]
        async with asyncssh.connect(
            server.address, 2222, username="root", password=secret, known_hosts=None, config=None
        ) as connection:
            return str((await connection.run(line, check=True)).stdout)

    shown = asyncio.run(ask("proxmox-backup-manager cert info"))
    assert f"Fingerprint (sha256): {fingerprint(stack, 'pbs1').lower()}" in shown
    assert '"name":"main"' in asyncio.run(ask("proxmox-backup-manager datastore list --output-format json"))
    assert "root@pam" in asyncio.run(ask("proxmox-backup-manager user list"))


def test_a_host_stays_small(stack: RunningStack) -> None:
    sizes = []
    for pid in stack.pids()[1:]:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        sizes += [int(line.split()[1]) for line in rollup if line.startswith("Pss:")]
    assert max(sizes) < 60 * 1024
