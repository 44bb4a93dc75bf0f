# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest whose migration fails is as it was before: whatever failed, and whatever had been done until then."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agentstack.clock import Clock
from agentstack.errors import AgentError
from agentstack.guests import migrate
from agentstack.guests.config import QEMU, Place

CONFIG = "memory: 64\n"
PATH = "nodes/pve1/qemu-server/101.conf"


class Files:
    """Files of the cluster; the `unsure`-th write is made, and its end not known: the membership changed meanwhile."""

    quorate = True

    def __init__(self, unsure: int) -> None:
        self.content = {PATH: CONFIG}
        self.unsure = unsure

    def require_quorum(self) -> None:
        """There is one."""

    def read(self, path: str) -> bytes:
        return self.content[path].encode()

    async def write(self, path: str, text: str) -> None:
        self.content[path] = text
        self.unsure -= 1
        if not self.unsure:
            raise PermissionError(f"/etc/pve/{path}")

    async def rename(self, old: str, new: str) -> None:
        raise AssertionError("it failed before")

    def guests(self) -> dict[int, Place]:
        return {101: SimpleNamespace(type="qemu", node="pve1")}  # type: ignore[dict-item]


class Line:
    """The other node, which does as it is told."""

    def __init__(self, *_: object) -> None:
        self.address = "192.0.2.12"

    async def ask(self, request: dict[str, Any], *_: object) -> None:
        """Nothing comes of it."""


@pytest.mark.parametrize("unsure", [1, 2])
async def test_a_lock_is_not_left_behind(monkeypatch: pytest.MonkeyPatch, unsure: int) -> None:
    files = Files(unsure)
    nodes = [SimpleNamespace(name=name) for name in ("pve1", "pve2")]
    guests = SimpleNamespace(lock=lambda vmid: asyncio.Lock(), is_running=lambda vmid: False, running={})
    cluster = SimpleNamespace(members=lambda: {"pve1", "pve2"}, nodes=lambda: nodes)
    host: Any = SimpleNamespace(name="pve1", files=files, guests=guests, cluster=cluster, clock=Clock(scale=1000))
    monkeypatch.setattr(migrate, "Tunnel", Line)
    monkeypatch.setattr(migrate, "migration_network", lambda host: None)
    monkeypatch.setattr(migrate.handover, "job_to", lambda *_: None)
    with pytest.raises((AgentError, OSError)):
        await migrate.migrate(host, QEMU, 101, migrate.Request("pve2"), lambda line: None)
    assert files.content == {PATH: CONFIG}
