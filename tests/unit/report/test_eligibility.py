# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a guest from failing over, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._pure.ha_eligibility import (
    CHECKS,
    Candidate,
    Storage,
    Surroundings,
    obstacles,
)

STORAGES = {
    "tank": Storage("zfspool"),
    "vm": Storage("rbd", True),
    "half": Storage("nfs", True, frozenset({"pve1"})),
    "local": Storage("dir"),
}
AROUND = Surroundings(STORAGES, {"pve1": "EPYC 7302", "pve2": "EPYC 7302", "pve3": "Xeon 6230"})
GOOD = Candidate(
    100,
    "qemu",
    "pve1",
    {"agent": "1", "scsi0": "vm:vm-100-disk-0,size=4G"},
    ("pve1", "pve2"),
    backed_up=True,
    service_known=True,
)


def found(config: dict[str, Any], **more: Any) -> dict[str, bool]:
    """Check -> whether it stops the guest, of a good guest with this configuration besides."""
    guest = replace(GOOD, config={**GOOD.config, **config}, **more)
    return {one.check: one.stops for one in obstacles(guest, AROUND)}


def test_nothing_is_in_the_way_of_a_good_guest() -> None:
    assert obstacles(GOOD, AROUND) == []


@pytest.mark.parametrize(
    ("config", "more", "wanted"),
    [
        ({"scsi1": "local:100/vm-100-disk-1.qcow2,size=4G"}, {}, {"disk": True}),
        ({"scsi1": "tank:vm-100-disk-1,size=4G"}, {}, {"disk": True}),
        ({"scsi1": "tank:vm-100-disk-1,size=4G"}, {"replicas": frozenset({"pve2"})}, {}),
        ({"scsi1": "tank:vm-100-disk-1,replicate=0"}, {"replicas": frozenset({"pve2"})}, {"disk": True}),
        (
            {"scsi1": "tank:vm-100-disk-1"},
            {"replicas": frozenset({"pve2"}), "allowed": ("pve1", "pve2", "pve3")},
            {"disk": False},
        ),
        ({"efidisk0": "tank:vm-100-disk-1"}, {}, {"disk": True}),
        ({"scsi1": "half:100/vm-100-disk-1.raw"}, {}, {"storage": True}),
        ({"ide2": "local:iso/debian.iso,media=cdrom"}, {}, {"iso": True}),
        ({"ide2": "half:iso/debian.iso,media=cdrom"}, {}, {"storage": True}),
        ({"ide2": "vm:vm-100-cloudinit,media=cdrom"}, {}, {}),
        ({"ide2": "none,media=cdrom"}, {}, {}),
        ({"ide2": "cdrom,media=cdrom"}, {}, {"passthrough": True}),
        ({"scsi1": "/dev/disk/by-id/ata-x,size=4G"}, {}, {"passthrough": True}),
        ({"mp0": "/srv/share,mp=/srv,shared=1"}, {"kind": "lxc"}, {}),
        ({"hostpci0": "0000:01:00.0,pcie=1"}, {}, {"passthrough": True}),
        ({"hostpci0": "mapping=gpu,pcie=1"}, {}, {}),
        ({"usb0": "host=0951:1666"}, {}, {"passthrough": True}),
        ({"usb0": "spice"}, {}, {}),
        ({"serial0": "socket"}, {}, {}),
        ({"cpu": "host"}, {}, {}),
        ({"cpu": "host"}, {"allowed": ("pve1", "pve3")}, {"cpu": False}),
        ({"cpu": "x86-64-v2-AES"}, {"allowed": ("pve1", "pve3")}, {}),
        ({"agent": "enabled=0"}, {}, {"agent": False}),
        ({"agent": "enabled=1,fstrim_cloned_disks=1"}, {}, {}),
        ({}, {"service_known": False}, {"autostart": False}),
        ({}, {"backed_up": False}, {"backup": False}),
        ({}, {"backed_up": None}, {}),
        ({}, {"allowed": ("pve1",)}, {"nodes": True}),
    ],
)
def test_each_obstacle_alone(config: dict[str, Any], more: dict[str, Any], wanted: dict[str, bool]) -> None:
    assert found(config, **more) == wanted
    assert set(wanted) <= set(CHECKS)


def test_what_stops_it_comes_first_and_says_what_to_do() -> None:
    guest = replace(GOOD, config={"hostpci0": "0000:01:00.0", "cpu": "host"}, allowed=("pve1", "pve3"))
    first, *rest = obstacles(guest, AROUND)
    assert first.check == "passthrough"
    assert "resource mapping" in first.fix
    assert [one.check for one in rest] == ["cpu", "agent"]


def test_storages_as_the_server_and_the_variables_list_them() -> None:
    assert Storage.of({"type": "nfs"}).shared
    assert Storage.of({"type": "lvm", "shared": 1}).shared
    assert not Storage.of({"type": "dir"}).shared
    assert Storage.of({"type": "dir", "nodes": "pve1,pve2"}).on("pve2")
    assert not Storage.of({"type": "dir", "nodes": ["pve1"]}).on("pve2")
