# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's life: looked at, made, made again, stopped and started."""

from __future__ import annotations

import getpass
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ..stacks import wait_until
from .conftest import ROOT

NODE_FILES = (
    "network/interfaces",
    "hosts",
    "corosync/corosync.conf",
    "pve/corosync.conf",
    "pve/storage.cfg",
    "pve/datacenter.cfg",
)
NODE_FILES += (
    "pve/ha/resources.cfg",
    "pve/ha/rules.cfg",
    "pve/replication.cfg",
    "pve/jobs.cfg",
    "pve/ceph.conf",
    "pve/user.cfg",
)
RESTORED = {f"pve{number}/etc/{name}" for number in (1, 2, 3) for name in NODE_FILES}
RESTORED |= {"crush.txt", "ceph.conf", "corosync-totem.json", "ha-resources.json", "ha-rules.json", "storages.json"}
RESTORED |= {
    "replication.json",
    "backup-jobs.json",
    "acl.json",
    "users.json",
    "firewall-rules.json",
    "pve3/network.json",
}
RESTORED_OF_BACKUP_SERVER = {"datastores.json", "remotes.json", "prune-jobs.json", "verify-jobs.json", "sync-jobs.json"}
RESTORED_OF_BACKUP_SERVER |= {"users.json", "acl.json", "traffic-controls.json", "notification-matchers.json"}


def test_check_mode_starts_the_lab_and_writes_nothing(lab) -> None:
    run = lab.site("--check")
    assert run.status == 0, run.output
    assert run.hosts["localhost"]["changed"] == 0, "starting the lab is no change of the site"
    before = lab.files()

    again = lab.site("--check", "--diff")
    assert again.status == 0, again.output
    assert lab.files() == before
    assert lab.written() == []
    for node in ("pve1", "pve2", "pve3"):
        assert [one["type"] for one in lab.api(node, "GET", "/cluster/status")] == ["node"]
        assert lab.api(node, "GET", f"/nodes/{node}/disks/zfs") == []
        assert lab.api(node, "GET", "/cluster/resources?type=vm") == []
    assert again.says("what cannot be known before earlier steps are made", "pve2 is not a member of the cluster yet")


def test_second_run_changes_nothing(module_lab) -> None:
    lab = module_lab
    first = lab.site()
    assert first.status == 0, first.output
    assert first.changed > 0
    assert first.says("ha-lab", "quorate 3/3", "survives the loss of any one node", "6 running", "4 under HA")

    before = lab.files()
    second = lab.site()
    assert second.status == 0, second.output
    assert {host: counts["changed"] for host, counts in second.hosts.items()} == dict.fromkeys(second.hosts, 0)
    assert lab.files() == before

    written = lab.written()
    assert written
    check = lab.site("--check", "--diff")
    assert check.status == 0, check.output
    assert check.changed == 0
    assert lab.written() == written


def test_one_change_is_one_change(module_lab) -> None:
    """Follows the test above: the site is there."""
    lab = module_lab
    options = {"ha": {"shutdown_policy": "freeze"}}
    predicted = lab.site("--check", "--diff", "--tags", "options", pve_options=options)
    assert predicted.status == 0, predicted.output
    assert predicted.changed == 1
    assert predicted.says("freeze")
    done = lab.site("--tags", "options", pve_options=options)
    assert done.status == 0, done.output
    assert done.changed == 1
    assert lab.api("pve3", "GET", "/cluster/options")["ha"]["shutdown_policy"] == "freeze"
    back = lab.site("--tags", "options")
    assert back.changed == 1

    # what was there before is kept, and what was done is written down
    records = lab.directory / "records"
    assert missing_in_restore_point(records / "ha-lab", RESTORED) == set()
    assert missing_in_restore_point(records / "pbs1", RESTORED_OF_BACKUP_SERVER) == set()
    newest = max((records / "ha-lab" / "restore").iterdir())
    assert "shutdown_policy=freeze" in (newest / "pve2/etc/pve/datacenter.cfg").read_text()
    trail = [json.loads(line) for line in (records / "ha-lab" / "audit.jsonl").read_text().splitlines()]
    last = trail[-1]
    assert (last["module"], last["target"], last["plan"]) == ("cluster_options", "ha-lab", None)
    assert last["who"] == f"{getpass.getuser()}@{socket.gethostname()}"
    assert (last["commit"] is None) == (not (ROOT / ".git").exists())
    assert datetime.now(UTC) - datetime.fromisoformat(last["time"]) < timedelta(hours=1)
    (change,) = last["changes"]
    policies = [change["fields"]["ha"][when]["shutdown_policy"] for when in ("before", "after")]
    assert policies == ["freeze", "migrate"]
    assert {upid.split(":")[5] for entry in trail for upid in entry["upids"]} >= {
        "zfscreate",
        "qmcreate",
        "cephcreateosd",
    }


def missing_in_restore_point(records: Path, wanted: set[str]) -> set[str]:
    """Which of these files its newest restore point does not have; what it has is in its list, too."""
    directory = max((records / "restore").iterdir())
    there = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert {*json.loads((directory / "manifest.json").read_text())["files"], "manifest.json"} == there
    return wanted - there


def test_a_run_with_a_dead_member_leaves_it_and_its_guests_as_they_are(module_lab) -> None:
    lab = module_lab
    wait_until(lambda: lab.api("pve1", "GET", "/cluster/ceph/status")["health"]["status"] == "HEALTH_OK", 120)
    assert lab.agentstack("power", "off", "pve3").returncode == 0
    try:
        wait_until(lambda: of_pve3(lab) == {"offline", "unknown"}, 60)
        run = lab.site()
        assert run.status == 0, run.output
        assert run.changed == 0, run.output
        assert run.says("guests[2] (103): it is on pve3, which is offline, and is left as it is")
        assert run.says("pve3 is offline, so that this is not waited for: MON_DOWN")
    finally:
        lab.agentstack("power", "on", "pve3")


def of_pve3(lab) -> set[str]:
    """The states of the node and of its guests, as the others know them."""
    resources = lab.api("pve1", "GET", "/cluster/resources")
    return {
        str(each["status"]) for each in resources if each.get("node") == "pve3" and each["type"] in ("node", "qemu")
    }


def test_a_stopped_lab_comes_back(module_lab) -> None:
    lab = module_lab
    assert lab.agentstack("down").returncode == 0
    run = lab.site()
    assert run.status == 0, run.output
    assert run.says("quorate 3/3", "4 under HA"), run.output
    # the cluster's list of guests is ten seconds behind what the nodes say
    again = lab.site()
    assert again.status == 0, again.output
    assert again.changed == 0, again.output
    assert again.says("6 running"), again.output


@pytest.mark.parametrize("missing", ["pve2", "pve3"])
def test_a_member_that_is_off_stops_nothing(module_lab, missing: str) -> None:
    lab = module_lab
    assert lab.agentstack("power", "off", missing).returncode == 0
    try:
        run = lab.site("--check", "--tags", "cluster,storage")
        assert run.status == 0, run.output
        assert run.says(f"{missing} (OFFLINE)")
    finally:
        lab.agentstack("power", "on", missing)
