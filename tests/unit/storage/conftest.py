# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that has disks and pools and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentstack import stackfile
from agentstack.clock import Clock
from agentstack.storage.disks import Disks
from agentstack.storage.zfs import Zfs

STACK = """
hosts:
  pve1:
    disks: [{size: 32G}, {size: 1G, model: SSD-A, count: 6}, {size: 2G, type: hdd}, {size: 4G, type: nvme, count: 2}]
"""


class Host:
    """What storage needs of a host; `used` holds the files that guests have open."""

    def __init__(self, directory: Path) -> None:
        self.spec = stackfile.loads(STACK).hosts["pve1"]
        self.name, self.kind = "pve1", "pve"
        self.state = directory
        self.root = directory / "root"
        self.root.mkdir(exist_ok=True)
        self.disk_images = directory / "disks"
        self.disk_images.mkdir(exist_ok=True)
        self.clock = Clock(scale=1000)
        self.used: set[Path] = set()
        self.faults = SimpleNamespace(subscribe=lambda kind, apply: None)
        self.guests = SimpleNamespace(uses=lambda path: path in self.used)
        for disk in self.spec.disks:
            with (self.disk_images / f"{disk.name}.img").open("ab") as file:
                file.truncate(disk.size)
        self.disks = Disks(self)  # type: ignore[arg-type]
        self.zfs = Zfs(self)  # type: ignore[arg-type]


async def boot(directory: Path) -> Any:
    host = Host(directory)
    await host.disks.start()
    await host.zfs.start()
    return host


@pytest.fixture
async def host(tmp_path: Path) -> Any:
    return await boot(tmp_path)
