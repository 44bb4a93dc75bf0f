# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicated guests that move: little is sent, their jobs turn round, and the others go on (facts §9.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..api_client import Refused, Root
from ..records import goes_on, records
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

DISKS = [{"size": "32G"}, {"size": "8G"}]
HOSTS = {name: {"disks": DISKS} for name in ("pve1", "pve2", "pve3", "pve4")}
MOVE: dict[str, Any] = {"online": 1, "with__local__disks": 1}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(HOSTS, scale=100, start={"clustered": {"name": "test"}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    root = Root(stack, "pve4")
    pool = {"name": "tank", "raidlevel": "single", "devices": "/dev/sdb", "add_storage": 1}
    for task in [root("POST", f"/nodes/{name}/disks/zfs", **pool) for name in HOSTS]:
        assert root.end_of(task) == "OK"
    root.run("POST", "/nodes/pve1/qemu", vmid=104, name="files", memory=64, scsi0="tank:1")
    root.run("POST", "/nodes/pve1/qemu/104/status/start")
    for number, target in enumerate(("pve2", "pve3")):
        root("POST", "/cluster/replication", id=f"104-{number}", type="local", target=target, schedule="daily")
    wait_until(lambda: all(moment > 0 for moment in last_syncs(root, "pve1").values()), 30)
    return root


def last_syncs(root: Root, node: str) -> dict[str, int]:
    """When the guest's two jobs last ran on a node, without an error."""
    rows = root("GET", f"/nodes/{node}/replication", guest=104)
    assert {row["id"]: row["error"] for row in rows if "error" in row} == {}
    return {row["id"]: int(row["last_sync"]) for row in rows}


def replicate(root: Root, node: str) -> None:
    """Run both jobs on a node."""
    before = last_syncs(root, node)
    # runs are told apart by seconds, and a migration has just replicated
    wait_until(lambda: root("GET", f"/nodes/{node}/time")["time"] > max(before.values()), 30)
    for ident in before:
        root("POST", f"/nodes/{node}/replication/{ident}/schedule_now")
    wait_until(lambda: all(last_syncs(root, node)[ident] > moment for ident, moment in before.items()), 30)


def disk(stack: RunningStack, host: str) -> Path:
    return next((stack.dir / "hosts" / host / "zfs").glob("*/data/vm-104-disk-0.raw"))


def jobs(root: Root) -> dict[str, tuple[str, str]]:
    """Source and target of the jobs."""
    return {job["id"]: (job["source"], job["target"]) for job in root("GET", "/cluster/replication")}


def test_only_to_where_the_replicas_are(root: Root) -> None:
    with pytest.raises(Refused, match="Cannot live-migrate replicated VM to node 'pve4' - not a replication target"):
        root("POST", "/nodes/pve1/qemu/104/migrate", target="pve4", **MOVE)


def test_a_live_migration_sends_what_changed_and_turns_the_job(stack: RunningStack, root: Root) -> None:
    upid = root.run("POST", "/nodes/pve1/qemu/104/migrate", target="pve2", **MOVE)
    log = "\n".join(root.log_of(upid))
    assert "replicating disk images" in log
    assert "copying local disk images" not in log
    assert jobs(root) == {"104-0": ("pve2", "pve1"), "104-1": ("pve2", "pve3")}
    assert disk(stack, "pve1").exists(), "what was the guest's disk is its replica now"
    assert goes_on(disk(stack, "pve2"))
    found = records(disk(stack, "pve2"))
    assert [record.number for record in found] == list(range(1, len(found) + 1))
    replicate(root, "pve2")
    for host in ("pve1", "pve3"):
        assert "pve2" in {record.host for record in records(disk(stack, host))}


def test_offline_and_back(stack: RunningStack, root: Root) -> None:
    root.run("POST", "/nodes/pve2/qemu/104/status/stop")
    held = len(records(disk(stack, "pve2")))
    root.run("POST", "/nodes/pve2/qemu/104/migrate", target="pve3")
    assert jobs(root) == {"104-0": ("pve3", "pve1"), "104-1": ("pve3", "pve2")}
    assert len(records(disk(stack, "pve3"))) == held
    replicate(root, "pve3")


def test_after_recovery_the_other_target_is_served_first(stack: RunningStack, root: Root) -> None:
    stack.power("off", "pve3")
    wait_until(lambda: stack.host("pve3")["power"] == "off")
    config = "/etc/pve/nodes/{}/qemu-server/104.conf"
    answer = Shell(stack, "pve4").run(f"mv {config.format('pve3')} {config.format('pve1')}")
    assert answer.status == 0, answer.err
    wait_until(lambda: jobs(root) == {"104-0": ("pve1", "pve3"), "104-1": ("pve1", "pve2")})

    def ran(ident: str) -> bool:
        row = next(row for row in root("GET", "/nodes/pve1/replication") if row["id"] == ident)
        if "error" in row:
            # its next attempt would come by the wall clock, in five minutes
            root("POST", f"/nodes/pve1/replication/{ident}/schedule_now")
        return "error" not in row and row["last_sync"] > 0

    wait_until(lambda: ran("104-1"), 60)
    stack.power("on", "pve3")
    stack.wait_ready("pve3")
    wait_until(lambda: ran("104-0"), 60)
    assert len(records(disk(stack, "pve3"))) == len(records(disk(stack, "pve1")))


def test_a_job_that_is_being_removed_keeps_the_guest(stack: RunningStack, root: Root) -> None:
    stack.power("off", "pve2")
    wait_until(lambda: stack.host("pve2")["power"] == "off")
    root("DELETE", "/cluster/replication/104-1")
    upid = root("POST", "/nodes/pve1/qemu/104/migrate", target="pve3")
    assert root.end_of(upid) == "replication job '104-1' is marked for removal - can't migrate"
