# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication that really copies: what the target holds is a state that the guest had (facts §9)."""

from __future__ import annotations

from functools import partial

import pytest

from agentstack.guests.process import Record, read_records

from ..api_client import Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

DISKS = [{"size": "32G"}, {"size": "8G"}]
CONFIG = "/etc/pve/nodes/{}/qemu-server/104.conf"
HOSTS = {name: {"disks": DISKS} for name in ("pve1", "pve2", "pve3")}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(HOSTS, scale=100, start={"clustered": {"name": "test"}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    root = Root(stack, "pve1")
    pool = {"name": "tank", "raidlevel": "single", "devices": "/dev/sdb", "add_storage": 1}
    for task in [root("POST", f"/nodes/{name}/disks/zfs", **pool) for name in HOSTS]:
        assert root.end_of(task) == "OK"
    root.run("POST", "/nodes/pve1/qemu", vmid=104, name="files", memory=64, scsi0="tank:1")
    root.run("POST", "/nodes/pve1/qemu/104/status/start")
    return root


def records(stack: RunningStack, host: str) -> list[Record]:
    """What the disk of guest 104 on a host holds."""
    path = next((stack.dir / "hosts" / host / "zfs").glob("*/data/vm-104-disk-0.raw"), None)
    return list(read_records(str(path))) if path else []


def state(root: Root, ident: str) -> dict[str, object]:
    """A job's state on the guest's node."""
    return next(row for row in root("GET", "/nodes/pve1/replication") if row["id"] == ident)


def synced_since(root: Root, ident: str, moment: int) -> int:
    found = state(root, ident)
    assert "error" not in found, found
    return int(str(found["last_sync"])) if int(str(found["last_sync"])) > moment else 0


def move_config(stack: RunningStack, source: str, target: str) -> None:
    """What HA's recovery does with guest 104."""
    answer = Shell(stack, target).run(f"mv {CONFIG.format(source)} {CONFIG.format(target)}")
    assert answer.status == 0, answer.err


def test_the_first_run_copies_all_and_the_next_what_changed(stack: RunningStack, root: Root) -> None:
    root("POST", "/cluster/replication", id="104-0", type="local", target="pve2", schedule="*/1")
    first = wait_until(lambda: synced_since(root, "104-0", 0))
    copied = records(stack, "pve2")
    assert [record.number for record in copied] == list(range(1, len(copied) + 1))
    log = " ".join(row["t"] for row in root("GET", "/nodes/pve1/replication/104-0/log"))
    assert "full sync 'tank:vm-104-disk-0'" in log

    for _ in range(4):
        root("POST", "/nodes/pve1/replication/104-0/schedule_now")
        first = wait_until(partial(synced_since, root, "104-0", first))
    assert len(records(stack, "pve2")) > len(copied)
    log = " ".join(row["t"] for row in root("GET", "/nodes/pve1/replication/104-0/log"))
    assert "incremental sync 'tank:vm-104-disk-0'" in log
    snapshots = Shell(stack, "pve2").run("zfs list -H -o name -t snapshot").out
    assert len(snapshots.splitlines()) == 1, "old snapshots go on both sides"


def test_a_target_that_is_away_is_tried_again(stack: RunningStack, root: Root) -> None:
    root("POST", "/cluster/replication", id="104-1", type="local", target="pve3")
    wait_until(lambda: synced_since(root, "104-1", 0))
    stack.power("off", "pve3")
    root("POST", "/nodes/pve1/replication/104-1/schedule_now")
    wait_until(lambda: state(root, "104-1")["fail_count"])
    assert "error" in state(root, "104-1")
    stack.power("on", "pve3")
    stack.wait_ready("pve3")
    wait_until(lambda: state(root, "104-1")["fail_count"] == 0, 60)


def test_the_console_does_what_the_web_interface_does(stack: RunningStack, root: Root) -> None:
    shell = Shell(stack, "pve1")
    lines = [line.split() for line in shell.run("pvesr list").out.splitlines()]
    assert lines[0] == ["JobID", "Target", "Schedule", "Rate", "Enabled"]
    assert ["104-1", "local/pve3", "*/15", "-", "yes"] in lines
    assert shell.run("pvesr update 104-1 --rate 20 --schedule '*/30'").status == 0
    assert shell.run("pvesr disable 104-1").status == 0
    assert "104-1 local/pve3 */30 20 no" in [
        " ".join(line.split()) for line in shell.run("pvesr list").out.splitlines()
    ]
    shown = shell.run("pvesr status --guest 104").out.splitlines()
    assert [line.split()[1] for line in shown if line.startswith("104-1")] == ["No"]
    assert shell.run("pvesr enable 104-1").status == 0
    assert shell.run("pvesr schedule-now 104-1").status == 0

    before = int(str(state(root, "104-1")["last_sync"]))
    ran = shell.run("pvesr run --id 104-1 --verbose")
    assert ran.status == 0, ran.err
    assert "start replication job" in ran.out.splitlines()[0]
    assert "incremental sync 'tank:vm-104-disk-0'" in ran.out
    assert synced_since(root, "104-1", before)
    assert shell.run("pvesr run").status == 0
    for line, text in {
        "pvesr run --id 104-7": "no such replication job '104-7'",
        "pvesr run --nosuch": "Unknown option: nosuch",
        "pvesr read 104-7": "no such replication job '104-7'",
    }.items():
        refused = shell.run(line)
        assert (refused.status, refused.err.splitlines()[0]) == (255, text)
    there = Shell(stack, "pve3").run("pvesr run --id 104-1")
    assert (there.status, there.err) == (255, "guest '104' is not on node 'pve3'\n")


def test_a_rollback_takes_the_jobs_snapshots_along(stack: RunningStack, root: Root) -> None:
    """The next run goes on from the guest's own snapshot, which the target has, too."""
    for name in ("one", "two"):
        root.run("POST", "/nodes/pve1/qemu/104/snapshot", snapname=name)
    shell = Shell(stack, "pve1")
    assert shell.run("pvesr run --id 104-1").status == 0
    older = root("POST", "/nodes/pve1/qemu/104/snapshot/one/rollback")
    assert root.end_of(older) == "can't rollback, 'one' is not most recent snapshot on 'tank:vm-104-disk-0'"
    assert root("GET", "/nodes/pve1/qemu/104/status/current")["status"] == "running", "nothing was done yet"
    root.run("POST", "/nodes/pve1/qemu/104/snapshot/two/rollback")
    root.run("POST", "/nodes/pve1/qemu/104/status/start")
    ran = shell.run("pvesr run --id 104-1 --verbose")
    assert ran.status == 0, ran.err
    assert "incremental sync 'tank:vm-104-disk-0' (two => " in ran.out
    for name in ("one", "two"):
        root.run("DELETE", f"/nodes/pve1/qemu/104/snapshot/{name}")


def test_a_removed_job_takes_its_copies_along(stack: RunningStack, root: Root) -> None:
    root("DELETE", "/cluster/replication/104-0")
    wait_until(lambda: all(job["id"] != "104-0" for job in root("GET", "/cluster/replication")))
    assert records(stack, "pve2") == []
    assert records(stack, "pve1"), "the guest's own disk stays"


def test_a_guest_that_came_by_recovery_is_replicated_back(stack: RunningStack, root: Root) -> None:
    """HA moves the configuration alone: the node that has the copy goes on from it, and its job turns round."""
    wait_until(lambda: len(records(stack, "pve3")) > 0)
    root.run("POST", "/nodes/pve1/qemu/104/status/stop")
    held = len(records(stack, "pve3"))
    move_config(stack, "pve1", "pve3")
    wait_until(lambda: [job["target"] for job in root("GET", "/cluster/replication")] == ["pve1"])
    assert len(records(stack, "pve3")) == held
