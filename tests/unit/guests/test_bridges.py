# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest's network cards may be plugged into, and by whom."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agentstack.guests.bridges import check_bridges

VNETS = "vnet: office\n\tzone inside\n"


@pytest.fixture
def host() -> Any:
    """A host that notes what it is asked for."""
    asked: list[str] = []
    files = SimpleNamespace(exists=lambda path: True, read=lambda path: VNETS.encode())
    access = SimpleNamespace(check=lambda identity, path, privileges: asked.append(f"{path} {privileges}"))
    return SimpleNamespace(files=files, access=access, asked=asked)


@pytest.mark.parametrize(
    ("card", "paths"),
    [
        ("virtio=BC:24:11:00:00:01,bridge=vmbr0", ["localnetwork/vmbr0"]),
        ("virtio,bridge=vmbr0,tag=5", ["localnetwork/vmbr0/5"]),
        ("virtio,bridge=vmbr0,trunks=7;20-22", [f"localnetwork/vmbr0/{vlan}" for vlan in (7, 20, 21, 22)]),
        ("name=eth0,bridge=office,ip=dhcp,type=veth", ["inside/office"]),
        ("virtio", []),
    ],
)
def test_each_bridge_and_vlan_is_a_path(host: Any, card: str, paths: list[str]) -> None:
    check_bridges(host, SimpleNamespace(), {"net0": card, "memory": "64", "netin": "bridge=vmbr9"})  # type: ignore[arg-type]
    assert host.asked == [f"/sdn/zones/{path} ['SDN.Use']" for path in paths]
