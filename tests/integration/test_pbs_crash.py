# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup server whose power goes at any moment keeps every snapshot that it has acknowledged, whole."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import threading

import pytest
import requests

from agentstack.errors import AgentError
from agentstack.pbs.client import Login, PbsClient
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import FixedIndex
from agentstack.pbs.snapshots import Group, Snapshot

from ..backups import Api, login, new_token, root
from ..stacks import StackFactory, wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

ROUNDS = 8
SIZE = 65_536
IMAGE = "drive-scsi0.img.fidx"


async def write_on(login: Login, vmid: str, seed: int, stamp: int, kept: dict[tuple[str, int], list[bytes]]) -> None:
    """Write snapshot after snapshot until the server is gone; `kept` gets what was acknowledged."""
    known = random.Random(seed)
    common = [known.randbytes(SIZE) for _ in range(4)]
    while True:
        stamp += 1
        chunks = [*common, *(known.randbytes(SIZE) for _ in range(4))]
        digests = [hashlib.sha256(data).digest() for data in chunks]
        async with PbsClient(login, login.server, timeout=10.0) as client:
            await client.begin_backup("main", Snapshot(Group("", "vm", vmid), stamp))
            for digest, data in zip(digests, chunks, strict=True):
                await client.send_chunk(digest, data)
            await client.send_index(IMAGE, FixedIndex(SIZE * len(chunks), digests, stamp, SIZE))
            await client.finish_backup()
        kept[vmid, stamp] = digests


def upkeep(server: Api, stop: threading.Event) -> None:
    """Collect garbage and prune while backups are written, as long as the server answers."""
    while not stop.is_set():
        with contextlib.suppress(requests.RequestException):
            server("POST", "/admin/datastore/main/gc")
            server("POST", "/admin/datastore/main/prune", backup_type="vm", backup_id="pruned", keep_last=2)
        stop.wait(0.05)


def test_acknowledged_snapshots_survive_the_loss_of_power(stack_factory: StackFactory) -> None:
    stack = stack_factory({"pbs1": {"kind": "pbs", "disks": [{"size": "32G"}]}}, scale=50, boot_time=0.5)
    server = root(stack, "pbs1")
    server.run("POST", "/config/datastore", name="main", path="/backup/main")
    writer = login(stack, "pbs1", *new_token(server, "nodes@pbs", "ha", "DatastoreBackup", "/datastore/main"))
    kept: dict[tuple[str, int], list[bytes]] = {}
    chance = random.Random()

    async def load(number: int) -> None:
        groups = ("100", "200", "pruned")
        results = await asyncio.gather(
            *(write_on(writer, vmid, hash(vmid), 10_000 * number, kept) for vmid in groups), return_exceptions=True
        )
        for result in results:
            assert isinstance(result, AgentError), result

    for number in range(1, ROUNDS + 1):
        stop = threading.Event()
        worker = threading.Thread(target=upkeep, args=(root(stack, "pbs1"), stop))
        enough, pause = len(kept) + chance.randint(1, 8), chance.uniform(0.0, 0.3)

        def cut(enough: int = enough, pause: float = pause) -> None:
            wait_until(lambda: len(kept) >= enough, 60)
            threading.Event().wait(pause)
            stack.power("off", "pbs1")

        power = threading.Thread(target=cut)
        worker.start()
        power.start()
        asyncio.run(load(number))
        stop.set()
        worker.join()
        power.join()
        wait_until(lambda: stack.host("pbs1")["power"] == "off", 30)
        stack.power("on", "pbs1")
        stack.wait_ready("pbs1", 60)
        check(Datastore("main", stack.dir / "hosts/pbs1/root/backup/main"), kept)
    assert len(kept) >= ROUNDS
    server = root(stack, "pbs1")
    server.run("POST", "/admin/datastore/main/verify", ignore_verified=0)


def check(store: Datastore, kept: dict[tuple[str, int], list[bytes]]) -> None:
    """What was acknowledged is there with all its data; of the pruned group, what is there is whole."""
    there = {(snapshot.group.id, snapshot.time) for snapshot in store.all_snapshots()}
    wanted = {key for key in kept if key[0] != "pruned"}
    assert wanted <= there
    for vmid, stamp in there:
        snapshot = Snapshot(Group("", "vm", vmid), stamp)
        manifest, index = store.manifest(snapshot), store.index(snapshot, IMAGE)
        assert manifest.files[0].csum == index.checksum.hex()
        if (vmid, stamp) in kept:
            assert list(index.digests) == kept[vmid, stamp]
        for digest in set(index.digests):
            store.chunks.read(digest)
