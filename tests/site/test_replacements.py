# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ceph stands on breaks, is replaced, and a run makes it whole: a disk, a monitor, a machine (MISSION row 2)."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from agentstack.guests.check_disks import check

from ..api_client import Root
from ..ceph_stacks import acknowledged, health
from ..integration.shell import Shell
from ..stacks import RunningStack, StackFactory, wait_until
from .conftest import Run
from .inventories import Site, recognised

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

NODES = ("pve1", "pve2", "pve3")
OK = ("HEALTH_OK", set[str]())
TAGS = ("cluster", "ceph", "guests")
STRANDED = 109


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    disks = [{"size": "32G"}, {"size": "64G", "type": "nvme"}]
    return stack_factory({name: {"disks": disks} for name in NODES}, scale=20)


@pytest.fixture(scope="module")
def site(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with a guest on Ceph, on the node that stays."""
    network = stack.resolved["networks"]["mgmt"]["cidr"]
    variables = {
        "pve_ceph": {"release": "squid", "repository": "no-subscription", "network": network, "timeout": 120},
        "pve_ceph_monitors": [*NODES],
        "pve_ceph_managers": ["pve1", "pve2"],
        "pve_ceph_osds": [{"node": "*", "devices": {"type": "nvme"}}],
        "pve_ceph_pools": [{"name": "vm", "pg_num": 32, "storage": True}],
        "pve_guests": [
            {"vmid": 100, "node": "pve1", "memory": 64, "disks": {"scsi0": "vm:1"}, "name": "writer", "started": True}
        ],
    }
    made = Site(stack, tmp_path_factory.mktemp("site"), variables)
    first = made.run(*TAGS)
    assert first.status == 0, first.output
    return made


@pytest.fixture
def root(stack: RunningStack, site: Site) -> Root:
    root = Root(stack, "pve1")
    wait_until(lambda: health(root) == OK, 180)
    goes_on(stack)
    return root


def goes_on(stack: RunningStack) -> None:
    """The guest's records are acknowledged."""
    before = acknowledged(stack)
    wait_until(lambda: acknowledged(stack) > before + 1, 180)


def osds(root: Root, host: str) -> dict[int, str]:
    """The OSDs of a host, up or down."""

    def below(entry: dict[str, Any]) -> dict[int, str]:
        found = {int(entry["id"]): str(entry["status"])} if entry.get("host") == host else {}
        for child in entry.get("children", ()):
            found |= below(child)
        return found

    return below(root("GET", "/nodes/pve1/ceph/osd")["root"])


def whole_again(stack: RunningStack, site: Site, root: Root) -> None:
    """Healthy, nothing left to do, and no record lost."""
    wait_until(lambda: health(root) == OK, 180)
    again = site.run(*TAGS)
    assert (again.status, again.changed) == (0, 0), again.output
    goes_on(stack)
    assert check(stack.dir).findings == []


def test_a_disk(stack: RunningStack, site: Site, root: Root) -> None:
    [lost] = osds(root, "pve2")
    stack.fault("disk", "pve2", "nvme0n1", "remove")
    wait_until(lambda: osds(root, "pve2") == {lost: "down"}, 180)
    stack.fault("disk", "pve2", "nvme0n1", "replace=NEW1")
    without = site.run(*TAGS, pve_ceph={**site.variables["pve_ceph"], "timeout": 2})
    assert without.status != 0
    assert without.says("OSD_DOWN"), without.output
    run = site.run(*TAGS, pve_ceph_replace_lost=True)
    assert run.status == 0, run.output
    assert list(osds(root, "pve2").values()) == ["up"]
    whole_again(stack, site, root)


def test_a_monitor(stack: RunningStack, site: Site, root: Root) -> None:
    for path in (stack.dir / "hosts/pve2/root/var/lib/ceph/mon/ceph-pve2").iterdir():
        path.unlink()
    stack.power("reset", "pve2")
    wait_until(lambda: "MON_DOWN" in health(root)[1], 180)
    stack.wait_ready("pve2", 180)
    wait_until(lambda: health(root)[1] == {"MON_DOWN"}, 180)
    run = site.run(*TAGS, pve_ceph_replace_lost=True)
    assert run.status == 0, run.output
    assert run.changed
    whole_again(stack, site, root)


def remove(site: Site, **said: Any) -> Run:
    wanted = {"remove_node": "pve3", "remove_confirm": True, "pve_ceph_monitors": ["pve1", "pve2"]}
    return site.run(playbook="playbooks/remove_node.yml", said={**wanted, **said})


def test_a_machine(stack: RunningStack, site: Site, root: Root) -> None:
    """It is dead: what would be lost with it keeps it, and nothing is changed before all of that is looked at."""
    root.run("POST", "/nodes/pve3/qemu", vmid=STRANDED, memory=64)
    root("POST", "/storage", storage="there", type="dir", path="/srv/there", nodes="pve2,pve3")
    root.run("POST", "/nodes/pve3/ceph/mgr/pve3")
    stack.power("off", "pve3")
    wait_until(lambda: {"OSD_HOST_DOWN", "MON_DOWN"} <= health(root)[1], 180)
    before = osds(root, "pve3")
    stranded = remove(site, remove_lost=True)
    assert stranded.says(f"pve3 is offline and has guests: {STRANDED}.", "Nothing was changed"), stranded.output
    directories = (f"/etc/pve/nodes/{node}/qemu-server/{STRANDED}.conf" for node in ("pve3", "pve1"))
    assert Shell(stack, "pve1").run(f"mv {' '.join(directories)}").status == 0
    precious = remove(site)
    assert precious.says("Say -e remove_lost=true if they are given up", "Nothing was changed"), precious.output
    assert (stranded.changed, precious.changed, osds(root, "pve3")) == (0, 0, before)
    removed = remove(site, remove_lost=True)
    assert removed.status == 0, removed.output
    assert osds(root, "pve3") == {}
    assert root("GET", "/storage/there")["nodes"] == "pve2"
    keys = Shell(stack, "pve1").run("ceph auth ls").out.splitlines()
    assert ("mgr.pve1" in keys, "mgr.pve3" in keys, *(f"osd.{number}" in keys for number in before)) == (
        True,
        False,
        False,
    )
    again = remove(site, remove_lost=True)
    assert (again.status, again.changed) == (0, 0), again.output
    shutil.rmtree(stack.dir / "hosts/pve3")
    stack.power("on", "pve3")
    stack.wait_ready("pve3", 180)
    site.hosts["pve3"] |= recognised(stack, "pve3")
    run = site.run(*TAGS)
    assert run.status == 0, run.output
    assert list(osds(root, "pve3").values()) == ["up"]
    whole_again(stack, site, root)
