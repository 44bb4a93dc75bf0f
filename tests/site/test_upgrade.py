# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with Ceph moves from 8.4 to 9.2 by playbook, with all that can come between; then it is maintained.

Guests go on through all of it: their records tell (MISSION row 14).
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from agentstack.guests.check_disks import check

from ..api_client import Refused, Root
from ..ceph_stacks import build_ceph, health
from ..integration.shell import Shell
from ..packages import ask_public_repositories
from ..stacks import RunningStack, StackFactory, wait_until
from .conftest import Run
from .inventories import Site

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

NODES = ("pve1", "pve2", "pve3")
OLD, NEW = "8.4.21", "9.2.11"
TEMPLATE = "debian-12-standard_12.7-1_amd64.tar.zst"
KEPT, OTHER, CONTAINER = 101, 102, 103
HALF = "root/var/lib/dpkg/updates/0000"
"""dpkg's note of an installation that is not at its end, below a host's directory."""

PATIENCE = 600
REST = 200
"""Seconds until a run says what does not come to rest: before the run itself is taken for hung."""


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    disks = [{"size": "32G"}, {"size": "64G", "type": "nvme"}]
    hosts = {name: {"disks": disks, "version": "8.4"} for name in NODES}
    stack = stack_factory(hosts, scale=16, start={"clustered": {"name": "test"}})
    ask_public_repositories(stack, *NODES)
    return stack


@pytest.fixture(scope="module")
def site(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A guest under HA in a group of two nodes, one that HA does not know, and such a container; nothing on pve3."""
    root = Root(stack, "pve1")
    build_ceph(stack, root, NODES, disks=["nvme0n1"])
    root.run("POST", "/nodes/pve1/ceph/pool", name="vm", pg_num=32, add_storages=1)
    (stack.dir / "hosts/pve2/root/var/lib/vz/template/cache" / TEMPLATE).touch()
    for vmid, node in ((KEPT, "pve1"), (OTHER, "pve2")):
        root.run("POST", f"/nodes/{node}/qemu", vmid=vmid, memory=64, scsi0="vm:1", start=1)
    container = {"vmid": CONTAINER, "ostemplate": f"local:vztmpl/{TEMPLATE}", "rootfs": "vm:1", "start": 1}
    root.run("POST", "/nodes/pve2/lxc", memory=64, **container)
    directory = tmp_path_factory.mktemp("site")
    variables = {
        "pve_records": str(directory / "records"),
        "pve_ceph": {"release": "squid", "network": stack.resolved["networks"]["mgmt"]["cidr"]},
        "pve_ceph_monitors": [*NODES],
        "pve_ha_resources": [{"sid": f"vm:{KEPT}", "state": "started"}],
        "pve_ha_affinity": [
            {"name": "web", "nodes": {"pve1": 2, "pve2": 1}, "strict": True, "resources": [f"vm:{KEPT}"]}
        ],
        "pve_upgrade": {"rest_timeout": REST},
        "pve_maintenance": {"rest_timeout": REST},
    }
    made = Site(stack, directory, variables)
    first = made.run("ha")
    assert first.status == 0, first.output
    return made


def operate(site: Site, name: str, **more: Any) -> Run:
    return site.run(playbook=f"playbooks/{name}.yml", **more)


def upgrade(site: Site, **more: Any) -> Run:
    return operate(site, "upgrade", upgrade_release="9", **more)


def versions(stack: RunningStack) -> dict[str, str]:
    return {name: str(stack.host(name)["version"]) for name in NODES}


def where(stack: RunningStack) -> dict[int, str]:
    return {guest["vmid"]: guest["node"] for guest in Root(stack, "pve2")("GET", "/cluster/resources", type="vm")}


def home(stack: RunningStack) -> bool:
    return where(stack) == {KEPT: "pve1", OTHER: "pve2", CONTAINER: "pve2"}


def held(stack: RunningStack) -> dict[str, list[str]]:
    """The hosts whose OSDs Ceph does not take out."""
    flags: dict[str, list[str]] = json.loads(Shell(stack, "pve1").run("ceph osd dump --format json").out)[
        "crush_node_flags"
    ]
    return flags


def go_on(stack: RunningStack) -> None:
    """Every guest writes, no record is lost, and virtual machines have never been started anew."""
    before = {guest.guest: guest.records for guest in check(stack.dir).guests}
    wait_until(lambda: all(guest.records > before[guest.guest] for guest in check(stack.dir).guests), PATIENCE)
    state = check(stack.dir)
    assert state.findings == []
    runs = {guest.guest: guest.runs for guest in state.guests}
    assert (runs[f"test/{KEPT}"], runs[f"test/{OTHER}"]) == (1, 1)


def test_what_is_in_the_way_on_one_node_keeps_all_as_they_are(stack: RunningStack, site: Site) -> None:
    mixed = stack.dir / "hosts/pve3/root/etc/apt/sources.list.d/tools.list"
    mixed.write_text("deb http://deb.debian.org/debian trixie main\n")
    refused = upgrade(site)
    mixed.unlink()
    assert refused.status != 0
    assert refused.says("Found mixed suites in package repositories: bookworm, trixie", "pve8to9"), refused.output
    foretold = site.foretell("playbooks/upgrade.yml", upgrade_release="9")
    assert all(foretold.says(f"{name} ({OLD}): to release 9", "boots anew") for name in NODES), foretold.output
    assert (refused.changed, set(versions(stack).values()), held(stack)) == (0, {OLD}, {}), refused.output


def test_it_moves_on_after_whatever_comes_between(stack: RunningStack, site: Site) -> None:
    first = killed_in_the_middle(stack, site)
    one_is_lost_between_two(stack, site, first)
    rest = upgrade(site)
    assert rest.status == 0, rest.output
    assert set(versions(stack).values()) == {NEW}
    again = upgrade(site)
    assert (again.status, again.changed) == (0, 0), again.output
    wait_until(partial(home, stack), PATIENCE)
    assert held(stack) == {}
    go_on(stack)


def killed_in_the_middle(stack: RunningStack, site: Site) -> str:
    """The first node, whose packages were being set up when the run was killed."""
    hosts = stack.dir / "hosts"

    def half() -> str | None:
        return next((name for name in NODES if (hosts / name / HALF).exists()), None)

    with site.running("playbooks/upgrade.yml", upgrade_release="9") as run:
        first = wait_until(lambda: half() or (None if run.poll() is None else "nobody"), PATIENCE)
        assert first in NODES, site.end_of(run).output
    assert held(stack) == {first: ["noout"]}
    return first


def one_is_lost_between_two(stack: RunningStack, site: Site, first: str) -> None:
    """It goes on with that node, and not with the next one while another is away."""
    note = site.directory / "records/test" / f"maintenance-{first}.json"
    assert note.exists()
    impatient = {"pve_upgrade": {"rest_timeout": 10}, "pve_maintenance": {"rest_timeout": 10}}
    with site.running("playbooks/upgrade.yml", upgrade_release="9", **impatient) as run:
        wait_until(lambda: not note.exists() or run.poll() is not None, PATIENCE)
        stack.power("off", "pve3")
        stopped = site.end_of(run)
    assert stopped.status != 0
    assert stopped.says("pve3 is offline"), stopped.output
    assert versions(stack) == {name: NEW if name == first else OLD for name in NODES}
    go_on(stack)
    stack.power("on", "pve3")
    stack.wait_ready("pve3", PATIENCE)


def test_groups_have_become_the_rules_of_the_inventory(stack: RunningStack, site: Site) -> None:
    root = Root(stack, "pve1")
    with pytest.raises(Refused, match="ha groups have been migrated to rules"):
        root("GET", "/cluster/ha/groups")
    [rule] = root("GET", "/cluster/ha/rules")
    assert (rule["rule"], rule["strict"], rule["resources"]) == ("ha-group-web", 1, f"vm:{KEPT}")
    assert "bookworm" not in Shell(stack, "pve2").run("cat /etc/apt/sources.list").out
    same = site.run("ha")
    assert (same.status, same.changed) == (0, 0), same.output


def test_a_disk_under_ceph_is_replaced(stack: RunningStack, site: Site) -> None:
    root = Root(stack, "pve1")
    wait_until(lambda: health(root)[0] == "HEALTH_OK", PATIENCE)
    [(number, _status)] = osds(root, "pve2").items()
    wanted = {"replace_node": "pve2", "replace_osd": number, "replace_by": "/dev/nvme0n1"}
    stack.fault("disk", "pve2", "nvme0n1", "remove")
    wait_until(lambda: osds(root, "pve2") == {number: "down"}, PATIENCE)
    missing = operate(site, "replace_disk", **wanted)
    assert missing.says("pve2 has no disk /dev/nvme0n1"), missing.output
    stack.fault("disk", "pve2", "nvme0n1", "replace=NEW1")
    mistaken = operate(site, "replace_disk", **{**wanted, "replace_osd": 77})
    assert mistaken.says("there is no osd.77 to be replaced"), mistaken.output
    assert osds(root, "pve2") == {number: "down"}
    for changed in (1, 0):
        done = operate(site, "replace_disk", **wanted)
        assert (done.status, done.changed) == (0, changed), done.output
    assert list(osds(root, "pve2").values()) == ["up"]
    assert health(root)[0] == "HEALTH_OK"
    go_on(stack)


def osds(root: Root, host: str) -> dict[int, str]:
    """The OSDs of a host, up or down."""

    def below(entry: dict[str, Any]) -> dict[int, str]:
        found = {int(entry["id"]): str(entry["status"])} if entry.get("host") == host else {}
        for child in entry.get("children", ()):
            found |= below(child)
        return found

    return below(root("GET", "/nodes/pve1/ceph/osd")["root"])


def test_guests_are_treated_as_is_said_of_them(stack: RunningStack, site: Site) -> None:
    """Killed when the first guest was noted; what was noted comes back by another run."""
    note = site.directory / "records/test/maintenance-pve2.json"
    policies = {"pve_maintenance": {"rest_timeout": REST, "guests": {str(OTHER): "leave"}}}

    def noted() -> bool:
        return note.exists() and str(CONTAINER) in note.read_text()

    with site.running("playbooks/maintenance.yml", maintenance_node="pve2", **policies) as run:
        wait_until(lambda: noted() or run.poll() is not None, PATIENCE)
        assert noted(), site.end_of(run).output
    wait_until(lambda: not moving(stack), PATIENCE)
    assert held(stack) == {"pve2": ["noout"]}
    emptied = operate(site, "maintenance", maintenance_node="pve2", **policies)
    assert emptied.status == 0, emptied.output
    assert emptied.says(f"running there still: {OTHER}"), emptied.output
    wait_until(lambda: where(stack)[CONTAINER] != "pve2", PATIENCE)
    assert where(stack)[OTHER] == "pve2"
    policies["pve_maintenance"]["guests"] = {str(OTHER): "shutdown"}
    emptied = operate(site, "maintenance", maintenance_node="pve2", **policies)
    assert emptied.status == 0, emptied.output
    assert status(stack, OTHER) == "stopped"
    filled = operate(site, "maintenance", maintenance_node="pve2", maintenance="off", **policies)
    assert filled.status == 0, filled.output
    assert (status(stack, OTHER), held(stack), note.exists()) == ("running", {}, False)
    wait_until(partial(home, stack), PATIENCE)
    assert check(stack.dir).findings == []


def status(stack: RunningStack, vmid: int) -> str:
    return str(Root(stack, "pve2")("GET", f"/nodes/pve2/qemu/{vmid}/status/current")["status"])


def moving(stack: RunningStack) -> list[str]:
    """Moves of containers that have not ended: a task goes on when whoever asked for it is gone."""
    tasks = Root(stack, "pve1")("GET", "/cluster/tasks")
    return [str(task["upid"]) for task in tasks if task["type"] == "vzmigrate" and not task.get("endtime")]
