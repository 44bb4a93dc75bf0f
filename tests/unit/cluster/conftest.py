# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts without anything but their cluster part, around one switch, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from agentstack._shared.corosync_change import add_node, new_cluster
from agentstack._shared.corosync_conf import CorosyncConf, Node
from agentstack.clock import Clock
from agentstack.cluster import ssh_keys
from agentstack.cluster.cabling import Cabling, Plug
from agentstack.cluster.fabric import SOCKET
from agentstack.cluster.files import ClusterFiles
from agentstack.cluster.membership import Membership
from agentstack.cluster.switch import Switch
from agentstack.control import unix_address
from agentstack.host import Host
from agentstack.stack import Stack

SCALE = 50.0
NETWORKS = ("mgmt", "ring0", "ring1")


@dataclass
class Box:
    """A host as far as the cluster part looks at it."""

    name: str
    number: int
    state: Path
    clock: Clock
    stack: Stack
    cluster: Membership = field(init=False)
    files: ClusterFiles = field(init=False)

    @property
    def root(self) -> Path:
        return self.state / "root"

    @property
    def address(self) -> str:
        return f"127.75.0.{self.number}"

    @property
    def addresses(self) -> dict[str, str]:
        return {name: f"127.75.{index}.{self.number}" for index, name in enumerate(NETWORKS)}

    def build(self) -> None:
        host = cast(Host, self)
        self.cluster = Membership(host)
        self.files = ClusterFiles(host)

    async def start(self) -> None:
        host_key = self.root / ssh_keys.HOST_KEY
        host_key.parent.mkdir(parents=True, exist_ok=True)
        host_key.write_text("ssh-ed25519 AAAA root@host\n")
        self.build()
        await self.cluster.start()
        await self.files.start()

    async def stop(self) -> None:
        await self.files.stop()
        await self.cluster.stop()

    async def crash(self) -> None:
        """End without a word, as after kill -9."""
        corosync = self.cluster.corosync
        corosync.application = None
        if corosync._task is not None:
            corosync._task.cancel()
        if corosync._writer is not None:
            corosync._writer.transport.abort()
            corosync._writer = None
        corosync._task = None
        self.files._store.close()


@dataclass
class World:
    """A switch and its hosts."""

    state: Path
    switch: Switch
    boxes: dict[str, Box]

    def configure(self, names: list[str], links: tuple[str, ...] = ("ring0", "ring1")) -> CorosyncConf:
        """Write the same cluster configuration and key to all these hosts."""
        conf: CorosyncConf | None = None
        for name in names:
            addresses = {index: self.boxes[name].addresses[network] for index, network in enumerate(links)}
            conf = new_cluster("ha", Node(name, 1, addresses)) if conf is None else add_node(conf, name, addresses)
        assert conf is not None
        for name in names:
            self.write_config(name, conf)
        return conf

    def write_config(self, name: str, conf: CorosyncConf) -> None:
        directory = self.boxes[name].root / "etc/corosync"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "authkey").write_bytes(b"secret")
        (directory / "corosync.conf").write_text(conf.format())

    def control(self, command: str, **arguments: Any) -> None:
        cabling = self.switch.cabling
        if command == "separate":
            cabling.separate(arguments["sets"])
        elif command == "cut":
            cabling.down |= cabling.select(arguments.get("host"), arguments.get("network"))
        else:
            cabling.down -= cabling.select(arguments.get("host"), arguments.get("network"))
            cabling.walls.clear()
        self.switch.rewired()

    def online(self, name: str) -> set[str]:
        return self.boxes[name].cluster.members() if self.boxes[name].cluster.view is not None else set()


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for what the hosts do by themselves."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    boxes = {
        f"pve{number}": Box(
            f"pve{number}",
            10 + number,
            tmp_path / "hosts" / f"pve{number}",
            Clock(scale=SCALE),
            Stack("test", 75, SCALE, 0, {}, {}, ()),
        )
        for number in range(1, 6)
    }
    cabling = Cabling(
        {address: Plug(box.name, net) for box in boxes.values() for net, address in box.addresses.items()}
    )
    switch = Switch(cabling, Clock(scale=SCALE))
    with unix_address(tmp_path / SOCKET) as address:
        server = await asyncio.start_unix_server(switch.serve, address)
    yield World(tmp_path, switch, boxes)
    for box in boxes.values():
        if hasattr(box, "files"):
            with contextlib.suppress(Exception):
                await box.stop()
    server.close()


@pytest.fixture
async def three(world: World) -> World:
    """Three hosts in a quorate cluster."""
    names = ["pve1", "pve2", "pve3"]
    world.configure(names)
    await asyncio.gather(*(world.boxes[name].start() for name in names))
    await until(lambda: all(len(world.online(name)) == 3 for name in names))
    await until(
        lambda: all(len(world.boxes[name].files.read_text("priv/known_hosts", "").splitlines()) == 6 for name in names)
    )
    return world
