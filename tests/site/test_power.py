# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole cluster with Ceph goes off and comes back by playbook, and one of its nodes leaves and returns.

Guests write before and afterwards; what they were told to be written is read from the disks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentstack.guests.check_disks import check

from ..api_client import Root
from ..integration.shell import Shell
from ..packages import ask_public_repositories
from ..stacks import RunningStack, StackFactory, wait_until
from .conftest import BIN, PATIENCE, ROOT, Run
from .inventories import Site, recognised

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

NODES = ("pve1", "pve2", "pve3")
TAGS = ("cluster", "ceph", "storage", "guests", "ha")
FLAGS = {"noout", "norecover", "norebalance", "nobackfill", "nodown", "pause"}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    disks = [{"size": "32G"}, {"size": "64G", "type": "nvme", "count": 2}, {"size": "64G", "model": "SPARE"}]
    networks = {"mgmt": {}, "ceph": {}}
    stack = stack_factory({name: {"disks": disks} for name in NODES}, scale=20, networks=networks)
    ask_public_repositories(stack, *NODES)
    return stack


@pytest.fixture(scope="module")
def site(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three nodes with monitors and OSDs, a guest under HA, and one that HA does not know."""
    directory = tmp_path_factory.mktemp("site")
    button = [sys.executable, "-m", "agentstack", "power"]
    networks = {name: network["cidr"] for name, network in stack.resolved["networks"].items()}
    guest = {"memory": 64, "disks": {"scsi0": "vm:1"}, "started": True}
    variables = {
        "pve_records": str(directory / "records"),
        "pve_power": {
            action: [*button, action, "{node}", "--dir", str(stack.dir)] for action in ("on", "off", "status")
        },
        "pve_ceph": {
            **{"release": "squid", "repository": "no-subscription"},
            **{"network": networks["mgmt"], "cluster_network": networks["ceph"]},
        },
        "pve_ceph_monitors": list(NODES),
        "pve_ceph_managers": ["pve1", "pve2"],
        "pve_ceph_osds": [{"node": "*", "devices": {"type": "nvme"}}],
        "pve_ceph_pools": [{"name": "vm", "size": 2, "min_size": 1, "allow_data_loss": True, "storage": True}],
        "pve_guests": [
            {**guest, "vmid": 101, "name": "kept", "node": "pve1"},
            {**guest, "vmid": 102, "name": "other", "node": "pve2"},
            {**guest, "vmid": 103, "name": "off", "node": "pve3", "started": False},
        ],
        "pve_ha_resources": [{"sid": "vm:101", "state": "started"}],
        "pve_report_dir": str(directory / "report"),
    }
    made = Site(stack, directory, variables)
    first = made.run(*TAGS)
    assert first.status == 0, first.output
    return made


def operate(site: Site, name: str, **more: Any) -> Run:
    return site.run(playbook=f"playbooks/{name}.yml", **more)


def note(site: Site) -> Path:
    return site.directory / "records" / "test" / "shutdown.json"


def powers(stack: RunningStack) -> set[str]:
    return {host["power"] for host in stack.status()["hosts"]}


def state(stack: RunningStack) -> dict[str, Any]:
    """What has to come back as it was: guests and where they are, what HA is asked for, Ceph's flags."""
    root = Root(stack, "pve1")
    guests = {row["vmid"]: (row["node"], row["status"]) for row in root("GET", "/cluster/resources", type="vm")}
    resources = {row["sid"]: row.get("state") for row in root("GET", "/cluster/ha/resources")}
    flags = {flag["name"] for flag in root("GET", "/cluster/ceph/flags") if flag["value"]}
    return {"guests": guests, "ha": resources, "flags": flags}


def go_on(stack: RunningStack) -> None:
    """Both guests write, and no record is lost."""
    before = {guest.guest: guest.records for guest in check(stack.dir).guests}
    assert {"test/101", "test/102"} <= set(before)

    def written() -> bool:
        now = {guest.guest: guest.records for guest in check(stack.dir).guests}
        return all(now[name] > before[name] for name in ("test/101", "test/102"))

    wait_until(written, 600)
    assert check(stack.dir).findings == []


def reported(site: Site) -> list[str]:
    """The reports around operations, each of a cluster with all of its nodes."""
    found = sorted((site.directory / "report").glob("*/test.json"))
    assert all(len(json.loads(file.read_text("utf-8"))["nodes"]) == 3 for file in found)
    return [file.parent.name.partition("-")[2] for file in found]


def test_a_shutdown_has_to_be_meant(stack: RunningStack, site: Site) -> None:
    before = state(stack)
    foretold = site.foretell("playbooks/shutdown.yml")
    # both guests, HA, the flags and the nodes
    assert foretold.changed == 1, foretold.output
    asked = operate(site, "shutdown")
    assert asked.says(
        "all guests and all nodes of test would be switched off", "shutdown_confirm", "Nothing was changed"
    )
    assert (state(stack), note(site).exists()) == (before, False)


def test_a_guest_that_does_not_obey_brings_everything_back(stack: RunningStack, site: Site) -> None:
    before = state(stack)
    wanted = {"shutdown_confirm": True, "pve_shutdown": {"guest_timeout": 0}}
    stubborn = operate(site, "shutdown", **wanted)
    assert stubborn.status != 0
    assert stubborn.says("guests 102 do not shut down", "Say stop for them", "Everything was put back"), stubborn.output
    assert (state(stack), note(site).exists()) == (before, False)
    go_on(stack)


def told(stack: RunningStack, site: Site) -> bool:
    """Whether the shutdown has noted what runs, and HA is asked to stop its guest."""
    if not note(site).exists():
        return False
    [resource] = Root(stack, "pve1")("GET", "/cluster/ha/resources")
    return bool(resource["state"] == "disabled")


def test_it_is_killed_in_the_middle_and_goes_on(stack: RunningStack, site: Site) -> None:
    """Killed when HA is told already and the flags are not set: the note is the first run's."""
    before = state(stack)
    command = [BIN / "ansible-playbook", "-i", site.directory / "hosts.yml", "playbooks/shutdown.yml"]
    command += ["-e", "shutdown_confirm=true"]
    first = subprocess.Popen(command, cwd=ROOT, env=site.lab.environment, start_new_session=True)
    try:
        wait_until(lambda: first.poll() is not None or told(stack, site), PATIENCE)
        assert first.poll() is None
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    noted = json.loads(note(site).read_text("utf-8"))
    done = operate(site, "shutdown", shutdown_confirm=True, pve_report_around=True)
    assert done.status == 0, done.output
    assert reported(site) == ["shutdown-before"]
    assert powers(stack) == {"off"}
    kept = json.loads(note(site).read_text("utf-8"))
    assert {name: kept[name] for name in ("since", "guests", "ha")} == {
        name: noted[name] for name in ("since", "guests", "ha")
    }
    assert {guest["vmid"]: guest["node"] for guest in kept["guests"]} == {101: "pve1", 102: "pve2"}
    assert set(kept["flags"]) == FLAGS - before["flags"]
    again = operate(site, "shutdown", shutdown_confirm=True)
    assert (again.status, again.changed) == (0, 0), again.output


def test_everything_comes_back(stack: RunningStack, site: Site) -> None:
    foretold = site.foretell("playbooks/startup.yml")
    assert foretold.changed > 0, foretold.output
    assert powers(stack) == {"off"}
    done = operate(site, "startup", pve_report_around=True)
    assert done.status == 0, done.output
    assert not note(site).exists()
    assert state(stack) == {
        "guests": {101: ("pve1", "running"), 102: ("pve2", "running"), 103: ("pve3", "stopped")},
        "ha": {"vm:101": "started"},
        "flags": set(),
    }
    go_on(stack)
    assert reported(site) == ["shutdown-before", "startup-after"]
    again = operate(site, "startup")
    assert (again.status, again.changed) == (0, 0), again.output


def osds(root: Root) -> list[str]:
    """The hosts of the OSDs that are up, one entry each."""

    def below(entry: dict[str, Any]) -> list[str]:
        here = [entry["host"]] if entry.get("status") == "up" else []
        return [*here, *(host for child in entry.get("children", ()) for host in below(child))]

    return sorted(below(root("GET", "/nodes/pve1/ceph/osd")["root"]))


def left_over(stack: RunningStack) -> dict[str, Any]:
    """What an operation sets up for its time, and has to take away: flags, requests, the cluster's lock."""
    root = Root(stack, "pve1")
    requests = root("GET", "/cluster/ha/status/manager_status")["manager_status"].get("node_request") or {}
    dump = json.loads(Shell(stack, "pve1").run("ceph osd dump --format json").out)
    found = {
        "flags": state(stack)["flags"],
        "node flags": dump["crush_node_flags"],
        "maintenance": [node for node, wanted in requests.items() if wanted.get("maintenance")],
        "locks": root("GET", "/pools"),
    }
    return {what: each for what, each in found.items() if each}


def test_a_disk_under_ceph_would_be_replaced(stack: RunningStack, site: Site) -> None:
    ids = [int(number) for number in re.findall(r"\d+", Shell(stack, "pve1").run("ceph osd ls").out)]
    wanted = {"replace_node": "pve1", "replace_osd": ids[0], "replace_by": "/dev/sdb"}
    before = osds(Root(stack, "pve1"))
    foretold = site.foretell("playbooks/replace_disk.yml", **wanted)
    assert foretold.changed == 1, foretold.output
    assert osds(Root(stack, "pve1")) == before


def test_a_node_with_ceph_leaves(stack: RunningStack, site: Site) -> None:
    """Its OSDs are emptied first, guests that are off go too. The first run is killed, the second leaves nothing."""
    root = Root(stack, "pve1")
    counted_on = operate(site, "remove_node", remove_node="pve3", remove_confirm=True)
    assert counted_on.says("pve_ceph_monitors still names pve3")
    wanted = {"remove_node": "pve3", "remove_confirm": True, "pve_ceph_monitors": ["pve1", "pve2"]}
    root.run("PUT", "/nodes/pve1/ceph/pool/vm", size=3)
    crowded = operate(site, "remove_node", **wanted)
    assert crowded.says("size 3 needs 3 hosts with OSDs, there are 2"), crowded.output
    assert (crowded.changed, left_over(stack)) == (0, {}), crowded.output
    root.run("PUT", "/nodes/pve1/ceph/pool/vm", size=2)
    root.run("POST", "/nodes/pve3/ceph/mgr/pve3")
    before = (osds(root), state(stack))
    foretold = site.foretell("playbooks/remove_node.yml", **wanted)
    assert foretold.changed > 3, foretold.output
    assert (osds(root), state(stack)) == before
    with site.running("playbooks/remove_node.yml", **wanted) as run:
        wait_until(lambda: run.poll() is not None or osds(root).count("pve3") == 1, PATIENCE)
        assert run.poll() is None, (site.directory / "running.log").read_text()
    done = operate(site, "remove_node", **wanted)
    assert done.status == 0, done.output
    assert {row["name"] for row in root("GET", "/cluster/config/nodes")} == {"pve1", "pve2"}
    assert osds(root) == ["pve1", "pve1", "pve2", "pve2"]
    assert {monitor["name"] for monitor in root("GET", "/nodes/pve1/ceph/mon")} == {"pve1", "pve2"}
    assert "pve3" not in json.dumps(root("GET", "/nodes/pve1/ceph/osd"))
    assert "pve3" not in Shell(stack, "pve1").run("ceph auth ls").out
    assert {place for place, _status in state(stack)["guests"].values()} == {"pve1", "pve2"}
    assert not (site.directory / "records" / "test" / "maintenance-pve3.json").exists()
    assert left_over(stack) == {}
    go_on(stack)
    again = operate(site, "remove_node", **wanted)
    assert (again.status, again.changed) == (0, 0), again.output


def test_a_fresh_machine_takes_its_name(stack: RunningStack, site: Site) -> None:
    root = Root(stack, "pve1")
    wait_until(lambda: stack.host("pve3")["power"] == "off", 60)
    shutil.rmtree(stack.dir / "hosts/pve3")
    stack.power("on", "pve3")
    stack.wait_ready("pve3", 600)
    site.hosts["pve3"] |= recognised(stack, "pve3")
    done = site.run(*TAGS)
    assert done.status == 0, done.output
    assert osds(root) == ["pve1", "pve1", "pve2", "pve2", "pve3", "pve3"]
    assert {monitor["name"] for monitor in root("GET", "/nodes/pve1/ceph/mon")} == {*NODES}
    wait_until(
        lambda: (
            root("GET", "/cluster/ha/status/manager_status")["manager_status"]["node_status"]
            == dict.fromkeys(NODES, "online")
        ),
        60,
    )
    go_on(stack)
    again = site.run(*TAGS)
    assert (again.status, again.changed) == (0, 0), again.output
