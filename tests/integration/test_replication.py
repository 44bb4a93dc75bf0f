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
    root("POST", "/nodes/pve1/replication/104-1/schedule_now")
    wait_until(lambda: state(root, "104-1")["fail_count"] == 0, 30)


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
