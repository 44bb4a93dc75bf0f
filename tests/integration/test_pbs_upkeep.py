# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pushing, limits, notifications, a full disk and the console of a backup server (facts §15, §20)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentstack.errors import AgentError
from agentstack.pbs.client import Login, PbsClient
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import CHUNK_SIZE, FixedIndex
from agentstack.pbs.snapshots import Group, Snapshot

from ..backups import Api, fingerprint, login, new_token, root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

STORE = "/admin/datastore/main"
NOTIFY = "/config/notifications"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts = {name: {"kind": "pbs", "disks": [{"size": "32G"}, {"size": "32M"}]} for name in ("pbs1", "pbs2")}
    return stack_factory(hosts, scale=50, boot_time=0.5)


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
    server.data(
        "POST", "/config/traffic-control", name="slow", network=["127.0.0.0/8"], rate_in="64 KiB", burst_in="1 KiB"
    )
    begun = server.data("GET", "/nodes/localhost/time")["time"]
    back_up(writer, 1000, *(bytes([number]) * CHUNK_SIZE for number in range(3)), vmid="500")
    assert server.data("GET", "/nodes/localhost/time")["time"] >= begun
    (row,) = server.data("GET", "/admin/traffic-control")
    assert row["cur-rate-in"] >= 0
    server.data("DELETE", "/config/traffic-control/slow")


# --- what happens is told ---------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """A webhook's and a mail server's other end."""

    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    web_port: int = 0
    mail_port: int = 0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Web(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.requests.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 sink\r\n")
            while line := self.rfile.readline():
                word = line.strip().upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        text += part
                    found.mails.append(text.decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    web, mail = ThreadingHTTPServer(("127.0.0.1", 0), Web), socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)
    mail.daemon_threads = True
    found.web_port, found.mail_port = web.server_address[1], mail.server_address[1]
    for one in (web, mail):
        threading.Thread(target=one.serve_forever, daemon=True).start()
    yield found
    for one in (web, mail):
        one.shutdown()
        one.server_close()


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
    wait_until(lambda: receiver.mails and receiver.requests)
    assert "Subject: Verify Datastore 'main' failed" in receiver.mails[0]
    assert "vm/600/1970-01-01T00:16:40Z" in receiver.mails[0]
    place, headers, body = receiver.requests[0]
    assert (place, headers["X-Key"]) == ("/main", "horse")
    assert json.loads(body) == {"title": "Verify Datastore 'main' failed"}
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
    assert "TASK OK" in manager("datastore remove second")
    refused = shell.run("proxmox-backup-manager prune-job show tidy")
    assert (refused.status, refused.err) == (255, "Error: job 'tidy' does not exist.\n")
