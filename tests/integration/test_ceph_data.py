# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests' disks on Ceph: every acknowledged record is in the copies, whatever is lost (MISSION row 2)."""

from __future__ import annotations

import pytest

from agentstack.ceph import offline
from agentstack.ceph.images import data_of
from agentstack.guests.check_disks import Report, check

from ..api_client import Root
from ..ceph_stacks import acknowledged, build_ceph, clean, group_states, health, health_if_told
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = [pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"), pytest.mark.long]

NODES = ("pve1", "pve2", "pve3")


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts = {name: {"disks": [{"size": "32G"}, {"size": "64G", "type": "nvme", "count": 2}]} for name in NODES}
    networks = {"mgmt": {}, "ceph": {}}
    made = stack_factory(hosts, scale=100, networks=networks, start={"clustered": {"name": "test", "links": ["mgmt"]}})
    root = Root(made, "pve1")
    build_ceph(made, root, NODES, disks=("nvme0n1", "nvme1n1"))
    root.run("POST", "/nodes/pve1/ceph/pool", name="vm", pg_num=32, add_storages=1)
    wait_until(lambda: health_if_told(root) == ("HEALTH_OK", set()), 30)
    root.run("POST", "/nodes/pve3/qemu", vmid=100, name="writer", memory=64, scsi0="vm:1")
    root.run("POST", "/nodes/pve3/qemu/100/status/start")
    return made


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve1")


def goes_on(stack: RunningStack, records: int = 2, timeout: float = 30) -> None:
    """The guest writes so many more records."""
    before = acknowledged(stack)
    wait_until(lambda: acknowledged(stack) >= before + records, timeout)


def nothing_lost(stack: RunningStack) -> Report:
    report = check(stack.dir)
    assert report.findings == []
    return report


def copies(stack: RunningStack) -> list[bytes]:
    """The guest's records as each OSD that should have them holds them."""
    [cluster] = offline.clusters(stack.dir)
    [image] = [image for image in cluster.images() if image.name == "vm-100-disk-0"]
    return list(cluster.copies(image.pool, data_of(image.id, 1)).values())


def test_every_copy_holds_what_was_acknowledged(stack: RunningStack, root: Root) -> None:
    goes_on(stack, 3)
    root.run("POST", "/nodes/pve3/qemu/100/status/stop")
    found = copies(stack)
    assert len(found) == 3
    assert len(set(found)) == 1
    assert any(found[0])
    [guest] = nothing_lost(stack).guests
    assert guest.records >= 3
    rows = root("GET", "/nodes/pve1/storage/vm/content")
    assert [(row["volid"], row["size"]) for row in rows] == [("vm:vm-100-disk-0", 1 << 30)]
    root.run("POST", "/nodes/pve3/qemu/100/status/start")


def test_a_guest_goes_on_while_a_host_is_gone_and_copies_catch_up(stack: RunningStack, root: Root) -> None:
    stack.power("off", "pve2")
    wait_until(lambda: {"OSD_HOST_DOWN", "PG_DEGRADED"} <= health_if_told(root)[1], 30)
    goes_on(stack)
    stack.power("on", "pve2")
    stack.wait_ready("pve2")
    wait_until(lambda: clean(root), 60)
    assert len(copies(stack)) == 3
    nothing_lost(stack)


def test_osds_that_their_peers_do_not_reach_are_down(stack: RunningStack, root: Root) -> None:
    """Only the cluster network is cut: the monitors hear the host, its peers do not."""
    stack.fault("link", "pve2", "ceph", "cut")
    wait_until(lambda: "OSD_HOST_DOWN" in health_if_told(root)[1], 60)
    assert "MON_DOWN" not in health(root)[1]
    goes_on(stack)
    stack.clear_faults()
    wait_until(lambda: health_if_told(root) == ("HEALTH_OK", set()), 60)
    nothing_lost(stack)


def test_a_disk_that_fails_takes_its_osd_down(stack: RunningStack, root: Root) -> None:
    stack.fault("disk", "pve2", "nvme0n1", "fail")
    wait_until(lambda: "OSD_DOWN" in health_if_told(root)[1], 60)
    goes_on(stack)
    stack.clear_faults()
    wait_until(lambda: health_if_told(root) == ("HEALTH_OK", set()), 60)


def test_clocks_apart_are_a_warning(stack: RunningStack, root: Root) -> None:
    stack.fault("clock", "pve3", "+2s")
    wait_until(lambda: "MON_CLOCK_SKEW" in health_if_told(root)[1], 60)
    stack.clear_faults()
    wait_until(lambda: health_if_told(root) == ("HEALTH_OK", set()), 60)


def test_another_host_opens_the_image_of_one_that_lost_power(stack: RunningStack, root: Root) -> None:
    goes_on(stack)
    stack.power("off", "pve3")
    wait_until(lambda: {"OSD_HOST_DOWN", "PG_DEGRADED"} <= health_if_told(root)[1], 30)
    shell = Shell(stack, "pve1")
    moved = shell.run("mv /etc/pve/nodes/pve3/qemu-server/100.conf /etc/pve/nodes/pve1/qemu-server/100.conf")
    assert moved.status == 0, moved.err
    root.run("POST", "/nodes/pve1/qemu/100/status/start")
    goes_on(stack)
    [guest] = nothing_lost(stack).guests
    assert guest.hosts == ["pve1", "pve3"]


def test_writes_wait_below_min_size_and_go_on_afterwards(stack: RunningStack, root: Root) -> None:
    """pve3 is off; without pve2's OSDs one copy is left of three."""
    assert Shell(stack, "pve1").run("ceph osd set noout").status == 0
    numbers = [number for number, host in osds(root).items() if host == "pve2"]
    for number in numbers:
        root.run("POST", "/nodes/pve2/ceph/stop", service=f"osd.{number}")
    wait_until(lambda: all(state.endswith("peered") for state in group_states(root)), 30)
    assert "PG_AVAILABILITY" in health(root)[1]
    before = wait_until_still(stack)
    for number in numbers:
        root.run("POST", "/nodes/pve2/ceph/start", service=f"osd.{number}")
    wait_until(lambda: acknowledged(stack) > before + 1, 30)
    stack.power("on", "pve3")
    stack.wait_ready("pve3")
    assert Shell(stack, "pve1").run("ceph osd unset noout").status == 0
    wait_until(lambda: health_if_told(root) == ("HEALTH_OK", set()), 60)
    nothing_lost(stack)


def wait_until_still(stack: RunningStack) -> int:
    """The number of records when the guest has stopped writing: the same over several of its intervals."""
    seen: list[int] = []

    def look() -> bool:
        seen.append(acknowledged(stack))
        return len(seen) > 60 and len(set(seen[-60:])) == 1

    wait_until(look, 30)
    return seen[-1]


def osds(root: Root) -> dict[int, str]:
    def below(entry: dict[str, object]) -> dict[int, str]:
        found = {int(str(entry["id"])): str(entry["host"])} if entry.get("type") == "osd" else {}
        for child in entry.get("children", ()):  # type: ignore[attr-defined]
            found |= below(child)
        return found

    return below(root("GET", "/nodes/pve1/ceph/osd")["root"])


def test_a_lost_disk_loses_its_copies_and_others_take_over(stack: RunningStack, root: Root) -> None:
    stack.power("off", "pve2")
    wait_until(lambda: "OSD_HOST_DOWN" in health_if_told(root)[1], 30)
    for image in (stack.dir / "hosts/pve2/disks").glob("nvme*.img"):
        size = image.stat().st_size
        image.unlink()
        with image.open("wb") as file:
            file.truncate(size)
    stack.power("on", "pve2")
    stack.wait_ready("pve2")
    lost = [number for number, host in osds(root).items() if host == "pve2"]
    shell = Shell(stack, "pve1")
    refused = shell.run(f"ceph osd purge osd.{lost[0]}")
    assert refused.status == 1
    for number in lost:
        assert shell.run(f"ceph osd out {number}").status == 0
        root.run("DELETE", f"/nodes/pve2/ceph/osd/{number}")
    for disk in ("nvme0n1", "nvme1n1"):
        root.run("POST", "/nodes/pve2/ceph/osd", dev=f"/dev/{disk}")
    wait_until(lambda: clean(root), 60)
    assert len(copies(stack)) == 3
    nothing_lost(stack)


def test_snapshots_and_resizing(stack: RunningStack, root: Root) -> None:
    root.run("POST", "/nodes/pve1/qemu/100/snapshot", snapname="before")
    goes_on(stack)
    root.run("POST", "/nodes/pve1/qemu/100/status/stop")
    kept = acknowledged(stack)
    root.run("PUT", "/nodes/pve1/qemu/100/resize", disk="scsi0", size="+1G")
    [row] = root("GET", "/nodes/pve1/storage/vm/content")
    assert row["size"] == 2 << 30
    root.run("POST", "/nodes/pve1/qemu/100/snapshot/before/rollback")
    [guest] = check(stack.dir).guests
    assert 0 < guest.records < kept
    root.run("DELETE", "/nodes/pve1/qemu/100/snapshot/before")
    root.run("DELETE", "/nodes/pve1/qemu/100")
    assert root("GET", "/nodes/pve1/storage/vm/content") == []
