# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least rights of what is done to whole nodes and clusters: a missing one is found before anything is done."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agentstack import control

from ..api_client import Refused, Root
from ..backups import root
from ..ceph_stacks import build_ceph
from ..packages import ask_public_repositories
from ..stacks import RunningStack, StackFactory, wait_until
from .rights_trials import TABLE, Node, Result, Step, attempt, over_ssh, rights_of, try_out, without_each

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

NODES = ("pve1", "pve2", "pve3")
SITES = {"pve1": "dc1", "pve2": "dc2", "pve3": "office"}
OLD = "9.2.4"
SCALE = 18
PATIENCE = 300.0
TOLERATED = ["POOL_NO_REDUNDANCY", "TOO_FEW_OSDS", "MON_CLOCK_SKEW"]
HOME = dict.fromkeys((101, 102, 103, 104), "pve3")
"""101 and 104 are under HA, the one with a replica of its disk on pve2; of the others HA knows nothing."""


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    disks = [{"size": "32G"}, {"size": "64G"}, {"size": "64G", "type": "nvme", "count": 2}]
    guest = {"type": "vm", "node": "pve3", "memory": "64M"}
    guests = {vmid: {**guest, "name": f"g{vmid}", "running": True} for vmid in (102, 103, 104)}
    return stack_factory(
        {name: {"disks": disks, "version": OLD} for name in NODES},
        scale=SCALE,
        start={"clustered": {"name": "rights", "nodes": [*NODES], "guests": guests}},
    )


@pytest.fixture(scope="module")
def trial(stack: RunningStack) -> Node:
    ask_public_repositories(stack, *NODES)
    whole = Root(stack, "pve1")
    build_ceph(stack, whole, NODES[:2], disks=("nvme0n1", "nvme1n1"), monitors=NODES)
    for name in NODES[1:]:
        pool = {"name": "tank", "raidlevel": "single", "devices": "/dev/sdb"}
        Root(stack, name).run("POST", f"/nodes/{name}/disks/zfs", **pool)
    whole("POST", "/storage", storage="tank", type="zfspool", pool="tank", nodes="pve2,pve3")
    Root(stack, "pve3").run("POST", "/nodes/pve3/qemu", vmid=101, memory=64, name="g101", scsi0="tank:1")
    whole("POST", "/cluster/replication", id="101-0", type="local", target="pve2", schedule="*/1")
    whole("POST", "/cluster/ha/resources", sid="vm:101", state="started", failback=0)
    whole("POST", "/cluster/ha/resources", sid="vm:104", state="started")
    for vmid, nodes in ((101, "pve2:1,pve3:2"), (104, "pve3")):
        rule = {"type": "node-affinity", "resources": f"vm:{vmid}", "nodes": nodes, "strict": int(vmid == 101)}
        whole("POST", "/cluster/ha/rules", rule=f"of{vmid}", **rule)
    wait_until(lambda: at_home(stack), PATIENCE)
    whole.run("POST", "/nodes/pve3/vzdump", vmid="101,102,103,104", storage="local")
    return Node.make(stack, root(stack, "pve1", "PVE"), NODES)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where notes and records of drills are kept from one test to the next."""
    return tmp_path_factory.mktemp("records")


def look(stack: RunningStack) -> dict[str, Any]:
    """What none of the modules may have touched when it refuses."""
    whole = Root(stack, "pve1")
    # each node of its own guests: the cluster's list is a few seconds behind
    guests = {row["vmid"]: (node, row["status"]) for node in NODES for row in whole("GET", f"/nodes/{node}/qemu")}
    manager = whole("GET", "/cluster/ha/status/manager_status")["manager_status"]
    return {
        "guests": guests,
        "resources": {row["sid"]: row["state"] for row in whole("GET", "/cluster/ha/resources")},
        "requests": manager.get("node_request") or {},
        "flags": {flag["name"] for flag in whole("GET", "/cluster/ceph/flags") if flag["value"]},
        "versions": {name: whole("GET", f"/nodes/{name}/version")["version"] for name in NODES},
        "power": {host["name"]: host["power"] for host in stack.status()["hosts"]},
        "faults": control.request(stack.dir, {"do": "faults"})["faults"],
    }


def at_home(stack: RunningStack) -> bool:
    """Whether every guest runs where it belongs, and HA is at rest."""
    try:
        whole = Root(stack, "pve1")
        places = {row["vmid"]: row["node"] for row in whole("GET", "/cluster/resources", type="vm")}
        states = {row["sid"]: row["status"] for row in whole("GET", "/cluster/ha/status/current") if "sid" in row}
        running = {row["vmid"] for row in whole("GET", "/nodes/pve3/qemu") if row["status"] == "running"}
    except (OSError, Refused):
        return False
    at_rest = all(states.get(f"vm:{vmid}") == f"vm:{vmid} (pve3, started)" for vmid in (101, 104))
    return at_rest and places == HOME and running == set(HOME)


def refused_first(name: str, trial: Node, step: Step, idle: str = "") -> Result:
    """Without each right it is refused before anything is done; then it is done, with just these.

    ``idle``: a path whose rights this step does without, though others need them.
    """
    whole = rights_of(name)
    before = look(trial.stack)
    for path, privilege, said in without_each(name):
        if path == idle:
            continue
        trial.give({**whole, path: whole[path] - {privilege}})
        result = attempt(name, trial.login, step)
        assert result.get("failed"), f"{name} does without {privilege} on {path}"
        assert said.lower() in result["msg"].lower(), (privilege, path, result["msg"])
        assert look(trial.stack) == before, (privilege, path)
    trial.give({path: privileges for path, privileges in whole.items() if path != idle})
    result = attempt(name, trial.login, step)
    assert not result.get("failed"), result["msg"]
    return result


def maintenance(stack: RunningStack, records: Path, state: str) -> Step:
    return {
        **over_ssh(stack, *NODES),
        **{"node": "pve3", "state": state, "others": "migrate", "guests": {"103": "shutdown", "104": "shutdown"}},
        **{"note": str(records / "maintenance.json"), "ceph_noout": True, "recall": True, "timeout": 400},
    }


def test_moves(stack: RunningStack, trial: Node) -> None:
    try_out("guest_migration", trial, [{**step, "timeout": 400} for step in TABLE["guest_migration"]["steps"]])
    assert at_home(stack)


def test_the_beginning_of_a_maintenance(stack: RunningStack, trial: Node, records: Path) -> None:
    done = refused_first("node_maintenance", trial, maintenance(stack, records, "enabled"))
    assert (done["state"], done["guests_left"]) == ("maintenance", [])


def test_an_upgrade(stack: RunningStack, trial: Node) -> None:
    step = {**over_ssh(stack, *NODES), "node": "pve3", "timeout": 400}
    assert refused_first("apt_upgrade", trial, step)["rebooted"]


def test_the_end_of_a_maintenance(stack: RunningStack, trial: Node, records: Path) -> None:
    # what room other nodes have is asked when guests go there
    refused_first("node_maintenance", trial, maintenance(stack, records, "disabled"), idle="/nodes")
    assert not (records / "maintenance.json").exists()
    wait_until(lambda: at_home(stack), PATIENCE)


def test_a_drill(stack: RunningStack, trial: Node, records: Path) -> None:
    command = [sys.executable, "-m", "agentstack", "power"]
    power = {
        "break": [*command, "off", "{node}", "--dir", str(stack.dir)],
        "mend": [*command, "on", "{node}", "--dir", str(stack.dir)],
    }
    step = {
        **over_ssh(stack, *NODES),
        **{"cluster": "rights", "scenario": "power-loss", "node": "pve3", "confirm": True, "scale": SCALE},
        **{"faults": {"power": power}, "directory": str(records / "drills"), "tolerate": TOLERATED, "timeout": 400},
        # how fast is for tests of drills to say
        **{"promise_recovery": 100_000, "promise_service": 100_000, "max_replica_age": 100_000},
    }
    done = refused_first("drill", trial, step)
    assert done["passed"], done["failures"]
    for vmid in (102, 103):
        Root(stack, "pve3").run("POST", f"/nodes/pve3/qemu/{vmid}/status/start")
    wait_until(lambda: at_home(stack), PATIENCE)


def switched(stack: RunningStack, records: Path) -> Step:
    command = [sys.executable, "-m", "agentstack", "power"]
    power = {action: [*command, action, "{node}", "--dir", str(stack.dir)] for action in ("on", "status")}
    shells = over_ssh(stack, *NODES)
    return {
        **shells,
        **{"cluster": "rights", "nodes": [{**node, "power": power} for node in shells["nodes"]]},
        **{"note": str(records / "shutdown.json"), "tolerate": TOLERATED, "timeout": 400, "rest_timeout": 400},
    }


def test_a_whole_cluster_goes_off_and_comes_back(stack: RunningStack, trial: Node, records: Path) -> None:
    whole = rights_of("cluster_startup")
    (path, privilege, _), *others = without_each("cluster_startup")
    starter = Node.make(stack, trial.root, NODES, "starter@pve")
    # nobody can be given anything while it is off
    starter.give({**whole, path: whole[path] - {privilege}})
    step = switched(stack, records)
    refused_first("cluster_shutdown", trial, {**step, "confirm": True, "stubborn": "stop"})
    assert {host["power"] for host in stack.status()["hosts"]} == {"off"}
    noted = json.loads((records / "shutdown.json").read_text())

    def refused(privilege: str) -> None:
        result = attempt("cluster_startup", starter.login, step)
        assert result.get("failed")
        assert privilege in result["msg"], result["msg"]
        kept = json.loads((records / "shutdown.json").read_text())
        assert {**kept, "switched_on": []} == noted
        guests = Root(stack, "pve1")("GET", "/cluster/resources", type="vm")
        assert {row["status"] for row in guests} <= {"stopped", "unknown"}

    refused(privilege)
    wait_until(lambda: all(host["ready"] for host in stack.status()["hosts"]), PATIENCE)
    for path, privilege, _ in others:
        starter.give({**whole, path: whole[path] - {privilege}})
        refused(privilege)
    starter.give(whole)
    result = attempt("cluster_startup", starter.login, step)
    assert not result.get("failed"), result["msg"]
    wait_until(lambda: at_home(stack), PATIENCE)


def test_stretch_mode(stack: RunningStack, trial: Node) -> None:
    shells = over_ssh(stack, *NODES)
    buckets = [
        *({"name": site, "type": "datacenter", "location": {"root": "default"}} for site in ("dc1", "dc2")),
        *({"name": name, "type": "host", "location": {"datacenter": SITES[name]}} for name in ("pve1", "pve2")),
    ]
    rule = {"name": "stretch_rule", "across": "datacenter", "copies_in_each": 2, "failure_domain": "osd"}
    for given in ({"buckets": buckets}, {"rules": [rule]}):
        made = attempt("ceph_crush", trial.as_root, {**shells, **given})
        assert not made.get("failed"), made["msg"]
    step = {**shells, "monitors": SITES, "tiebreaker": "pve3", "rule": "stretch_rule"}
    assert refused_first("ceph_stretch", trial, step)["changed"]
