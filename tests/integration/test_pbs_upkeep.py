# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pushing, limits, notifications, a full disk and the console of a backup server (facts §15, §20)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Iterator

import pytest

from agentstack.errors import AgentError
from agentstack.pbs.client import Login, PbsClient
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import CHUNK_SIZE, FixedIndex
from agentstack.pbs.snapshots import Group, Snapshot

from ..backups import Api, fingerprint, login, new_token, root
from ..receiver import Receiver, receiving
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SCALE = 50
STORE = "/admin/datastore/main"
NOTIFY = "/config/notifications"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts = {name: {"kind": "pbs", "disks": [{"size": "32G"}, {"size": "32M"}]} for name in ("pbs1", "pbs2")}
    return stack_factory(hosts, scale=SCALE, boot_time=0.5)


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> Api:
    found = root(stack, "pbs1")
    found.run("POST", "/config/datastore", name="main", path="/backup/main")
    return found


@pytest.fixture(scope="module")
def other(stack: RunningStack, server: Api) -> Api:
    """A second server that the first one knows as `twin`."""
    found = root(stack, "pbs2")
    found.run("POST", "/config/datastore", name="main", path="/backup/main")
    secret = {"auth-id": "root@pam", "password": stack.secrets["root_password"]}
    server.data(
        "POST", "/config/remote", name="twin", host=found.address, fingerprint=fingerprint(stack, "pbs2"), **secret
    )
    return found


@pytest.fixture(scope="module")
def writer(stack: RunningStack, server: Api) -> Login:
    return login(stack, "pbs1", *new_token(server, "nodes@pbs", "ha", "DatastoreBackup", "/datastore"))


def back_up(login: Login, stamp: int, *chunks: bytes, store: str = "main", vmid: str = "100", ns: str = "") -> None:
    async def upload() -> None:
        async with PbsClient(login, login.server) as client:
            await client.begin_backup(store, Snapshot(Group(ns, "vm", vmid), stamp))
            digests = [hashlib.sha256(data).digest() for data in chunks]
            for digest, data in zip(digests, chunks, strict=True):
                await client.send_chunk(digest, data)
            await client.send_index("drive-scsi0.img.fidx", FixedIndex(CHUNK_SIZE * len(chunks), digests, stamp))
            await client.finish_backup()

    asyncio.run(upload())


def chunk(letter: str) -> bytes:
    return letter.encode() * CHUNK_SIZE


# --- to the other server ----------------------------------------------------------------------------------------------


def test_a_push_brings_the_other_server_up_to_date(stack: RunningStack, server: Api, other: Api, writer: Login) -> None:
    server.data("POST", f"{STORE}/namespace", name="site")
    back_up(writer, 1000, chunk("a"), chunk("b"), ns="site")
    back_up(writer, 2000, chunk("a"), chunk("c"), ns="site")
    server.data("PUT", f"{STORE}/notes", ns="site", backup_type="vm", backup_id="100", backup_time=2000, notes="kept")
    job = {"store": "main", "remote": "twin", "remote-store": "main", "sync-direction": "push", "ns": "site"}
    server.data("POST", "/config/sync", id="there", schedule="yearly", remove_vanished=1, remote_ns="copy", **job)
    assert server.data("GET", "/config/sync") == []
    assert [row["id"] for row in server.data("GET", "/config/sync", sync_direction="all")] == ["there"]
    server.run("POST", "/admin/sync/there/run")
    rows = other.data("GET", f"{STORE}/snapshots", ns="copy")
    assert sorted(row["backup-time"] for row in rows) == [1000, 2000]
    assert [row.get("comment") for row in sorted(rows, key=lambda row: row["backup-time"])] == [None, "kept"]
    other.run("POST", f"{STORE}/verify")
    there = Datastore("main", stack.dir / "hosts/pbs2/root/backup/main")
    assert len(list(there.chunks.files())) == 3
    server.data("DELETE", f"{STORE}/snapshots", ns="site", backup_type="vm", backup_id="100", backup_time=1000)
    assert "delete vanished snapshot" in server.run("POST", "/admin/sync/there/run")
    assert [row["backup-time"] for row in other.data("GET", f"{STORE}/snapshots", ns="copy")] == [2000]


def test_groups_move_between_namespaces(server: Api, writer: Login) -> None:
    back_up(writer, 1000, chunk("m"), vmid="400")
    server.data("POST", f"{STORE}/namespace", name="archive")
    place = {"backup_type": "vm", "backup_id": "400"}
    server.run("POST", f"{STORE}/move-group", target_ns="archive", **place)
    assert [row["backup-id"] for row in server.data("GET", f"{STORE}/groups", ns="archive")] == ["400"]
    server.run("POST", f"{STORE}/move-namespace", ns="archive", target_ns="older")
    assert [row["backup-id"] for row in server.data("GET", f"{STORE}/groups", ns="older")] == ["400"]
    assert server.refusal("GET", f"{STORE}/groups", ns="archive")[0] == 404


def test_a_traffic_rule_slows_its_clients(server: Api, writer: Login) -> None:
    rule = {"network": ["127.0.0.0/8"], "rate_in": "64 KiB", "burst_in": "1 KiB"}
    server.data("POST", "/config/traffic-control", name="slow", **rule)
    content = os.urandom(CHUNK_SIZE)
    begun = time.monotonic()
    back_up(writer, 1000, content, vmid="500")
    # what cannot be compressed goes over at 64 KiB in each of the stack's seconds, however fast this machine is
    assert time.monotonic() - begun > CHUNK_SIZE / (64 << 10) / SCALE
    (row,) = server.data("GET", "/admin/traffic-control")
    assert row["cur-rate-in"] > 0
    server.data("DELETE", "/config/traffic-control/slow")


def test_what_may_be_done_in_maintenance(stack: RunningStack, server: Api, writer: Login) -> None:
    """Reading only, or nothing at all; and the words of the administrator reach everybody (facts §20.4)."""
    back_up(writer, 1000, chunk("r"), vmid="650")
    place = {"backup_type": "vm", "backup_id": "650"}
    server.data("PUT", "/config/datastore/main", maintenance_mode="type=read-only,message=moving house")
    text = "datastore 'main' is in read-only maintenance mode: moving house"
    assert text in server.refusal("POST", f"{STORE}/prune", keep_last=1, **place)[1]
    assert text in server.refusal("POST", f"{STORE}/gc")[1]
    assert text in server.refusal("DELETE", f"{STORE}/snapshots", backup_time=1000, **place)[1]
    assert text in server.refusal("PUT", f"{STORE}/protected", backup_time=1000, protected=1, **place)[1]
    assert text in server.refusal("POST", f"{STORE}/namespace", name="late")[1]
    with pytest.raises(AgentError, match=text):
        back_up(writer, 2000, chunk("s"), vmid="650")
    assert [row["backup-time"] for row in server.data("GET", f"{STORE}/snapshots", **place)] == [1000]
    assert server.data("GET", f"{STORE}/status")["total"] > 0
    server.run("POST", f"{STORE}/verify", **place)

    server.data("PUT", "/config/datastore/main", maintenance_mode="type=offline")
    for path in ("snapshots", "groups", "status", "namespace"):
        assert "datastore 'main' is in offline maintenance mode" in server.refusal("GET", f"{STORE}/{path}")[1]
    (row,) = [row for row in server.data("GET", "/status/datastore-usage") if row["store"] == "main"]
    assert "offline maintenance mode" in row["error"]
    assert server.data("GET", "/config/datastore/main")["maintenance-mode"] == "type=offline"
    with pytest.raises(AgentError, match="offline maintenance mode"):
        back_up(writer, 2000, chunk("s"), vmid="650")

    server.data("PUT", "/config/datastore/main", delete=["maintenance-mode"])
    back_up(writer, 2000, chunk("s"), vmid="650")
    assert sorted(row["backup-time"] for row in server.data("GET", f"{STORE}/snapshots", **place)) == [1000, 2000]


# --- what happens is told ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def test_a_damaged_chunk_is_told_by_mail_and_webhook(
    stack: RunningStack, server: Api, writer: Login, receiver: Receiver
) -> None:
    settings = {"server": "127.0.0.1", "port": receiver.mail_port, "mode": "insecure"}
    address = {"from-address": "pbs@example.test", "mailto": ["admin@example.test"]}
    server.data("POST", f"{NOTIFY}/endpoints/smtp", name="mail", **settings, **address)
    server.data(
        "POST", f"{NOTIFY}/endpoints/webhook", name="hook", method="post",
        url=f"http://127.0.0.1:{receiver.web_port}/{{{{ fields.datastore }}}}",
        header=["name=X-Key,value=e3sgc2VjcmV0cy5rZXkgfX0="], secret=["name=key,value=aG9yc2U="],
        body="eyJ0aXRsZSI6IHt7IGpzb24gdGl0bGUgfX19",
    )  # fmt: skip
    assert server.data("GET", f"{NOTIFY}/endpoints/webhook/hook")["secret"] == ["name=key"]
    server.data("POST", f"{NOTIFY}/matchers", name="errors", target=["mail", "hook"], match_severity=["error"])
    assert "referenced by: errors" in server.refusal("DELETE", f"{NOTIFY}/endpoints/smtp/mail")[1]
    server.data("POST", f"{NOTIFY}/targets/mail/test")
    assert "Subject: Test notification" in receiver.mails.pop()

    back_up(writer, 1000, chunk("v"), vmid="600")
    path = Datastore("main", stack.dir / "hosts/pbs1/root/backup/main").chunks.path(hashlib.sha256(chunk("v")).digest())
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    server.data("POST", "/config/verify", id="weekly", store="main", schedule="yearly", ignore_verified=0)
    upid = server.data("POST", "/admin/verify/weekly/run")
    assert server.finished(upid).startswith("verification failed")
    wait_until(lambda: receiver.mails and receiver.posts)
    (mail,) = receiver.mails
    assert "Subject: Verify Datastore 'main' failed" in mail
    assert "vm/600/1970-01-01T00:16:40Z" in mail
    (post,) = receiver.posts
    assert (post.path, post.headers["X-Key"]) == ("/main", "horse")
    assert json.loads(post.body) == {"title": "Verify Datastore 'main' failed"}
    assert path.with_name(f"{path.name}.0.bad").exists()
    (row,) = server.data("GET", f"{STORE}/snapshots", backup_id="600", backup_type="vm")
    assert row["verification"]["state"] == "failed"


# --- limits of the machine --------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_chunks_and_keeps_what_is_there(server: Api, writer: Login) -> None:
    server.run("POST", "/nodes/localhost/disks/directory", name="small", disk="sdb", add_datastore=1)
    back_up(writer, 1000, chunk("a"), store="small")
    with pytest.raises(AgentError, match="No space left on device"):
        back_up(writer, 2000, *(os.urandom(CHUNK_SIZE) for _ in range(9)), store="small")
    server.data("PUT", "/config/datastore/small", maintenance_mode="read-only")
    with pytest.raises(AgentError, match="read-only maintenance mode"):
        back_up(writer, 3000, chunk("b"), store="small")
    server.data("PUT", "/config/datastore/small", delete=["maintenance-mode"])
    assert [row["backup-time"] for row in server.data("GET", "/admin/datastore/small/snapshots")] == [1000]


# --- its console ------------------------------------------------------------------------------------------------------


def test_the_console_makes_and_removes_what_the_api_does(stack: RunningStack, server: Api) -> None:
    shell = Shell(stack, "pbs1")

    def manager(line: str) -> str:
        answer = shell.run(f"proxmox-backup-manager {line}")
        assert answer.status == 0, answer.err
        return answer.out

    assert "TASK OK" in manager("datastore create second /backup/second --comment spare")
    assert server.data("GET", "/config/datastore/second")["comment"] == "spare"
    manager("prune-job create tidy --store second --schedule daily --keep-last 3")
    manager("prune-job update tidy --keep-last 5")
    assert json.loads(manager("prune-job show tidy --output-format json"))["keep-last"] == 5
    assert "TASK OK" in manager("garbage-collection start second")
    manager("user create carl@pbs --password 'correct horse'")
    assert "carl@pbs!laptop" in manager("user generate-token carl@pbs laptop")
    manager("acl update /datastore/second DatastoreAudit --auth-id carl@pbs")
    manager("traffic-control create lunch --network 10.0.0.0/8 --network 10.1.0.0/16 --rate-in 1MiB")
    assert '["10.0.0.0/8","10.1.0.0/16"]' in manager("traffic-control list")
    manager("traffic-control remove lunch")
    # what there is none of is a table without rows
    for kind in ("traffic-control", "verify-job", "remote"):
        assert manager(f"{kind} list").splitlines()[0].startswith("+--")
    for line in (
        "garbage-collection list",
        "disk list",
        "disk zpool list",
        "disk fs list",
        "network list",
        "task list",
    ):
        assert manager(line).startswith("+--")
    assert json.loads(manager("subscription get --output-format json"))["status"] == "notfound"
    assert json.loads(manager("dns get --output-format json"))["digest"]
    refused = shell.run("proxmox-backup-manager datastore list --nosuch 1")
    assert (refused.status, "'nosuch'" in refused.err) == (255, True)
    assert "TASK OK" in manager("datastore remove second")
    refused = shell.run("proxmox-backup-manager prune-job show tidy")
    assert (refused.status, refused.err) == (255, "Error: job 'tidy' does not exist.\n")
