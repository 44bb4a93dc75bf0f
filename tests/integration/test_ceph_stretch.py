# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sites and a third place: one site off, each in turn, and no object lost (MISSION row 4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from agentstack.guests.check_disks import check

from ..api_client import Refused, Root
from ..ceph_stacks import acknowledged, build_ceph, health
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = [pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"), pytest.mark.long]

SITES = {"dc1": ("pve1", "pve2"), "dc2": ("pve3", "pve4")}
NODES = ("pve1", "pve2", "pve3", "pve4")
WITNESS = "pve5"
RULE = """rule stretch_rule {
    id 1
    type replicated
    step take default
    step choose firstn 0 type datacenter
    step chooseleaf firstn 2 type host
    step emit
}
"""


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts: dict[str, Any] = {
        name: {"disks": [{"size": "32G"}, {"size": "64G", "type": "nvme"}], "site": site}
        for site, names in SITES.items()
        for name in names
    }
    hosts[WITNESS] = {"disks": [{"size": "32G"}], "site": "dc3"}
    return stack_factory(hosts, scale=10, start={"clustered": {"name": "test", "links": ["mgmt"]}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, WITNESS)


@pytest.fixture(scope="module")
def ceph(stack: RunningStack, root: Root) -> Callable[[str], str]:
    """Runs `ceph …` on the third host: what it prints, on stdout and stderr, one after the other."""
    shell = Shell(stack, WITNESS)

    def run(line: str) -> str:
        answer = shell.run(f"ceph {line}")
        return (answer.out + answer.err).strip()

    return run


def answer(text: str) -> Any:
    return json.loads(text)


def test_a_tree_of_sites_and_a_rule_of_two_steps(stack: RunningStack, root: Root, ceph: Callable[[str], str]) -> None:
    build_ceph(stack, root, NODES, disks=("nvme0n1",), monitors=(*NODES, WITNESS))
    root.run("POST", "/nodes/pve1/ceph/pool", name="vm", pg_num=32, add_storages=1)
    for site, names in SITES.items():
        assert ceph(f"osd crush add-bucket {site} datacenter").startswith(f"added bucket {site}")
        assert "to location {root=default}" in ceph(f"osd crush move {site} root=default")
        for name in names:
            ceph(f"osd crush move {name} datacenter={site}")
    names = {node["name"]: node for node in answer(ceph("osd tree -f json"))["nodes"]}
    assert names["default"]["children"] == [names["dc1"]["id"], names["dc2"]["id"]]
    assert names["dc2"]["children"] == [names["pve3"]["id"], names["pve4"]["id"]]
    assert "not empty" in ceph("osd crush rm dc1")

    # as the manual says: the map as text, one more rule, and back
    shell = Shell(stack, WITNESS)
    assert shell.run("ceph osd getcrushmap -o map.bin").status == 0
    assert shell.run("crushtool -d map.bin -o map.txt").status == 0
    text = shell.run("cat /root/map.txt").out
    assert "item dc1 weight 0.12500" in text
    place = stack.dir / "hosts" / WITNESS / "root/root/map.txt"
    place.write_text(text.replace("# end crush map", f"{RULE}\n# end crush map"))
    assert shell.run("crushtool -c map.txt -o new.bin").status == 0
    assert shell.run("ceph osd setcrushmap -i new.bin").status == 0
    assert answer(ceph("osd crush rule ls -f json")) == ["replicated_rule", "stretch_rule"]
    dumped = answer(ceph("osd crush rule dump stretch_rule -f json"))
    assert [step["op"] for step in dumped["steps"]] == ["take", "choose_firstn", "chooseleaf_firstn", "emit"]


def test_stretch_mode_is_refused_until_all_is_said(root: Root, ceph: Callable[[str], str]) -> None:
    command = "mon enable_stretch_mode pve5 stretch_rule datacenter"
    assert "connectivity" in ceph(command)
    ceph("mon set election_strategy connectivity")
    assert "Could not find location entry for datacenter on monitor pve1" in ceph(command)
    for site, names in {**SITES, "dc1 ": ()}.items():
        for name in names:
            ceph(f"mon set_location {name} datacenter={site}")
    ceph("mon set_location pve5 datacenter=dc3")
    assert ceph(command) == ""
    assert "already" in ceph(command)
    dump = answer(ceph("mon dump -f json"))
    assert (dump["stretch_mode"], dump["tiebreaker_mon"], dump["election_strategy"]) == (True, "pve5", 3)
    [pool] = answer(ceph("osd dump -f json"))["pools"]
    assert (pool["size"], pool["min_size"], pool["crush_rule"]) == (4, 2, 1)
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 180)
    places = {row["name"]: row["host"] for row in _osds(root)}
    for row in answer(ceph("pg dump -f json"))["pg_map"]["pg_stats"]:
        sites = [next(site for site, names in SITES.items() if places[f"osd.{osd}"] in names) for osd in row["acting"]]
        assert sorted(sites) == ["dc1", "dc1", "dc2", "dc2"]


def _osds(root: Root) -> list[dict[str, Any]]:
    def below(entry: dict[str, Any]) -> list[dict[str, Any]]:
        found = [entry] if entry.get("type") == "osd" else []
        for child in entry.get("children", ()):
            found += below(child)
        return found

    return below(root("GET", "/nodes/pve5/ceph/osd")["root"])


def node_of(root: Root) -> str:
    services = root("GET", "/cluster/ha/status/manager_status")["manager_status"].get("service_status", {})
    return str(services.get("vm:100", {}).get("node", ""))


def min_sizes(ceph: Callable[[str], str]) -> list[int]:
    return [pool["min_size"] for pool in answer(ceph("osd dump -f json"))["pools"]]


@pytest.mark.soak  # test_two_sites, among the long tests, loses the same sites under the collection's hands
@pytest.mark.parametrize("site", ["dc1", "dc2"])
def test_without_a_site_guests_go_on(stack: RunningStack, root: Root, ceph: Callable[[str], str], site: str) -> None:
    own = SITES[site]
    if site == "dc1":
        root.run("POST", "/nodes/pve1/qemu", vmid=100, name="writer", memory=64, scsi0="vm:1")
        root("POST", "/cluster/ha/resources", sid="vm:100", state="started")
    wait_until(lambda: node_of(root) not in ("", WITNESS) and acknowledged(stack) > 2, 180)
    if node_of(root) not in own:
        root("POST", "/cluster/ha/resources/vm:100/migrate", node=own[0])
        wait_until(lambda: node_of(root) == own[0], 180)
    before = acknowledged(stack)
    wait_until(lambda: acknowledged(stack) > before, 180)
    for name in own:
        stack.power("off", name)
    wait_until(lambda: "DEGRADED_STRETCH_MODE" in health(root)[1], 180)
    assert {"MON_DOWN", "OSD_DATACENTER_DOWN", "OSD_HOST_DOWN", "OSD_DOWN", "PG_DEGRADED"} <= health(root)[1]
    assert min_sizes(ceph) == [1], "the monitors lower it by themselves"
    wait_until(lambda: node_of(root) not in own, 180)
    before = acknowledged(stack)
    wait_until(lambda: acknowledged(stack) > before + 1, 180)
    assert check(stack.dir).findings == []
    for name in own:
        stack.power("on", name)
    for name in own:
        stack.wait_ready(name, 180)
    wait_until(lambda: health(root) == ("HEALTH_OK", set()), 180)
    assert min_sizes(ceph) == [2], "and restore it"
    report = check(stack.dir)
    assert report.findings == []


def test_a_pool_made_now_is_stretched_too(root: Root) -> None:
    root.run("POST", "/nodes/pve1/ceph/pool", name="more", pg_num=8)
    status = root("GET", "/nodes/pve1/ceph/pool/more/status")
    assert (status["size"], status["min_size"], status["crush_rule"]) == (4, 2, "stretch_rule")
    with pytest.raises(Refused):
        root("GET", "/nodes/pve1/ceph/pool/none/status")
