# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two data centres and a third place, as an inventory and one command (MISSION row 4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from agentstack.guests.check_disks import check

from ..api_client import Refused, Root
from ..ceph_stacks import acknowledged, health
from ..stacks import RunningStack, StackFactory, wait_until
from .conftest import Lab, Run

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

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


class Site:
    """The inventory of the two sites, and runs of the site's playbook on it as far as Ceph."""

    def __init__(self, stack: RunningStack, directory: Path) -> None:
        self.lab = Lab(directory / "lab")
        self.directory = directory
        resolved, secrets = stack.resolved, stack.secrets
        self.hosts = {
            name: {
                "pve_address": resolved["hosts"][name]["address"],
                "pve_fingerprint": secrets["hosts"][name]["fingerprint"],
                "pve_ssh_host_key": secrets["hosts"][name]["ssh_host_key"],
                "pve_site": site,
            }
            for site, names in SITES.items()
            for name in names
        }
        network = resolved["networks"]["mgmt"]["cidr"]
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            **{"pve_api_user": "root@pam", "pve_api_password": secrets["root_password"], "pve_ssh_port": 2222},
            **{"pve_cluster_name": "test", "pve_cluster_group": "test"},
            "pve_trust_file": str(directory / "trust.json"),
            "pve_links": [{"number": 0, "network": network}],
            "pve_ceph": {
                **{"release": "squid", "repository": "no-subscription", "network": network, "timeout": 90},
                "stretch": {"tiebreaker": "pve5"},
            },
            "pve_ceph_monitors": NODES,
            "pve_ceph_managers": ["pve1", "pve3"],
            "pve_ceph_osds": [{"node": name, "devices": {"type": "nvme"}} for name in NODES[:4]],
            "pve_ceph_pools": [{"name": "vm", "size": 4, "min_size": 2, "pg_num": 32, "storage": True}],
        }

    def run(self, **more: Any) -> Run:
        """One run with these variables instead of the inventory's."""
        inventory = {"pve": {"children": {"test": {"hosts": self.hosts, "vars": {**self.variables, **more}}}}}
        file = self.directory / "hosts.yml"
        file.write_text(yaml.safe_dump(inventory, sort_keys=False))
        return self.lab.playbook("-i", str(file), "site.yml", "--tags", "ceph")


@pytest.fixture(scope="module")
def site(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(stack, tmp_path_factory.mktemp("site"))


def node_of(root: Root) -> str:
    services = root("GET", "/cluster/ha/status/manager_status")["manager_status"].get("service_status", {})
    return str(services.get("vm:100", {}).get("node", ""))


def test_without_a_third_place_it_is_refused(site: Site, root: Root) -> None:
    even = {**site.variables["pve_ceph"]}
    del even["stretch"]
    site.hosts["pve5"]["pve_site"] = "dc2"
    stretched = site.run()
    assert stretched.status != 0
    assert stretched.says("third place"), stretched.output
    refused = site.run(pve_ceph=even, pve_ceph_monitors=["pve1", "pve2", "pve3"])
    site.hosts["pve5"]["pve_site"] = "office"
    assert refused.status != 0
    assert refused.says("third place"), refused.output
    with pytest.raises(Refused):
        root("GET", "/cluster/ceph/status")


def test_one_run_builds_it_and_another_changes_nothing(site: Site, root: Root) -> None:
    first = site.run()
    assert first.status == 0, first.output
    assert first.changed
    assert health(root) == ("HEALTH_OK", set())
    status = root("GET", "/cluster/ceph/status")
    assert (status["monmap"]["stretch_mode"], status["monmap"]["tiebreaker_mon"]) == (True, "pve5")
    again = site.run()
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
    run = site.run(pve_ceph_tolerate=LOSS)
    assert (run.status, run.changed) == (0, 0), run.output
    for name in own:
        stack.power("on", name)
    for name in own:
        stack.wait_ready(name, 180)
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 180)
    assert check(stack.dir).findings == []


def test_a_lost_disk_and_a_lost_monitor_are_replaced_by_a_run(stack: RunningStack, site: Site, root: Root) -> None:
    stack.power("off", "pve2")
    wait_until(lambda: "OSD_HOST_DOWN" in health(root)[1], 180)
    [image] = (stack.dir / "hosts/pve2/disks").glob("nvme*.img")
    size = image.stat().st_size
    image.unlink()
    with image.open("wb") as file:
        file.truncate(size)
    stack.power("on", "pve2")
    stack.wait_ready("pve2", 180)
    root.run("DELETE", "/nodes/pve2/ceph/mon/pve2")
    dead = [osd for osd in osds(root) if osd["host"] == "pve2"]
    assert [osd["status"] for osd in dead] == ["down"]
    gone = {"node": "pve2", "id": int(dead[0]["id"]), "state": "absent"}
    run = site.run(pve_ceph_osds=[*site.variables["pve_ceph_osds"], gone])
    assert run.status == 0, run.output
    assert run.changed
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 180)
    found = [osd for osd in osds(root) if osd["host"] == "pve2"]
    assert [(osd["status"], osd["id"] != dead[0]["id"]) for osd in found] == [("up", True)]
    again = site.run(pve_ceph_osds=[*site.variables["pve_ceph_osds"], gone])
    assert (again.status, again.changed) == (0, 0), again.output
    assert check(stack.dir).findings == []


def osds(root: Root) -> list[dict[str, Any]]:
    def below(entry: dict[str, Any]) -> list[dict[str, Any]]:
        found = [entry] if entry.get("type") == "osd" else []
        for child in entry.get("children", ()):
            found += below(child)
        return found

    return below(root("GET", "/nodes/pve5/ceph/osd")["root"])
