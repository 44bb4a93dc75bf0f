# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong at night becomes one mail and one ticket: a cluster's backup job, a backup server's verify job."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ..backups import Api, directory, fingerprint, new_token, root
from ..receiver import Receiver, receiving
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

PATIENCE = 60
TICKET = '{"title": {{ json title }}, "severity": "{{ severity }}", "job": "{{ fields.job-id }}"}'


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts: dict[str, Any] = {"pve1": {"kind": "pve", "disks": [{"size": "32G"}]}}
    hosts["pbs1"] = {"kind": "pbs", "disks": [{"size": "32G"}]}
    return stack_factory(hosts, scale=50, boot_time=0.5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> Api:
    found = root(stack, "pbs1")
    found.run("POST", "/config/datastore", name="main", path="/backup/main")
    return found


@pytest.fixture(scope="module")
def node(stack: RunningStack, server: Api) -> Api:
    """The node, with the storage, a guest, and one good backup."""
    token, secret = new_token(server, "nodes@pbs", "ha", "DatastoreBackup", "/datastore/main")
    found = root(stack, "pve1", "PVE")
    found.data(
        "POST", "/storage", storage="pbs1", type="pbs", server=server.address, datastore="main", username=token,
        password=secret, fingerprint=fingerprint(stack, "pbs1"),
    )  # fmt: skip
    found.run("POST", "/nodes/pve1/qemu", vmid=100, name="web", memory=512, scsi0="local:1")
    found.run("POST", "/nodes/pve1/vzdump", vmid="100", storage="pbs1")
    return found


def route(api: Api, notifications: str, receiver: Receiver, kind: str) -> None:
    """Errors of a kind go to the mail server and to the ticket system, and nothing else anywhere."""
    api.data(
        "POST", f"{notifications}/endpoints/smtp", name="mail", server="127.0.0.1", port=receiver.mail_port,
        mode="insecure", from_address="pve@example.test", mailto=["admin@example.test"],
    )  # fmt: skip
    api.data(
        "POST", f"{notifications}/endpoints/webhook", name="tickets", method="post", url=f"{receiver.url}/new",
        body=base64.b64encode(TICKET.encode()).decode(),
    )  # fmt: skip
    api.data(
        "POST", f"{notifications}/matchers", name="errors", target=["mail", "tickets"],
        match_severity=["error"], match_field=[f"exact:type={kind}"],
    )  # fmt: skip
    api.data("PUT", f"{notifications}/matchers/default-matcher", disable=1)


def in_half_an_hour(api: Api, path: str) -> str:
    """A calendar event that will be due when the host's clock has leapt an hour."""
    local = api.data("GET", path)["localtime"]
    return (datetime.fromtimestamp(local, UTC) + timedelta(minutes=30)).strftime("%H:%M")


def test_a_failed_backup_becomes_one_ticket(stack: RunningStack, server: Api, node: Api, receiver: Receiver) -> None:
    notifications = "/cluster/notifications"
    route(node, notifications, receiver, "vzdump")
    server.data("PUT", "/config/datastore/main", maintenance_mode="type=read-only")
    schedule = in_half_an_hour(node, "/nodes/pve1/time")
    node.data("POST", "/cluster/backup", id="nightly", vmid="100", storage="pbs1", schedule=schedule)
    # from when the node has seen the job, its runs count
    wait_until((stack.dir / "hosts/pve1/root/var/lib/pve-manager/jobs/vzdump-nightly.json").exists, PATIENCE)
    stack.fault("clock", "pve1", "+3600s")
    wait_until(lambda: receiver.mails and receiver.posts, PATIENCE)

    # what works again is told to nobody, and what is asked for comes after all that was told before
    server.data("PUT", "/config/datastore/main", delete=["maintenance-mode"])
    node.run("POST", "/nodes/pve1/vzdump", vmid="100", storage="pbs1")
    for name in ("mail", "tickets"):
        node.data("POST", f"{notifications}/targets/{name}/test")
    wait_until(lambda: len(receiver.mails) > 1 and len(receiver.posts) > 1, PATIENCE)
    failed, asked_for = receiver.mails
    assert "backup failed" in failed.partition("\n\n")[0]
    assert "100     web     err" in failed
    assert "Subject: Test notification" in asked_for
    ticket, _ = (json.loads(post.body) for post in receiver.posts)
    assert ticket["title"].endswith("backup failed")
    assert (ticket["severity"], ticket["job"]) == ("error", "nightly")


def test_a_failed_verification_becomes_one_ticket(
    stack: RunningStack, server: Api, node: Api, receiver: Receiver
) -> None:
    notifications = "/config/notifications"
    route(server, notifications, receiver, "verify")
    chunks = sorted((directory(stack, "pbs1").base / ".chunks").glob("*/*"))
    chunks[0].write_bytes(chunks[0].read_bytes()[:-1] + b"!")
    schedule = in_half_an_hour(server, "/nodes/localhost/time")
    server.data("POST", "/config/verify", id="weekly", store="main", schedule=schedule, ignore_verified=0)
    states = stack.dir / "hosts/pbs1/root/var/lib/proxmox-backup/jobstates"
    wait_until(lambda: list(states.glob("*-weekly.json")), PATIENCE)
    stack.fault("clock", "pbs1", "+3600s")
    wait_until(lambda: receiver.mails and receiver.posts, PATIENCE)
    for name in ("mail", "tickets"):
        server.data("POST", f"{notifications}/targets/{name}/test")
    wait_until(lambda: len(receiver.mails) > 1 and len(receiver.posts) > 1, PATIENCE)
    failed, asked_for = receiver.mails
    assert "Verify Datastore 'main' failed" in failed
    assert "vm/100/" in failed
    assert "Subject: Test notification" in asked_for
    ticket, _ = (json.loads(post.body) for post in receiver.posts)
    assert (ticket["severity"], ticket["job"]) == ("error", "weekly")
