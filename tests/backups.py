# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup servers and nodes as clients meet them, for tests about backups."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests

from agentstack.pbs.client import Login, PbsClient
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import CHUNK_SIZE, FixedIndex
from agentstack.pbs.snapshots import Group, Snapshot

from .stacks import RunningStack, wait_until

IMAGE = "drive-scsi0.img.fidx"
PORTS = {"PBS": 8007, "PVE": 8006}


@dataclass
class Api:
    """Makes calls to one host. `product` is PBS or PVE; `_` in the names of parameters stands for `-`."""

    address: str
    product: str = "PBS"
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, verb: str, path: str, /, **given: Any) -> requests.Response:
        params = {name.replace("_", "-").rstrip("-"): value for name, value in given.items()}
        place = {"params": params} if verb in ("GET", "DELETE") else {"data": params}
        url = f"https://{self.address}:{PORTS[self.product]}/api2/json{path}"
        return requests.request(verb, url, headers=self.headers, verify=False, timeout=20, **place)  # type: ignore[arg-type]

    def data(self, verb: str, path: str, /, **given: Any) -> Any:
        """The answer of a call that has to succeed."""
        answer = self(verb, path, **given)
        assert answer.status_code == 200, f"{verb} {path}: {answer.status_code} {answer.reason} {answer.text}"
        return answer.json()["data"]

    def refusal(self, verb: str, path: str, /, **given: Any) -> tuple[int, str]:
        """Status and text of a call that has to fail."""
        answer = self(verb, path, **given)
        assert answer.status_code >= 400, f"{verb} {path} succeeded: {answer.text}"
        return answer.status_code, answer.text if self.product == "PBS" else answer.json()["message"].strip()

    def login(self, user: str, password: str) -> Api:
        """The same host for somebody with a password."""
        found = self.data("POST", "/access/ticket", username=user, password=password)
        cookie = f"{self.product}AuthCookie={quote(found['ticket'], safe='')}"
        headers = {"Cookie": cookie, "CSRFPreventionToken": found["CSRFPreventionToken"]}
        return Api(self.address, self.product, headers)

    def token(self, token: str, secret: str) -> Api:
        """The same host for a token."""
        separator = ":" if self.product == "PBS" else "="
        return Api(self.address, self.product, {"Authorization": f"{self.product}APIToken={token}{separator}{secret}"})

    def finished(self, upid: str) -> str:
        """Wait for a task's end; gives its exit status."""
        path = f"/nodes/{upid.split(':')[1]}/tasks/{quote(upid, safe=':@!')}/status"

        def look() -> str:
            found = self.data("GET", path)
            return str(found["exitstatus"]) if found["status"] == "stopped" else ""

        return wait_until(look)

    def log(self, upid: str) -> str:
        """The whole log of a task."""
        path = f"/nodes/{upid.split(':')[1]}/tasks/{quote(upid, safe=':@!')}/log"
        return "\n".join(line["t"] for line in self.data("GET", path, limit=0))

    def run(self, verb: str, path: str, /, **given: Any) -> str:
        """Make a call that starts a task, which has to end well; gives its log."""
        upid = self.data(verb, path, **given)
        status = self.finished(upid)
        log = self.log(upid)
        assert status == "OK", log
        return log


def root(stack: RunningStack, name: str, product: str = "PBS") -> Api:
    """root@pam on a host of a stack."""
    address = stack.resolved["hosts"][name]["address"]
    return Api(address, product).login("root@pam", stack.secrets["root_password"])


def fingerprint(stack: RunningStack, name: str) -> str:
    """The fingerprint of a host's certificate."""
    return str(stack.secrets["hosts"][name]["fingerprint"])


def new_token(server: Api, user: str, name: str, role: str, path: str) -> tuple[str, str]:
    """Make a user of realm pbs (unless it is there) with a token, both with a role; gives token id and secret."""
    if all(row["userid"] != user for row in server.data("GET", "/access/users")):
        server.data("POST", "/access/users", userid=user, password="correct horse")
    made = server.data("POST", f"/access/users/{user}/token/{name}")
    for authid in (user, made["tokenid"]):
        server.data("PUT", "/access/acl", path=path, role=role, auth_id=authid)
    return made["tokenid"], made["value"]


def login(stack: RunningStack, name: str, token: str, secret: str) -> Login:
    """A token's login for the agents' own client."""
    return Login(stack.resolved["hosts"][name]["address"], token, secret, fingerprint=fingerprint(stack, name))


def directory(stack: RunningStack, host: str, path: str = "backup/main") -> Datastore:
    """A datastore's directory on a host's disk."""
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
    """Write a snapshot of chunks full of a letter each; gives how many were sent."""
    return asyncio.run(upload(login, stamp, [letter.encode() * CHUNK_SIZE for letter in letters], **where))


def times(api: Api, vmid: str = "100", **where: Any) -> list[int]:
    """When the snapshots of a guest were made."""
    rows = api.data("GET", "/admin/datastore/main/snapshots", backup_type="vm", backup_id=vmid, **where)
    return sorted(row["backup-time"] for row in rows)
