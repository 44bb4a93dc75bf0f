# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests' configuration files (observed: files)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.errors import AgentError, ParameterError
from agentstack.guests import config as configs
from agentstack.guests import drives
from agentstack.guests.config import LXC, QEMU, GuestConfig
from agentstack.guests.update import typed

OBSERVED = """boot:  
kvm: 0
memory: 16
meta: creation-qemu=7.2.22,ctime=1795290019
name: t100
smbios1: uuid=aafad5db-34d2-4b27-aa47-bc2a259a3684
vmgenid: 8c14db3d-292c-4b54-b5fb-29c0106da1ca
"""  # noqa: W291  # the blanks at the end of the first line are the server's

FULL = """#a server%0A
#of many
boot: order=scsi0
parent: before
scsi0: tank:vm-100-disk-0,size=4G

[PENDING]
memory: 1024
delete: cores

[before]
boot: order=scsi0
scsi0: tank:vm-100-disk-0,size=4G
snaptime: 1795290019
"""


def test_observed_file_comes_back() -> None:
    config = configs.parse(OBSERVED)
    assert config.values["boot"] == " "
    assert configs.format_config(config) == OBSERVED


def test_sections() -> None:
    config = configs.parse(FULL)
    assert config.values["description"] == "a server\n\nof many\n"
    assert config.pending == {"memory": "1024", "cores": None}
    assert config.snapshots["before"]["snaptime"] == "1795290019"
    assert configs.parse(configs.format_config(config)).pending == config.pending


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}[0-9]{0,2}", fullmatch=True), st.from_regex(r"[!-~]{1,20}", fullmatch=True)
    )
)
def test_values_come_back(values: dict[str, str]) -> None:
    values.pop("description", None)
    assert configs.parse(configs.format_config(GuestConfig(values))).values == values


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1))
def test_descriptions_come_back(text: str) -> None:
    config = GuestConfig({"description": text + "\n", "name": "x"})
    again = configs.parse(configs.format_config(config))
    assert again.values == config.values


def test_whole_numbers_are_answered_as_numbers() -> None:
    values = {"cores": "2", "memory": "512", "cpulimit": "1.5", "name": "12"}
    assert typed(QEMU, values) == {"cores": 2, "memory": "512", "cpulimit": 1.5, "name": "12"}
    assert typed(LXC, values)["memory"] == 512


def test_drives_are_written_with_sorted_options() -> None:
    drive = drives.parse_drive("scsi0", "tank:vm-1-disk-0,size=4G,discard=on,replicate=0")
    assert drive.format() == "tank:vm-1-disk-0,discard=on,replicate=0,size=4G"
    assert (drive.storage, drive.size, drive.replicates) == ("tank", 4 << 30, False)


def test_first_disk_comes_first() -> None:
    config = GuestConfig(
        {
            **{"efidisk0": "a:x", "scsi10": "a:b", "scsi2": "a:c", "ide2": "none,media=cdrom", "unused0": "a:u"},
            "net0": "virtio=x",
        }
    )
    assert [key for key, _ in drives.drives(QEMU, config)] == ["ide2", "scsi2", "scsi10", "efidisk0"]
    assert [key for key, _ in drives.volumes(QEMU, config)] == ["scsi2", "scsi10", "efidisk0", "unused0"]
    container = GuestConfig({"mp0": "a:m,mp=/m", "rootfs": "a:r"})
    assert [key for key, _ in drives.drives(LXC, container)] == ["rootfs", "mp0"]


def test_a_drive_needs_a_volume() -> None:
    with pytest.raises(ParameterError):
        drives.parse_drive("scsi0", "size=4G")


def test_network_cards_get_an_address() -> None:
    assert drives.complete_net(QEMU, "virtio=BC:24:11:00:00:01,bridge=vmbr0") == "virtio=BC:24:11:00:00:01,bridge=vmbr0"
    made = drives.complete_net(QEMU, "virtio,bridge=vmbr0")
    assert made.startswith("virtio=BC:24:11:")
    assert drives.complete_net(LXC, "name=eth0,bridge=vmbr0,ip=dhcp").startswith("name=eth0,bridge=vmbr0,hwaddr=BC:")


def test_disks_only_grow() -> None:
    assert drives.parse_disk_size(1 << 30, "+2G") == 3 << 30
    assert drives.parse_disk_size(1 << 30, "2G") == 2 << 30
    with pytest.raises(AgentError, match="shrinking disks is not supported"):
        drives.parse_disk_size(2 << 30, "1G")
