# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator does after day one, by playbook: maintenance, an upgrade, a replaced disk, a node that leaves.

Guests go on through all of it: their records tell (MISSION row 14).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentstack.guests.check_disks import check

from ..api_client import Root
from ..integration.shell import Shell
from ..packages import ask_public_repositories
from ..stacks import RunningStack, StackFactory, wait_until
from .conftest import BIN, ROOT, Run
from .inventories import Site

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

NODES = ("pve1", "pve2", "pve3")
OLD, NEW = "9.2.4", "9.2.11"
WITHOUT_PVE3 = {"pve_replication_jobs": [{"guest": 101, "target": "pve2"}]}
REPLACED = {"replace_node": "pve2", "replace_pool": "tank", "replace_by": {"model": "SPARE"}}
TEMPLATE = "debian-12-standard_12.7-1_amd64.tar.zst"
HOME = dict.fromkeys((101, 102, 103, 104), "pve1")
"""A virtual machine and a container under HA, and two that it does not know."""


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    disks = [{"size": "32G"}, {"size": "64G", "model": "SSD-A", "count": 2}, {"size": "64G", "model": "SPARE"}]
    stack = stack_factory({name: {"disks": disks, "version": OLD} for name in NODES}, scale=10)
    ask_public_repositories(stack, *NODES)
    return stack


@pytest.fixture(scope="module")
def site(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three nodes, guests on the first one; the virtual machine under HA has replicas on the others."""
    directory = tmp_path_factory.mktemp("site")
    guest = {"node": "pve1", "memory": 64, "disks": {"scsi0": "tank:1"}, "started": True}
    variables = {
        "pve_records": str(directory / "records"),
        "pve_zfs_pools": [
            {
                "node": "*",
                "name": "tank",
                "raidlevel": "mirror",
                "devices": {"model": "SSD-A", "count": 2},
                "storage": True,
            }
        ],
        "pve_guests": [{**guest, "vmid": 101, "name": "kept"}, {**guest, "vmid": 102, "name": "other"}],
        "pve_replication_jobs": [{"guest": 101, "target": "pve2"}, {"guest": 101, "target": "pve3"}],
        "pve_ha_resources": [{"sid": "vm:101", "state": "started"}],
        "pve_options": {"ha": {"shutdown_policy": "migrate"}},
        "pve_upgrade": {"rest_timeout": 120},
        "pve_maintenance": {"rest_timeout": 120},
    }
    made = Site(stack, directory, variables)
    first = made.run("cluster", "options", "zfs", "storage", "guests", "replication", "ha")
    assert first.status == 0, first.output
    root = Root(stack, "pve1")
    (stack.dir / "hosts/pve1/root/var/lib/vz/template/cache" / TEMPLATE).touch()
    container = {"ostemplate": f"local:vztmpl/{TEMPLATE}", "rootfs": "tank:1", "memory": 64, "start": 1}
    for vmid in (103, 104):
        root.run("POST", "/nodes/pve1/lxc", vmid=vmid, **container)
    root("POST", "/cluster/ha/resources", sid="ct:103", state="started")
    wait_until(lambda: "started" in str(services(stack).get("ct:103")), 60)
    return made


def services(stack: RunningStack) -> dict[str, Any]:
    """What the HA manager says of its services."""
    status = Root(stack, "pve2")("GET", "/cluster/ha/status/manager_status")["manager_status"]
    return dict(status["service_status"])


def versions(stack: RunningStack) -> set[str]:
    return {str(Root(stack, name)("GET", "/version")["version"]) for name in NODES}


def go_on(stack: RunningStack) -> None:
    """Every guest writes, no record is lost, and virtual machines have never been started anew."""
    before = {guest.guest: guest.records for guest in check(stack.dir).guests}
    wait_until(lambda: all(guest.records > before[guest.guest] for guest in check(stack.dir).guests), 60)
    state = check(stack.dir)
    assert state.findings == []
    runs = {guest.guest: guest.runs for guest in state.guests}
    assert (len(runs), runs["test/101"], runs["test/102"]) == (4, 1, 1)


def where(stack: RunningStack) -> dict[int, str]:
    return {guest["vmid"]: guest["node"] for guest in Root(stack, "pve2")("GET", "/cluster/resources", type="vm")}


def operate(site: Site, name: str, **more: Any) -> Run:
    return site.run(playbook=f"playbooks/{name}.yml", **more)


def test_what_would_be_done_is_told_and_nothing_written(stack: RunningStack, site: Site) -> None:
    """Before anything has been done to any node; of what is off, test_power.py tells."""
    emptied = site.foretell("playbooks/maintenance.yml", maintenance_node="pve1")
    assert emptied.changed, emptied.output
    upgraded = site.foretell("playbooks/upgrade.yml")
    assert upgraded.changed == 2 * len(NODES), upgraded.output
    # in the order of the run, the manager's node last
    master = Root(stack, "pve1")("GET", "/cluster/ha/status/manager_status")["manager_status"]["master_node"]
    order = sorted(NODES, key=lambda node: (node == master, node))
    assert upgraded.says(*(f"{node} ({OLD}): to be installed: " for node in order)), upgraded.output
    assert upgraded.says("pve-manager", "boots anew", "--check does not ask"), upgraded.output
    removed = site.foretell("playbooks/remove_node.yml", remove_node="pve3", **WITHOUT_PVE3)
    assert removed.changed > 1, removed.output
    replaced = site.foretell("playbooks/replace_disk.yml", **REPLACED, replace_device="/dev/sdb")
    assert replaced.changed == 1, replaced.output
    assert (where(stack), versions(stack)) == (HOME, {OLD})


def test_a_node_is_emptied_and_filled_again(stack: RunningStack, site: Site) -> None:
    wrong = operate(site, "maintenance", maintenance_node="pve9")
    assert wrong.status != 0
    assert wrong.says("maintenance_node: pve9 is no node of test. There are: pve1, pve2, pve3. Nothing was changed.")
    for _ in range(2):
        emptied = operate(site, "maintenance", maintenance_node="pve1")
        assert emptied.status == 0, emptied.output
        assert "pve1" not in where(stack).values()
    assert emptied.changed == 0, emptied.output
    for changed in (True, False):
        filled = operate(site, "maintenance", maintenance_node="pve1", maintenance="off")
        assert (filled.status, filled.changed > 0) == (0, changed), filled.output
    wait_until(lambda: where(stack) == HOME, 60)
    go_on(stack)


def test_a_node_that_cannot_be_emptied_is_filled_again(stack: RunningStack, site: Site) -> None:
    """The last of its guests cannot go when the others have gone."""
    note = site.directory / "records/test/maintenance-pve1.json"
    root = Root(stack, "pve1")
    root("PUT", "/nodes/pve1/lxc/104/config", lock="backup")
    failed = operate(site, "maintenance", maintenance_node="pve1")
    assert failed.status != 0
    assert failed.says("CT is locked (backup)", "What was done was put back."), failed.output
    assert (states(stack)["pve1"], note.exists()) == ("online", False)
    wait_until(lambda: where(stack) == HOME, 60)

    stay = {"pve_maintenance": {"rest_timeout": 120, "on_failure": "stay"}}
    for settings in (stay, {}):
        # what an earlier run has begun stays as it is in any case
        failed = operate(site, "maintenance", maintenance_node="pve1", **settings)
        assert failed.status != 0
        assert failed.says("pve1 stays in maintenance as far as it came"), failed.output
        wait_until(lambda: [vmid for vmid, node in where(stack).items() if node == "pve1"] == [104], 60)
        assert states(stack)["pve1"] == "maintenance"
    Shell(stack, "pve1").run("pct unlock 104")
    assert operate(site, "maintenance", maintenance_node="pve1", maintenance="off").status == 0
    wait_until(lambda: where(stack) == HOME, 60)
    assert not note.exists()
    go_on(stack)


def states(stack: RunningStack) -> dict[str, str]:
    """What the HA manager takes nodes for."""
    status = Root(stack, "pve2")("GET", "/cluster/ha/status/manager_status")["manager_status"]
    return dict(status["node_status"])


def test_an_upgrade_stops_at_the_first_doubt_and_goes_on_later(stack: RunningStack, site: Site) -> None:
    reports = {"pve_report_around": True, "pve_report_dir": str(site.directory / "around"), "pve_report_links": False}
    before = operate(site, "upgrade", upgrade_nodes=["pve2"], **reports)
    assert before.status == 0, before.output
    assert reported(site) == [("upgrade-before", {OLD}), ("upgrade-after", {OLD, NEW})]
    assert versions(stack) == {OLD, NEW}
    stack.power("off", "pve3")
    wait_until(lambda: not all(each.get("online", 1) for each in Root(stack, "pve1")("GET", "/cluster/status")))
    stopped = operate(site, "upgrade", pve_upgrade={"rest_timeout": 3})
    assert stopped.status != 0
    assert stopped.says("pve3 is offline")
    assert Root(stack, "pve1")("GET", "/version")["version"] == OLD
    stack.power("on", "pve3")
    stack.wait_ready("pve3")
    rest = operate(site, "upgrade")
    assert rest.status == 0, rest.output
    assert versions(stack) == {NEW}
    again = operate(site, "upgrade")
    assert (again.status, again.changed) == (0, 0), again.output
    wait_until(lambda: where(stack) == HOME, 60)
    go_on(stack)


def reported(site: Site) -> list[tuple[str, set[str]]]:
    """The reports around operations: which, and what versions nodes had."""
    found = []
    for directory in sorted((site.directory / "around").iterdir()):
        content = json.loads((directory / "test.json").read_text())
        assert (directory / "test.html").exists()
        found.append((directory.name.partition("-")[2], {node["version"] for node in content["nodes"]}))
    return found


def test_a_disk_of_a_pool_is_replaced(stack: RunningStack, site: Site) -> None:
    stack.fault("disk", "pve2", "sdb", "remove")
    wait_until(lambda: _pool(stack, "pve2")["health"] == "DEGRADED", 60)
    # killed when the pool has begun to copy; what it had not done is done by the next run
    with site.running("playbooks/replace_disk.yml", **REPLACED) as run:
        wait_until(lambda: run.poll() is not None or "SPARE" in json.dumps(_devices(stack, "pve2")), 120)
    done = operate(site, "replace_disk", **REPLACED)
    assert done.status == 0, done.output
    assert "SPARE" in json.dumps(_devices(stack, "pve2"))
    again = operate(site, "replace_disk", **REPLACED)
    assert (again.status, again.changed) == (0, 0), again.output
    assert _pool(stack, "pve2")["health"] == "ONLINE"
    go_on(stack)


def _devices(stack: RunningStack, node: str) -> dict[str, Any]:
    return dict(Root(stack, node)("GET", f"/nodes/{node}/disks/zfs/tank"))


def _pool(stack: RunningStack, node: str) -> dict[str, Any]:
    [pool] = Root(stack, node)("GET", f"/nodes/{node}/disks/zfs")
    return dict(pool)


def test_a_node_leaves(stack: RunningStack, site: Site) -> None:
    """The one with the guests, and the first that runs ask."""
    wanted = {"remove_node": "pve1", "remove_confirm": True}
    counted_on = operate(site, "remove_node", **wanted, pve_replication_jobs=[{"guest": 101, "target": "pve1"}])
    assert counted_on.says("pve_replication_jobs still names pve1")
    asked = operate(site, "remove_node", remove_node="pve1")
    assert asked.says("Say -e remove_confirm=true if that is meant")
    late = operate(site, "remove_node", **wanted, pve_api_hosts=[stack.resolved["hosts"]["pve1"]["address"]])
    assert late.says("pve1 is the node that was asked"), late.output
    assert late.changed == 0
    assert (where(stack), states(stack)["pve1"]) == (HOME, "online")
    policies: dict[str, Any] = {"rest_timeout": 120, "guests": {"103": "shutdown", "104": "shutdown", "102": "leave"}}
    kept = operate(site, "remove_node", **wanted, pve_maintenance=policies)
    assert kept.says("102 runs on pve1 and would be left there (pve_maintenance: leave)"), kept.output
    wait_until(lambda: where(stack) == HOME, 60)
    assert states(stack)["pve1"] == "online"
    wait_until(lambda: services(stack)["ct:103"]["state"] == "started", 60)
    assert len(Root(stack, "pve2")("GET", "/cluster/config/nodes")) == 3
    policies["guests"]["102"] = "migrate"
    done = operate(site, "remove_node", **wanted, pve_maintenance=policies)
    assert done.status == 0, done.output
    assert sorted(node["name"] for node in Root(stack, "pve2")("GET", "/cluster/config/nodes")) == ["pve2", "pve3"]
    assert not next(host for host in stack.status()["hosts"] if host["name"] == "pve1")["ready"]
    go_on(stack)


def test_the_playbooks_can_be_read_without_a_cluster() -> None:
    for name in ("maintenance", "upgrade", "remove_node", "replace_disk"):
        command = [BIN / "ansible-playbook", "--syntax-check", Path("playbooks") / f"{name}.yml"]
        assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0
