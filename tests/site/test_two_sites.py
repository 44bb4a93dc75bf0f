# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two data centres and a third place, as an inventory and one command (MISSION row 4)."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack.guests.check_disks import check

from ..api_client import Refused, Root
from ..ceph_stacks import acknowledged, health
from ..stacks import RunningStack, StackFactory, wait_until
from .inventories import Site

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

SITES = {"dc1": ("pve1", "pve2"), "dc2": ("pve3", "pve4"), "office": ("pve5",)}
NODES = [name for names in SITES.values() for name in names]
LOSS = ["DEGRADED_STRETCH_MODE", "RECOVERING_STRETCH_MODE", "MON_DOWN", "MGR_DOWN", "OSD_DOWN", "OSD_HOST_DOWN"]
LOSS += ["OSD_DATACENTER_DOWN", "PG_DEGRADED", "PG_AVAILABILITY"]


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts: dict[str, Any] = {
        name: {"disks": [{"size": "32G"}, {"size": "64G", "type": "nvme"}], "site": site}
        for site, names in SITES.items()
        for name in names
    }
    hosts["pve5"]["disks"] = [{"size": "32G"}]
    return stack_factory(hosts, scale=10, start={"clustered": {"name": "test", "links": ["mgmt"]}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve5")


@pytest.fixture(scope="module")
def site(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Site:
    network = stack.resolved["networks"]["mgmt"]["cidr"]
    variables = {
        "pve_ceph": {
            **{"release": "squid", "repository": "no-subscription", "network": network, "timeout": 90},
            "stretch": {"tiebreaker": "pve5"},
        },
        "pve_ceph_monitors": NODES,
        "pve_ceph_managers": ["pve1", "pve3"],
        "pve_ceph_osds": [{"node": name, "devices": {"type": "nvme"}} for name in NODES[:4]],
        "pve_ceph_pools": [{"name": "vm", "size": 4, "min_size": 2, "pg_num": 32, "storage": True}],
    }
    places = {name: place for place, names in SITES.items() for name in names}
    return Site(stack, tmp_path_factory.mktemp("site"), variables, places)


def node_of(root: Root) -> str:
    services = root("GET", "/cluster/ha/status/manager_status")["manager_status"].get("service_status", {})
    return str(services.get("vm:100", {}).get("node", ""))


def min_sizes(root: Root) -> list[int]:
    return [int(pool["min_size"]) for pool in root("GET", "/nodes/pve5/ceph/pool")]


def test_without_a_third_place_it_is_refused(site: Site, root: Root) -> None:
    even = {**site.variables["pve_ceph"]}
    del even["stretch"]
    site.hosts["pve5"]["pve_site"] = "dc2"
    stretched = site.run("ceph")
    assert stretched.status != 0
    assert stretched.says("third place"), stretched.output
    refused = site.run("ceph", pve_ceph=even, pve_ceph_monitors=["pve1", "pve2", "pve3"])
    site.hosts["pve5"]["pve_site"] = "office"
    assert refused.status != 0
    assert refused.says("third place"), refused.output
    with pytest.raises(Refused):
        root("GET", "/cluster/ceph/status")


def test_one_run_builds_it_and_another_changes_nothing(site: Site, root: Root) -> None:
    first = site.run("ceph")
    assert first.status == 0, first.output
    assert first.changed
    assert health(root) == ("HEALTH_OK", set())
    status = root("GET", "/cluster/ceph/status")
    assert (status["monmap"]["stretch_mode"], status["monmap"]["tiebreaker_mon"]) == (True, "pve5")
    again = site.run("ceph")
    assert (again.status, again.changed) == (0, 0), again.output


@pytest.mark.parametrize("lost", ["dc1", "dc2"])
def test_a_site_is_lost_and_comes_back(stack: RunningStack, site: Site, root: Root, lost: str) -> None:
    own = SITES[lost]
    if lost == "dc1":
        root.run("POST", "/nodes/pve1/qemu", vmid=100, name="writer", memory=64, scsi0="vm:1")
        root("POST", "/cluster/ha/resources", sid="vm:100", state="started")
    wait_until(lambda: node_of(root) in NODES and acknowledged(stack) > 2, 180)
    if node_of(root) not in own:
        root("POST", "/cluster/ha/resources/vm:100/migrate", node=own[0])
        wait_until(lambda: node_of(root) == own[0], 180)
    before = acknowledged(stack)
    wait_until(lambda: acknowledged(stack) > before, 180)
    for name in own:
        stack.power("off", name)
    wait_until(lambda: "DEGRADED_STRETCH_MODE" in health(root)[1], 180)
    wait_until(lambda: node_of(root) not in own, 180)
    before = acknowledged(stack)
    wait_until(lambda: acknowledged(stack) > before + 1, 180)
    run = site.run("ceph", pve_ceph_tolerate=LOSS)
    assert (run.status, run.changed) == (0, 0), run.output
    assert min_sizes(root) == [1], "what the monitors have lowered is theirs to restore"
    for name in own:
        stack.power("on", name)
    for name in own:
        stack.wait_ready(name, 180)
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 180)
    assert min_sizes(root) == [2]
    assert check(stack.dir).findings == []
