# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that go, fail, hang and are replaced, and what pools and guests make of it (facts §10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentstack.reader import StackError

from ..api_client import Refused, Root
from ..records import goes_on, records, stands
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

HOSTS = {"pve1": {"disks": [{"size": "32G"}, {"size": "2G", "count": 5}]}}
NODE = "/nodes/pve1"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(HOSTS, scale=50)


@pytest.fixture(scope="module")
def guests(stack: RunningStack) -> None:
    root = Root(stack, "pve1")
    for name, level, devices in (("tank", "mirror", "/dev/sdb,/dev/sdc"), ("solo", "single", "/dev/sdd")):
        pool = {"name": name, "raidlevel": level, "devices": devices, "add_storage": 1}
        root.run("POST", f"{NODE}/disks/zfs", **pool)
    root.run("POST", f"{NODE}/qemu", vmid=100, memory=64, scsi0="tank:1")
    root.run("POST", f"{NODE}/qemu", vmid=101, memory=64, scsi0="solo:1")
    for vmid in (100, 101):
        root.run("POST", f"{NODE}/qemu/{vmid}/status/start")


@pytest.fixture
def root(stack: RunningStack, guests: None) -> Root:
    return Root(stack, "pve1")


@pytest.fixture
def shell(stack: RunningStack) -> Shell:
    return Shell(stack, "pve1")


@pytest.fixture(autouse=True)
def whole(stack: RunningStack) -> None:
    stack.clear_faults("disk")


def disk(stack: RunningStack, vmid: int) -> Path:
    return next((stack.dir / "hosts/pve1/zfs").glob(f"*/data/vm-{vmid}-disk-0.raw"))


def test_a_mirror_loses_a_disk_and_gets_another(stack: RunningStack, root: Root, shell: Shell) -> None:
    stack.fault("disk", "pve1", "sdb", "remove")
    assert "/dev/sdb" not in [row["devpath"] for row in root("GET", f"{NODE}/disks/list")]
    assert root("GET", f"{NODE}/disks/zfs/tank")["state"] == "DEGRADED"
    shown = shell.run("zpool status tank").out
    assert "One or more devices have been removed." in shown
    assert "REMOVED" in shown
    assert goes_on(disk(stack, 100))

    stack.fault("disk", "pve1", "sdb", "replace=S4NEW")
    new = next(row for row in root("GET", f"{NODE}/disks/list") if row["devpath"] == "/dev/sdb")
    assert (new["serial"], "used" in new) == ("S4NEW", False)
    assert root("GET", f"{NODE}/disks/zfs/tank")["state"] == "DEGRADED"
    refused = shell.run("zpool replace tank nosuch /dev/sdb")
    assert (refused.status, refused.err) == (1, "cannot replace nosuch: no such device in pool\n")
    assert shell.run("zpool replace tank /dev/sdb").status == 0
    assert root("GET", f"{NODE}/disks/zfs/tank")["state"] == "ONLINE"
    stack.power("off", "pve1")
    wait_until(lambda: stack.host("pve1")["power"] == "off")
    stack.power("on", "pve1")
    wait_until(lambda: stack.host("pve1")["power"] == "on")
    stack.wait_ready("pve1")
    root = Root(stack, "pve1")
    assert root("GET", f"{NODE}/disks/zfs/tank")["state"] == "ONLINE", "the labels know the new disk"
    for vmid in (100, 101):
        root.run("POST", f"{NODE}/qemu/{vmid}/status/start")
    assert goes_on(disk(stack, 100))


def test_a_disk_full_of_errors(stack: RunningStack, root: Root, shell: Shell) -> None:
    stack.fault("disk", "pve1", "sdc", "fail")
    row = next(row for row in root("GET", f"{NODE}/disks/list") if row["devpath"] == "/dev/sdc")
    assert row["health"] == "FAILED"
    assert "FAULTED" in shell.run("zpool status tank").out
    refused = shell.run("zpool offline tank sdb")
    assert (refused.status, refused.err) == (1, "cannot offline sdb: no valid replicas\n")
    assert shell.run("zpool offline tank sdc").status == 0
    assert "OFFLINE" in shell.run("zpool status tank").out
    assert shell.run("zpool online tank sdc").status == 0
    assert goes_on(disk(stack, 100))


def test_a_pool_without_its_only_disk_waits_until_it_is_cleared(stack: RunningStack, root: Root, shell: Shell) -> None:
    stack.fault("disk", "pve1", "sdd", "remove")
    wait_until(lambda: shell.run("zpool list -H -o health solo").out == "SUSPENDED\n")
    assert root("GET", f"{NODE}/storage/solo/status")["active"] == 0
    still = stands(disk(stack, 101))
    assert goes_on(disk(stack, 100)), "other pools do not care"
    assert len(records(disk(stack, 101))) == still
    stack.fault("disk", "pve1", "sdd", "restore")
    assert shell.run("zpool list -H -o health solo").out == "SUSPENDED\n", "until an administrator says so"
    assert shell.run("zpool clear solo").status == 0
    assert goes_on(disk(stack, 101))


def test_a_disk_that_hangs_holds_its_guests(stack: RunningStack, root: Root) -> None:
    stack.fault("disk", "pve1", "sdd", "stall")
    still = stands(disk(stack, 101))
    assert goes_on(disk(stack, 100))
    assert len(records(disk(stack, 101))) == still
    upid = root("POST", f"{NODE}/qemu/101/status/shutdown", timeout=10)
    assert "failed" in root.end_of(upid) or "timeout" in root.end_of(upid)
    stack.clear_faults("disk")
    assert goes_on(disk(stack, 101))


def test_faults_that_name_what_is_not_there(stack: RunningStack) -> None:
    with pytest.raises(StackError, match="sdz"):
        stack.fault("disk", "pve1", "sdz", "remove")


def test_a_pool_is_not_made_over_a_failed_name(root: Root) -> None:
    with pytest.raises(Refused, match="in use"):
        root("POST", f"{NODE}/disks/zfs", name="other", raidlevel="single", devices="/dev/sdc")
