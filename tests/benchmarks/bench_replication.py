# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What replication sends of a disk of which little has changed, beside sending all of it."""

from __future__ import annotations

import os
import random
import re
import tempfile
from pathlib import Path

import yaml

from ..api_client import Root
from ..stacks import RunningStack, free_net, wait_until
from .report import Report

HOSTS = {name: {"disks": [{"size": "32G"}, {"size": "8G"}]} for name in ("pve1", "pve2")}
MEGABYTE = 1 << 20
SHARE = 100
"""One part in so many changes, in pieces of 64 KiB at random places."""
PIECE = 64 << 10


def run(report: Report) -> None:
    """A disk full of data, copied whole, then with one per cent changed."""
    size = report.size(1024, 64) * MEGABYTE
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.yml"
        stack = {"name": "bench", "net": free_net(), "scale": 100, "boot_time": 2, "hosts": HOSTS}
        file.write_text(yaml.safe_dump({**stack, "start": {"clustered": {"name": "bench"}}}))
        running = RunningStack(Path(folder) / "state", file)
        running.up()
        try:
            whole, changed = _measure(running, size)
        finally:
            running.down()
    report.add(
        f"sent of a {size // MEGABYTE} MiB disk with 1 % changed",
        changed * 100 / size,
        "%",
        aim=3,
        against=("all of it", whole * 100 / size),
    )


def _measure(stack: RunningStack, size: int) -> tuple[int, int]:
    root = Root(stack, "pve1")
    for name in HOSTS:
        pool = {"name": "tank", "raidlevel": "single", "devices": "/dev/sdb", "add_storage": 1}
        root.run("POST", f"/nodes/{name}/disks/zfs", **pool)
    root.run("POST", "/nodes/pve1/qemu", vmid=104, memory=64, scsi0=f"tank:{max(1, size >> 30)}")
    disk = next((stack.dir / "hosts/pve1/zfs").glob("*/data/vm-104-disk-0.raw"))
    with disk.open("r+b") as file:
        for _ in range(size // MEGABYTE):
            file.write(os.urandom(MEGABYTE))
    root("POST", "/cluster/replication", id="104-0", type="local", target="pve2", schedule="yearly")
    whole = _sent(root, 0)
    moment = int(root("GET", "/nodes/pve1/replication/104-0/status")["last_sync"])
    pieces = random.Random(1).sample(range(size // PIECE), size // PIECE // SHARE)
    with disk.open("r+b") as file:
        for piece in pieces:
            file.seek(piece * PIECE)
            file.write(os.urandom(PIECE))
    root("POST", "/nodes/pve1/replication/104-0/schedule_now")
    return whole, _sent(root, moment)


def _sent(root: Root, after: int) -> int:
    """The bytes of the run after that moment, as the job's log counts them."""

    def done() -> bool:
        state = root("GET", "/nodes/pve1/replication/104-0/status")
        assert "error" not in state, state["error"]
        return int(state["last_sync"]) > after

    wait_until(done, 120)
    log = "\n".join(row["t"] for row in root("GET", "/nodes/pve1/replication/104-0/log"))
    return sum(int(count) for count in re.findall(r"is (\d+) bytes", log))
