# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA over the API and the shell: its configuration, and the daemons behind it (facts §7; observed: HA time line)."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SCALE = 30
START = {"clustered": {"name": "test", "guests": {
    100: {"node": "pve1", "name": "t100", "memory": "16M"},
    101: {"node": "pve2", "name": "t101", "memory": "16M"},
    102: {"node": "pve3", "name": "t102", "memory": "16M"},
}}}  # fmt: skip

RESOURCES = "/cluster/ha/resources"
RULES = "/cluster/ha/rules"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(3, scale=SCALE, start=START)


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    root = Root(stack, "pve1")
    wait_until(lambda: len(root("GET", "/cluster/resources", type="vm")) == 3)
    return root


@pytest.fixture(scope="module")
def shell(stack: RunningStack) -> Shell:
    return Shell(stack, "pve1")


def refused(root: Root, verb: str, path: str, **given: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        root(verb, path, **given)
    return caught.value.status, caught.value.reason


def services(root: Root) -> dict[str, str]:
    """What `status` says of each service: `pve1, started`."""
    rows = root("GET", "/cluster/ha/status/current")
    return {row["sid"]: row["status"].partition("(")[2].rstrip(")") for row in rows if row["type"] == "service"}


def wait_for(root: Root, timeout: float = 40, **wanted: str) -> None:
    """Wait until services are where and what they should be; `vm100="pve1, started"`."""

    def there() -> bool:
        found = services(root)
        return all(found.get(f"{name[:2]}:{name[2:]}") == text for name, text in wanted.items())

    try:
        wait_until(there, timeout)
    except AssertionError as error:
        raise AssertionError(f"{services(root)} is not {wanted}") from error


@pytest.fixture
def clean(root: Root) -> None:
    """No rules, no resources."""
    for rule in root("GET", RULES):
        root("DELETE", f"{RULES}/{rule['rule']}")
    for resource in root("GET", RESOURCES):
        root("DELETE", f"{RESOURCES}/{resource['sid']}")
    wait_until(lambda: services(root) == {})


@pytest.mark.usefixtures("clean")
def test_resources_as_recorded(root: Root) -> None:
    assert refused(root, "POST", RESOURCES, sid="vm:999") == (500, "resource 'vm:999' does not exist in cluster")
    assert refused(root, "POST", RESOURCES, sid="ct:100") == (500, "guest with ID 100 is not a CT")
    root("POST", RESOURCES, sid="100", state="enabled", comment="füß")
    found = root("GET", f"{RESOURCES}/vm:100")
    assert {key: found[key] for key in found if key != "digest"} == {
        **{"sid": "vm:100", "type": "vm", "state": "started", "comment": "füß"}
    }
    assert refused(root, "POST", RESOURCES, sid="vm:100")[1] == (
        "create resource failed: resource ID 'vm:100' already defined"
    )
    root("PUT", f"{RESOURCES}/100", max_restart=3, max_relocate=2, delete="comment")
    assert refused(root, "PUT", f"{RESOURCES}/vm:100", delete="sid")[1] == (
        "update resources config failed: no such option 'sid'"
    )
    assert refused(root, "PUT", f"{RESOURCES}/vm:100", comment="x", digest="0" * 40)[1].startswith(
        "update resources config failed: detected modified configuration"
    )
    assert refused(root, "PUT", f"{RESOURCES}/vm:100", group="g1")[1] == (
        "invalid parameter 'group': ha groups have been migrated to rules"
    )
    assert refused(root, "GET", f"{RESOURCES}/vm:999")[1] == "no such resource 'vm:999'"
    assert refused(root, "DELETE", f"{RESOURCES}/vm:999")[1] == "cannot delete service 'vm:999', not HA managed!"
    assert refused(root, "GET", "/cluster/ha/groups")[1] == "cannot index groups: ha groups have been migrated to rules"


@pytest.mark.usefixtures("clean")
def test_rules_as_recorded(root: Root, shell: Shell) -> None:
    for vmid in (100, 101):
        root("POST", RESOURCES, sid=f"vm:{vmid}", state="stopped")
    root("POST", RULES, rule="near", type="node-affinity", nodes="pve1:2,pve2:1", resources="vm:100", strict=0)
    assert shell.run("cat /etc/pve/ha/rules.cfg").out == (
        "node-affinity: near\n\tnodes pve1:2,pve2:1\n\tresources vm:100\n\tstrict 0\n\n"
    )
    with pytest.raises(Refused) as caught:
        root("POST", RULES, rule="near2", type="node-affinity", nodes="pve2", resources="vm:100")
    assert caught.value.reason == "create ha rule failed: 400 Rule 'near2' is invalid."
    assert caught.value.message.splitlines()[1] == (
        "resources: resource 'vm:100' is already used in another node affinity rule"
    )
    assert refused(root, "POST", RULES, rule="x1", type="node-affinity", nodes="pve1", resources="vm:102")[1] == (
        "create ha rule failed: cannot use unmanaged resource(s) vm:102."
    )
    assert refused(root, "POST", RULES, rule="x2", type="node-affinity", nodes="no", resources="vm:101")[1] == (
        "create ha rule failed: cannot use non-existent node(s) no."
    )
    root("PUT", f"{RULES}/near", type="node-affinity", disable=1)
    assert root("GET", f"{RULES}/near")["disable"] == 1
    root("POST", RULES, rule="apart", type="resource-affinity", affinity="negative", resources="vm:101,vm:100")
    rows = root("GET", RULES)
    assert [(row["rule"], row["order"]) for row in rows] == [("near", 1), ("apart", 2)]
    assert rows[1]["resources"] == "vm:100,vm:101"
    assert [row["rule"] for row in root("GET", RULES, type="resource-affinity")] == ["apart"]
    assert refused(root, "GET", f"{RULES}/nosuch")[1] == "no such ha rule 'nosuch'"
    root("DELETE", f"{RULES}/nosuch")
    root("DELETE", f"{RESOURCES}/vm:100")
    assert [(row["rule"], row["resources"]) for row in root("GET", RULES)] == [("apart", "vm:101")]


@pytest.mark.usefixtures("clean")
def test_services_run_move_and_stop(root: Root, shell: Shell) -> None:
    root("POST", RESOURCES, sid="vm:100")
    wait_for(root, vm100="pve1, started")
    assert root("GET", "/nodes/pve1/qemu/100/status/current")["ha"] == {"managed": 1, "state": "started"}
    text = shell.run("ha-manager status").out
    assert "quorum OK\n" in text
    assert "service vm:100 (pve1, started)\n" in text
    answer = root("POST", f"{RESOURCES}/vm:100/migrate", node="pve3")
    assert answer == {"sid": "vm:100", "requested-node": "pve3"}
    wait_for(root, vm100="pve3, started")
    upid = root.run("POST", "/nodes/pve3/qemu/100/migrate", target="pve2", online=1)
    assert upid.split(":")[5] == "hamigrate"
    wait_for(root, vm100="pve2, started")
    upid = root.run("POST", "/nodes/pve2/qemu/100/status/shutdown")
    assert upid.split(":")[5] == "hastop"
    wait_for(root, vm100="pve2, stopped")
    assert root("GET", "/nodes/pve2/qemu/100/status/current")["status"] == "stopped"
    assert root("GET", f"{RESOURCES}/vm:100")["state"] == "stopped"
    upid = root.run("POST", "/nodes/pve2/qemu/100/status/start")
    assert upid.split(":")[5] == "hastart"
    wait_for(root, vm100="pve2, started")
    assert shell.run("ha-manager set vm:100 --state disabled").status == 0
    wait_for(root, vm100="pve2, disabled")


@pytest.mark.usefixtures("clean")
def test_a_killed_guest_is_started_again(root: Root) -> None:
    root("POST", RESOURCES, sid="vm:101")

    def pid() -> int | None:
        node = next(row["node"] for row in root("GET", "/cluster/resources", type="vm") if row["vmid"] == 101)
        found: int | None = root("GET", f"/nodes/{node}/qemu/101/status/current").get("pid")
        return found

    first = wait_until(pid)
    os.kill(first or 0, signal.SIGKILL)
    wait_until(lambda: pid() not in (None, first))


@pytest.mark.usefixtures("clean")
def test_maintenance_moves_services_away_and_back(root: Root, shell: Shell) -> None:
    root("POST", RESOURCES, sid="vm:102")
    wait_until(lambda: services(root).get("vm:102", "").endswith("started"))
    home = services(root)["vm:102"].partition(",")[0]
    assert shell.run(f"ha-manager crm-command node-maintenance enable {home}").status == 0
    wait_until(
        lambda: not services(root)["vm:102"].startswith(home) and services(root)["vm:102"].endswith("started"), 20
    )
    assert f"lrm {home} (maintenance mode" in shell.run("ha-manager status").out
    assert shell.run(f"ha-manager crm-command node-maintenance disable {home}").status == 0
    wait_for(root, vm102=f"{home}, started")
    refused_line = shell.run("ha-manager crm-command node-maintenance enable nosuch")
    assert (refused_line.status, refused_line.err) == (255, "no such cluster node 'nosuch'\n")


@pytest.mark.usefixtures("clean")
def test_disarm_and_arm(root: Root) -> None:
    root("POST", RESOURCES, sid="vm:100")
    wait_until(lambda: services(root).get("vm:100", "").endswith("started"))

    def armed() -> str:
        rows = root("GET", "/cluster/ha/status/current")
        return str(next(row["armed-state"] for row in rows if row["type"] == "fencing"))

    root("POST", "/cluster/ha/status/disarm-ha", resource__mode="freeze")
    wait_until(lambda: armed() == "disarmed")
    root("POST", "/cluster/ha/status/arm-ha")
    wait_until(lambda: armed() == "armed" and services(root)["vm:100"].endswith("started"))


@pytest.mark.usefixtures("clean")
def test_a_lost_node_is_fenced_and_its_service_recovered(stack: RunningStack, root: Root) -> None:
    root("POST", RESOURCES, sid="vm:102")
    root("POST", RULES, rule="home", type="node-affinity", nodes="pve3:2,pve2:1", resources="vm:102")
    wait_for(root, vm102="pve3, started")
    stack.power("off", "pve3")
    lost_at = time.monotonic()
    try:
        # observed: 136 s to recovery and some 20 s to the start; the manager's own node takes longer
        wait_for(root, 240 / SCALE + 5, vm102="pve2, started")
    finally:
        stack.power("on", "pve3")
    assert (time.monotonic() - lost_at) * SCALE > 60
    stack.wait_ready("pve3")
    wait_for(root, vm102="pve3, started")
