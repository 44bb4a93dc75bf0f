# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's disks and when they are in use (facts §10)."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack.errors import AgentError
from agentstack.storage import signatures


def entry(host: Any, device: str, **options: bool) -> dict[str, Any]:
    return next(row for row in host.disks.entries(**options) if row["devpath"] == device)


def test_fields_of_a_free_disk(host: Any) -> None:
    row = entry(host, "/dev/sdb")
    assert set(row) == {
        *("devpath", "size", "vendor", "model", "serial", "wwn", "rpm", "type", "health", "wearout", "gpt"),
        *("by_id_link", "osdid", "osdid-list"),
    }
    assert (row["size"], row["model"], row["type"], row["gpt"], row["osdid"], row["osdid-list"]) == (
        *(1 << 30, "SSD-A", "ssd", 0, -1, None),
    )


def test_rotating_disks_have_no_wearout(host: Any) -> None:
    row = entry(host, "/dev/sdh")
    assert (row["type"], row["rpm"], row["wearout"]) == ("hdd", 7200, "N/A")


def test_system_disk_is_in_use(host: Any) -> None:
    assert entry(host, "/dev/sda")["used"] == "BIOS boot"
    assert entry(host, "/dev/sda", partitions=True)["used"] == "partitions"
    parts = [row for row in host.disks.entries(partitions=True) if row.get("parent") == "/dev/sda"]
    assert [(row["devpath"], row["used"]) for row in parts] == [
        *(("/dev/sda1", "BIOS boot"), ("/dev/sda2", "EFI"), ("/dev/sda3", "LVM")),
    ]
    assert {row["type"] for row in parts} == {"partition"}


def test_partitions_of_nvme_disks_are_named_with_p(host: Any) -> None:
    host.disks.take("/dev/nvme0n1", "Linux")
    assert host.disks.find("/dev/nvme0n1p1")[1] is not None


def test_an_empty_partition_table_is_no_use(host: Any) -> None:
    host.disks.initialise("/dev/sdb", None)
    row = entry(host, "/dev/sdb")
    assert row["gpt"] == 1
    assert "used" not in row


def test_a_signature_is_use(host: Any) -> None:
    disk = host.disks.disk("/dev/sdb")
    signatures.make_filesystem(disk.image, 0, "ext4")
    assert entry(host, "/dev/sdb")["used"] == "ext4"
    with pytest.raises(AgentError, match="device '/dev/sdb' is already in use"):
        host.disks.assert_unused("/dev/sdb")
    with pytest.raises(AgentError, match="disk /dev/sdb already in use"):
        host.disks.initialise("/dev/sdb", None)
    host.disks.wipe("/dev/sdb")
    host.disks.assert_unused("/dev/sdb")


def test_what_is_held_or_mounted_is_not_wiped(host: Any) -> None:
    with pytest.raises(AgentError, match="has a holder"):
        host.disks.wipe("/dev/sda")
    disk, part = host.disks.take("/dev/sdc", "Linux")
    unit = host.root / "etc/systemd/system/mnt-pve-data.mount"
    unit.parent.mkdir(parents=True)
    unit.write_text(f"[Mount]\nWhat={disk.partition_device(part.number)}\nWhere=/mnt/pve/data\n")
    with pytest.raises(AgentError, match="disk/partition '/dev/sdc1' is mounted"):
        host.disks.wipe("/dev/sdc")
    assert entry(host, "/dev/sdc")["mounted"] == 1


@pytest.mark.parametrize("device", ["/dev/sdz", "/dev/sdb1"])
def test_no_such_device(host: Any, device: str) -> None:
    with pytest.raises(AgentError, match="not a valid block device"):
        host.disks.find(device)


def test_smart_of_each_kind(host: Any) -> None:
    ata = host.disks.smart(host.disks.disk("/dev/sdb"))
    assert (ata["type"], ata["health"]) == ("ata", "PASSED")
    assert {row["name"] for row in ata["attributes"]} >= {"Wear_Leveling_Count", "Power_On_Hours"}
    nvme = host.disks.smart(host.disks.disk("/dev/nvme0n1"))
    assert nvme["type"] == "text"
    assert "Percentage Used" in nvme["text"]
    assert host.disks.smart(host.disks.disk("/dev/sdb"), health_only=True) == {"health": "PASSED"}
