# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command to the monitors while their group changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentstack.ceph.quorum import MonitorGroup
from agentstack.clock import Clock


async def test_nothing_is_sent_before_the_members_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The membership may change between the wait for a quorum and the command: members would not carry that out."""
    group = MonitorGroup("pve1", 1, tmp_path / "socket", tmp_path / "maps.json", Clock(scale=1.0))
    agreed = iter([False, False, True])
    sent: list[dict[str, Any]] = []

    async def maps() -> None:
        await asyncio.sleep(0)

    def send(conf: int, body: dict[str, Any]) -> tuple[int, asyncio.Future[None]]:
        sent.append(body)
        stable = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: group._commands[7].settle(True))
        return 7, stable

    monkeypatch.setattr(group, "maps", maps)
    monkeypatch.setattr(group, "quorum", lambda: frozenset({"pve1"}) if next(agreed) else frozenset())
    monkeypatch.setattr(group, "_corosync", SimpleNamespace(send=send))
    monkeypatch.setattr(group, "_view", SimpleNamespace(conf=3))
    await group.execute("manager_add", name="pve1", host="pve1")
    assert [body["name"] for body in sent] == ["manager_add"]
    assert next(agreed, None) is None
