# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots on a backup server: written, kept, checked, removed, and brought to a second one (facts §20.6)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time

import pytest

from agentstack import control
from agentstack.errors import AgentError
from agentstack.pbs.client import Login, PbsClient, Unreachable
from agentstack.pbs.index import CHUNK_SIZE, FixedIndex
from agentstack.pbs.snapshots import Group, Snapshot

from ..backups import IMAGE, Api, back_up, directory, fingerprint, login, new_token, root, times, upload
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SCALE = 50
STORE = "/admin/datastore/main"
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


def test_a_pull_is_limited_in_number_and_rate(server: Api, other: Api, remote: str, writer: Login) -> None:
    """Only the last snapshots of a group, and no faster than the job may be (facts §20.4)."""
    for stamp in (1000, 2000, 3000):
        asyncio.run(upload(writer, stamp, [os.urandom(CHUNK_SIZE)], vmid="300"))
    pull = {"store": "main", "remote": remote, "remote-store": "main", "group_filter": ["group:vm/300"]}
    begun = time.monotonic()
    log = other.run("POST", "/pull", transfer_last=2, rate_in="128 KiB", burst_in="1 KiB", **pull)
    assert time.monotonic() - begun > 2 * CHUNK_SIZE / (128 << 10) / SCALE
    assert "found 1 groups to sync" in log
    assert times(other, "300") == [2000, 3000]
    # what is older than the newest here is not asked for again
    other.run("POST", "/pull", **pull)
    assert times(other, "300") == [2000, 3000]
    for api in (server, other):
        api.data("DELETE", f"{STORE}/groups", backup_type="vm", backup_id="300")


def test_a_damaged_copy_is_fetched_again_if_that_is_said(
    stack: RunningStack, server: Api, other: Api, remote: str, writer: Login
) -> None:
    back_up(writer, 1000, "q", "r", vmid="330")
    pull = {"store": "main", "remote": remote, "remote-store": "main", "group_filter": ["group:vm/330"]}
    place = {"backup-type": "vm", "backup-id": "330"}
    other.run("POST", "/pull", **pull)
    chunk = directory(stack, "pbs2").chunks.path(hashlib.sha256(b"r" * CHUNK_SIZE).digest())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    upid = other.data("POST", f"{STORE}/verify", ignore_verified=0, **place)
    assert other.finished(upid) == "verification failed - please check the log for details"
    other.run("POST", "/pull", **pull)
    assert not chunk.exists(), "without the switch what is here stays as it is"
    assert "re-sync snapshot vm/330/" in other.run("POST", "/pull", resync_corrupt=1, **pull)
    other.run("POST", f"{STORE}/verify", ignore_verified=0, **place)
    for api in (server, other):
        api.data("DELETE", f"{STORE}/groups", **place)


def test_groups_change_hands(server: Api, writer: Login) -> None:
    place = {"backup_type": "vm", "backup_id": "310"}
    back_up(writer, 1000, "h", vmid="310")
    (row,) = [row for row in server.data("GET", f"{STORE}/groups") if row["backup-id"] == "310"]
    assert row["owner"] == writer.authid
    server.data("POST", f"{STORE}/change-owner", new_owner="root@pam", **place)
    with pytest.raises(AgentError, match="backup owner check failed"):
        back_up(writer, 2000, "h", vmid="310")
    server.data("DELETE", f"{STORE}/groups", **place)


def test_jobs_run_when_their_time_comes(server: Api, other: Api, remote: str, writer: Login) -> None:
    back_up(writer, 8000, "a", "late")
    every_second = "*:*:*"
    other.data("POST", "/config/sync", id="from-first", store="main", remote=remote, remote_store="main",
               schedule=every_second)  # fmt: skip
    other.data("POST", "/config/prune", id="keep-one", store="main", schedule=every_second, keep_last=1)
    wait_until(lambda: times(other) == [8000])
    # the first run may still be under way when its snapshot is there
    (job,) = wait_until(lambda: [row for row in other.data("GET", "/admin/sync") if "last-run-state" in row])
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


def test_what_was_verified_long_ago_is_verified_again(stack: RunningStack, writer: Login) -> None:
    server = root(stack, "pbs1")
    server.data("PUT", "/config/datastore/main", verify_new=1)
    back_up(writer, 1000, "v", vmid="320")
    place = {"backup_type": "vm", "backup_id": "320"}

    def state() -> str:
        (row,) = server.data("GET", f"{STORE}/snapshots", **place)
        return str(row.get("verification", {}).get("state", ""))

    assert wait_until(state) == "ok", "a new one is verified at once if the datastore says so"
    server.data("PUT", "/config/datastore/main", delete=["verify-new"])
    server.data("POST", "/config/verify", id="month", store="main", schedule="yearly", outdated_after=7)
    assert "SKIPPED: verify main:vm/320" in server.run("POST", "/admin/verify/month/run")
    control.request(stack.dir, {"do": "advance clock", "seconds": 8 * 86400.0})
    server = root(stack, "pbs1")
    log = server.run("POST", "/admin/verify/month/run")
    assert "SKIPPED" not in log
    assert "verify main:vm/320" in log
    server.data("DELETE", "/config/verify/month")
    server.data("DELETE", f"{STORE}/groups", **place)
