# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replicated guest fails over: what was lost is what the modules had said it would be (MISSION row 10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentstack.guests.process import read_ledger

from ..api_client import Root
from ..modules import Modules
from ..records import goes_on, records
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = [pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"), pytest.mark.long]

HOSTS = {name: {"disks": [{"size": "32G"}, {"size": "8G"}]} for name in ("pve1", "pve2", "pve3")}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(HOSTS, scale=20, start={"clustered": {"name": "test"}})


@pytest.fixture(scope="module")
def modules(stack: RunningStack) -> Modules:
    """A guest that is replicated every minute from pve1 to pve2 and under HA there, and nowhere else."""
    modules = Modules(stack.dir, "pve3")
    tank = {"node": "*", "name": "tank", "raidlevel": "single", "devices": ["/dev/sdb"], "storage": True}
    modules("zfs_pools", pools=[tank])
    guest = {"vmid": 104, "node": "pve1", "memory": 64, "disks": {"scsi0": "tank:1"}, "started": True}
    modules("guests", guests=[guest])
    modules("replication_jobs", jobs=[{"guest": 104, "target": "pve2", "schedule": "*/1"}], wait=True)
    modules("ha_resources", resources=[{"sid": "vm:104", "state": "started"}])
    rule = {"name": "replicas", "type": "node-affinity", "strict": True, "resources": ["vm:104"]}
    modules("ha_rules", rules=[{**rule, "nodes": {"pve1": 2, "pve2": 1}}])
    modules("ha_info", wait_for_rest=True)
    return modules


def disk(stack: RunningStack, host: str) -> Path:
    return next((stack.dir / "hosts" / host / "zfs").glob("*/data/vm-104-disk-0.raw"))


def test_what_was_lost_is_what_was_said(stack: RunningStack, modules: Modules) -> None:
    root = Root(stack, "pve3")
    first = int(modules("replication_info")["jobs"][0]["last_sync"])
    assert goes_on(disk(stack, "pve1"))
    root("POST", "/nodes/pve1/replication/104-0/schedule_now")
    wait_until(lambda: int(modules("replication_info")["jobs"][0]["last_sync"]) > first, 90)
    for _ in range(3):
        assert goes_on(disk(stack, "pve1"))
    before = int(root("GET", "/nodes/pve1/time")["time"])
    said = modules("replication_info", guests=[104])
    after = int(root("GET", "/nodes/pve1/time")["time"])
    [job] = said["jobs"]
    assert before <= job["last_sync"] + job["lag"] <= after
    assert (said["lag"], said["late"]) == (job["lag"], [])

    stack.power("off", "pve1")
    written = records(disk(stack, "pve1"))
    run = written[-1].run
    wait_until(lambda: any(record.run != run for record in records(disk(stack, "pve2"))), 120)
    services = {each["sid"]: each["node"] for each in modules("ha_info")["services"]}
    assert services == {"vm:104": "pve2"}
    kept = [record for record in records(disk(stack, "pve2")) if record.run == run]
    lost = written[len(kept) :]
    assert kept == written[: len(kept)]
    assert kept[-1].time > first, "it is what the second run has copied"
    assert lost, "what was written since is gone with the node"
    assert lost[0].time >= job["last_sync"], "nothing that is older than was said"
    acknowledged = {number for number, _ in read_ledger(str(stack.dir / "ledger/104"))}
    assert {record.number for record in lost} & acknowledged

    def turned() -> bool:
        [job] = modules("replication_info", guests=[104])["jobs"]
        return (job["source"], job["target"], job["lag"]) == ("pve2", "pve1", None)

    wait_until(turned, 60)
