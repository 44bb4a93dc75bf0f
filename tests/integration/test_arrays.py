# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""External storage that every node reaches over a network of its own: NFS, and LVM on an iSCSI LUN (facts §12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..api_client import Refused, Root
from ..records import goes_on, records, stands
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

TARGET = "iqn.2026-01.test:san"
DEFINITION = {
    "networks": {"mgmt": {}, "san": {}},
    "arrays": {"nas1": {"network": "san", "exports": {"/export/vm": "100G"}, "targets": {TARGET: ["20G", "10G"]}}},
}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory({"pve1": {}, "pve2": {}}, scale=50, start={"clustered": {"name": "test"}}, **DEFINITION)


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    root = Root(stack, "pve1")
    address = stack.resolved["arrays"]["nas1"]["address"]
    root("POST", "/storage", storage="nas", type="nfs", server=address, export="/export/vm", content="images")
    root("POST", "/storage", storage="san", type="iscsi", portal="nas1", target=TARGET, content="none")
    lun = root("GET", "/nodes/pve1/storage/san/content")[0]["volid"]
    root("POST", "/storage", storage="vms", type="lvm", vgname="vg_san", base=lun, shared=1, content="images")
    for vmid, storage in ((100, "nas"), (101, "vms")):
        root.run("POST", "/nodes/pve1/qemu", vmid=vmid, memory=64, scsi0=f"{storage}:1")
        root.run("POST", f"/nodes/pve1/qemu/{vmid}/status/start")
    return root


@pytest.fixture(autouse=True)
def whole(stack: RunningStack) -> None:
    stack.clear_faults()


def disk(stack: RunningStack, vmid: int) -> Path:
    return next((stack.dir / "arrays/nas1").rglob(f"vm-{vmid}-disk-0.raw"))


def test_one_file_area_for_all_nodes(root: Root) -> None:
    for node in ("pve1", "pve2"):
        rows = {row["storage"]: row for row in root("GET", f"/nodes/{node}/storage")}
        assert [rows[name]["active"] for name in ("nas", "san", "vms")] == [1, 1, 1]
        assert [rows[name]["shared"] for name in ("nas", "san", "vms")] == [1, 1, 1]
        assert rows["nas"]["total"] == 100 << 30
        assert rows["vms"]["used"] == 1 << 30
        found = [
            row["volid"] for name in ("nas", "vms") for row in root("GET", f"/nodes/{node}/storage/{name}/content")
        ]
        assert found == ["nas:100/vm-100-disk-0.raw", "vms:vm-101-disk-0"]
    assert root("GET", "/storage/nas")["path"] == "/mnt/pve/nas"


@pytest.mark.parametrize("vmid", [100, 101])
def test_a_live_migration_copies_nothing(stack: RunningStack, root: Root, vmid: int) -> None:
    assert goes_on(disk(stack, vmid))
    before = disk(stack, vmid)
    upid = root.run("POST", f"/nodes/pve1/qemu/{vmid}/migrate", target="pve2", online=1)
    assert not [line for line in root.log_of(upid) if "copying local disk" in line]
    assert disk(stack, vmid) == before
    assert goes_on(disk(stack, vmid))
    found = records(before)
    assert [record.number for record in found] == list(range(1, len(found) + 1))
    assert {record.host for record in found} == {"pve1", "pve2"}
    root.run("POST", f"/nodes/pve2/qemu/{vmid}/migrate", target="pve1", online=1)


def test_a_node_off_the_storage_network_waits(stack: RunningStack, root: Root) -> None:
    stack.fault("link", "pve1", "san", "cut")
    still = stands(disk(stack, 100))
    assert {row["storage"]: row["active"] for row in root("GET", "/nodes/pve1/storage")} == {
        **{"local": 1, "nas": 0, "san": 0, "vms": 0}
    }
    assert root("GET", "/nodes/pve2/storage/nas/status")["active"] == 1
    with pytest.raises(Refused, match="storage 'nas' is not online"):
        root("GET", "/nodes/pve1/storage/nas/content")
    assert len(records(disk(stack, 100))) == still
    stack.fault("link", "pve1", "san", "restore")
    assert goes_on(disk(stack, 100))


def test_the_array_itself_can_go(stack: RunningStack, root: Root) -> None:
    stack.fault("array", "nas1", "cut")
    wait_until(lambda: root("GET", "/nodes/pve2/storage/nas/status")["active"] == 0)
    with pytest.raises(Refused, match="storage 'more' is not online"):
        root("POST", "/storage", storage="more", type="nfs", server="nas1", export="/export/vm", content="iso")
    stack.fault("array", "nas1", "restore")
    assert goes_on(disk(stack, 101))


def test_what_the_array_does_not_have(root: Root) -> None:
    with pytest.raises(Refused, match="access denied by server"):
        root("POST", "/storage", storage="more", type="nfs", server="nas1", export="/export/no", content="iso")
    with pytest.raises(Refused, match="not online"):
        root("POST", "/storage", storage="more", type="nfs", server="10.9.9.9", export="/export/vm", content="iso")
    refused = root("POST", "/nodes/pve1/qemu", vmid=102, memory=64, scsi0="vms:30")
    assert "insufficient free space" in root.end_of(refused)
