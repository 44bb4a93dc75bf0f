# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules about disks and Ceph: how few calls when nothing is to change, and what is refused before any write."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _ceph_lost_node
from ansible_collections.quorate.pve.plugins.module_utils._ceph_lost_node import without_monitors

from .scripted import Step, get

NODES = get("/nodes", [{"node": name, "status": "online"} for name in ("pve1", "pve2", "pve3")])
ONE_OFF = get("/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve3", "status": "offline"}])
HERE = "/nodes/localhost/ceph"
OSDS = {"pve1": 0, "pve2": 1, "pve3": 2}
TREE = {
    "root": {
        "children": [
            {
                **{"id": -1 - number, "type": "host", "name": name},
                "children": [
                    {"id": number, "type": "osd", "name": f"osd.{number}", "host": name, "status": "up", "in": 1}
                ],
            }
            for name, number in OSDS.items()
        ]
    }
}
DOWN = {
    "root": {
        "children": [
            {
                **{"id": -4, "type": "host", "name": "pve3"},
                "children": [{"id": 2, "type": "osd", "name": "osd.2", "host": "pve3", "status": "down", "in": 0}],
            }
        ]
    }
}
MONITORS = [{"name": name, "host": name, "state": "running", "quorum": 1, "rank": rank, "addr": f"10.0.0.{rank}:6789/0"}
            for rank, name in enumerate(OSDS)]  # fmt: skip
MANAGERS = [{"name": "pve1", "host": "pve1", "state": "active"}]
POOL = {"pool_name": "vm", "size": 3, "min_size": 2, "pg_num": 32, "crush_rule_name": "replicated_rule",
        "pg_autoscale_mode": "warn", "application_metadata": {"rbd": {}}, "bytes_used": 1}  # fmt: skip
CRUSH = "\n".join(
    [
        *(f"device {number} osd.{number} class nvme" for number in OSDS.values()),
        *("type 0 osd", "type 1 host", "type 8 datacenter", "type 11 root"),
        *(f"host {name} {{\n\tid -{number + 2}\n\titem osd.{number} weight 1.0\n}}" for name, number in OSDS.items()),
        "root default {\n\tid -1",
        *(f"\titem {name} weight 1.0" for name in OSDS),
        "}",
        "rule replicated_rule {\n\tid 0\n\ttype replicated\n\tstep take default",
        "\tstep chooseleaf firstn 0 type host\n\tstep emit\n}",
    ]
)
FREE = {"devpath": "/dev/sdb", "size": 1 << 40, "model": "SSD", "vendor": "ATA", "osdid": -1}
SIGNED = {**FREE, "used": "LVM"}
CONTROLLER = {**FREE, "model": "PERC H730 Mini", "vendor": "DELL"}
WITH_OSD = [{**FREE, "osdid": number, "used": "LVM"} for number in OSDS.values()]
OPTIONS: dict[str, Any] = {"nodes": [{"node": "pve1", "address": "192.0.2.11"}]}


def disks(name: str, *found: dict[str, Any]) -> Step:
    return get(f"/nodes/{name}/disks/list", list(found), skipsmart=1)


def at_work(*upids: str) -> Step:
    """The OSDs that are being made on pve1."""
    tasks = [{"upid": upid, "type": "cephcreateosd"} for upid in upids]
    return get("/nodes/pve1/tasks", tasks, source="active", typefilter="cephcreateosd")


OSD_LISTS = [disks(name, WITH_OSD[number]) for name, number in OSDS.items()]
UNCHANGED: dict[str, tuple[list[Step], dict[str, Any]]] = {
    "zfs_pools": (
        [NODES, get("/nodes/pve1/disks/zfs", [{"name": "tank", "health": "ONLINE"}])],
        {"pools": [{"node": "pve1", "name": "tank", "raidlevel": "mirror", "devices": ["/dev/sdb", "/dev/sdc"]}]},
    ),
    "ceph_config": (
        [get(f"{HERE}/cfg/raw", "[global]\n\tfsid = f\n\tpublic_network = 10.0.0.0/24\n")],
        {"network": "10.0.0.0/24"},
    ),
    "ceph_monitors": ([NODES, get(f"{HERE}/mon", MONITORS)], {"monitors": [{"node": name} for name in OSDS]}),
    "ceph_managers": ([NODES, get(f"{HERE}/mgr", MANAGERS)], {"managers": [{"node": "pve1"}]}),
    "ceph_crush": (
        [get(f"{HERE}/crush", CRUSH)],
        {**OPTIONS, "buckets": [{"name": "pve1", "type": "host", "location": {"root": "default"}}]},
    ),
    "ceph_osds": ([NODES, *OSD_LISTS], {"osds": [{"node": "*", "devices": {"model": "SSD"}}]}),
    "ceph_flags": (
        [get("/cluster/ceph/flags", [{"name": "noout", "value": 1}])],
        {"flags": {"noout": True, "noin": False}},
    ),
    "ceph_pools": ([get(f"{HERE}/pool", [POOL])], {"pools": [{"name": "vm", "size": 3, "min_size": 2, "pg_num": 32}]}),
    "ceph_lost_node": ([get(f"{HERE}/osd", TREE), get(f"{HERE}/mon", MONITORS)], {**OPTIONS, "node": "pve9"}),
    "ceph_info": ([get("/cluster/ceph/status", {"health": {"status": "HEALTH_OK", "checks": {}}})], {}),
}


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script knows one order only."""
    for module in ("_zfs", "_ceph_osds"):
        name = f"ansible_collections.quorate.pve.plugins.module_utils.{module}.side_by_side"
        monkeypatch.setattr(name, lambda work, things: [work(thing) for thing in things])


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ceph knows of no key, over SSH (see test_ceph_lost_node)."""
    console = SimpleNamespace(run=lambda words: '{"auth_dump": []}')
    monkeypatch.setattr(_ceph_lost_node, "on_a_node", lambda *given: nullcontext(console))


@pytest.mark.parametrize("name", UNCHANGED)
def test_nothing_to_change_is_a_list_a_collection_and_node(run: Any, name: str) -> None:
    steps, parameters = UNCHANGED[name]
    result = run(name, steps, **parameters)
    assert (result["changed"], result.get("plan", []), result["calls"]) == (False, [], len(steps)), result


def health(**checks: str) -> Step:
    shown = {code: {"severity": "HEALTH_WARN", "summary": {"message": text}} for code, text in checks.items()}
    return get("/cluster/ceph/status", {"health": {"status": "HEALTH_WARN", "checks": shown}})


def test_what_a_dead_node_raises_is_not_waited_for_if_that_is_said(run: Any) -> None:
    nodes = get("/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve3", "status": "offline"}])
    raised = health(MON_DOWN="1/3 mons down", OSD_HOST_DOWN="1 host down", PG_DEGRADED="degraded")
    waits = {"wait_for_health": True, "tolerate_offline": True}
    result = run("ceph_info", [raised, nodes, raised], **waits)
    assert not result["healthy"]
    assert "pve3 is offline, so that this is not waited for: MON_DOWN: 1/3 mons down" in result["warnings"][0]
    # data that nobody can reach is something else
    lost = health(OSD_DOWN="3 osds down", PG_AVAILABILITY="inactive")
    assert "PG_AVAILABILITY: inactive" in run("ceph_info", [lost, nodes, lost], **waits, timeout=0)["msg"]


@dataclass(frozen=True)
class Rule:
    """What is refused after these reads, in which words, and what allows it (nothing: never)."""

    module: str
    reads: list[Step]
    parameters: dict[str, Any]
    words: str
    switch: str = ""


def pool(**settings: Any) -> dict[str, Any]:
    return {"pools": [{"name": "new", **settings}]}


ZFS = [NODES, get("/nodes/pve1/disks/zfs", [])]
TANK = {"node": "pve1", "name": "tank", "raidlevel": "single", "devices": ["/dev/sdb"]}
OSD = {"node": "pve1", "devices": ["/dev/sdb"]}
LOST = [get(f"{HERE}/osd", DOWN), get(f"{HERE}/mon", MONITORS), ONE_OFF]
REFUSED = {
    "size 1": Rule("ceph_pools", [], pool(size=1), "a single copy", "allow_data_loss: true"),
    "min_size 1": Rule("ceph_pools", [], pool(size=3, min_size=1), "lose acknowledged", "allow_data_loss: true"),
    "size no greater than min_size": Rule(
        "ceph_pools", [], pool(size=2, min_size=2), "stops all writing|stops all writes", "allow_data_loss: true"
    ),
    "more copies than hosts": Rule(
        "ceph_pools",
        [get(f"{HERE}/pool", []), get(f"{HERE}/crush", CRUSH)],
        pool(size=4, min_size=2),
        "size 4 needs 4 hosts with OSDs, there are 3",
        "allow_undersized: true",
    ),
    "removal of a pool": Rule("ceph_pools", [], pool(state="absent"), "destroys all data", "destroy: true"),
    "an even number of monitors": Rule(
        "ceph_monitors",
        [NODES, get(f"{HERE}/mon", MONITORS[:1])],
        {"monitors": [{"node": "pve1"}, {"node": "pve2"}]},
        "even number",
        "allow_even: true",
    ),
    "the last monitor": Rule(
        "ceph_monitors",
        [get(f"{HERE}/mon", MONITORS[:1])],
        {"monitors": [{"node": "pve1", "state": "absent"}]},
        "remove the last monitor",
    ),
    "the last manager": Rule(
        "ceph_managers",
        [get(f"{HERE}/mgr", MANAGERS)],
        {"managers": [{"node": "pve1", "state": "absent"}]},
        "remove the last manager",
    ),
    "two sites without a third": Rule(
        "ceph_stretch",
        [],
        {**OPTIONS, "monitors": {"pve1": "a", "pve2": "b", "pve3": "b"}, "tiebreaker": "pve3", "rule": "stretch"},
        "without that place there is no majority.* Put a monitor in a third place",
    ),
    "an OSD whose copies have no other place": Rule(
        "ceph_osds",
        [get(f"{HERE}/osd", TREE), NODES, get(f"{HERE}/crush", CRUSH), get(f"{HERE}/pool", [POOL])],
        {"osds": [{"node": "pve3", "id": 2, "state": "absent"}]},
        "pool vm: without the OSDs to be removed, size 3 needs 3 hosts",
        "allow_undersized: true",
    ),
    "an OSD over a signature": Rule(
        "ceph_osds", [NODES, disks("pve1", SIGNED), at_work()], {"osds": [OSD]}, "in use .LVM."
    ),
    "an OSD behind a controller": Rule(
        "ceph_osds",
        [NODES, disks("pve1", CONTROLLER), at_work()],
        {"osds": [OSD]},
        "RAID",
        "allow_raid_controller: true",
    ),
    "OSDs that move with data": Rule(
        "ceph_crush",
        [get(f"{HERE}/crush", CRUSH), get(f"{HERE}/pool", [POOL])],
        {
            **OPTIONS,
            "buckets": [
                {"name": "dc1", "type": "datacenter", "location": {"root": "default"}},
                {"name": "pve1", "type": "host", "location": {"datacenter": "dc1"}},
            ],
        },
        "moves the data on them",
        "allow_data_movement: true",
    ),
    "a ZFS pool over a signature": Rule(
        "zfs_pools", [*ZFS, disks("pve1", SIGNED)], {"pools": [TANK]}, "in use .LVM.* wipe the disks yourself"
    ),
    "a ZFS pool behind a controller": Rule(
        "zfs_pools", [*ZFS, disks("pve1", CONTROLLER)], {"pools": [TANK]}, "RAID", "allow_raid_controller: true"
    ),
    "removal of a ZFS pool": Rule(
        "zfs_pools", [], {"pools": [{**TANK, "state": "absent"}]}, "destroys its data", "destroy: true"
    ),
    "purge of a storage in use": Rule(
        "storages",
        [
            get("/storage", [{"storage": "d1", "type": "dir", "path": "/d1"}]),
            get("/cluster/backup", []),
            NODES,
            get("/cluster/resources", [{"type": "qemu", "vmid": 101, "node": "pve1"}], type="vm"),
            *(
                get(f"/nodes/{name}/storage/d1/content", [{"volid": "d1:101/x.raw", "content": "images", "vmid": 101}])
                for name in OSDS
            ),
        ],
        {"storages": [], "purge": True},
        "storage d1 is in use: guest 101",
        "allow_removal_in_use: true",
    ),
    "what a lost node had": Rule(
        "ceph_lost_node",
        [*LOST, get("/cluster/ceph/status", {"pgmap": {"pgs_by_state": []}, "monmap": {"mons": MONITORS}})],
        {**OPTIONS, "node": "pve3"},
        "forgets every copy of data that is on the node",
        "lost: true",
    ),
    "what may be the last copy": Rule(
        "ceph_lost_node",
        [
            *LOST,
            get(
                "/cluster/ceph/status",
                {
                    "monmap": {"mons": MONITORS},
                    "pgmap": {
                        "pgs_by_state": [
                            {"state_name": "active+clean", "count": 8},
                            {"state_name": "undersized+degraded+peered", "count": 3},
                        ]
                    },
                },
            ),
        ],
        {**OPTIONS, "node": "pve3", "lost": True},
        "3 placement groups are not active: pve3 may have the last copy",
    ),
    "what is on a node that is on": Rule(
        "ceph_lost_node",
        [get(f"{HERE}/osd", TREE), get(f"{HERE}/mon", MONITORS), NODES,
         get("/cluster/ceph/status", {"pgmap": {"pgs_by_state": []}, "monmap": {"mons": MONITORS}})],
        {**OPTIONS, "node": "pve3", "lost": True},
        "pve3 is on",
    ),
}  # fmt: skip


@pytest.mark.parametrize("check", [False, True], ids=["for real", "in check mode"])
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_before_any_write(run: Any, name: str, check: bool) -> None:
    """A script of reads fails the test with the first write."""
    rule = REFUSED[name]
    result = run(rule.module, rule.reads, check=check, **rule.parameters)
    assert result["failed"]
    assert not result["changed"]
    assert re.search(rule.words, result["msg"], re.DOTALL), result["msg"]
    assert rule.switch in result["msg"], result["msg"]


def test_a_lost_disk_s_osd_is_removed_only_when_asked(run: Any) -> None:
    there = [NODES, disks("pve3", FREE)]
    wanted = {"osds": [{"node": "pve3", "devices": ["/dev/sdb"]}]}
    silent = run("ceph_osds", [*there, get(f"{HERE}/osd", DOWN)], check=True, **wanted)
    assert [change["object"] for change in silent["plan"]] == ["OSD on /dev/sdb of pve3"]
    reads = [
        *(*there, get(f"{HERE}/osd", DOWN), get(f"{HERE}/osd", DOWN)),
        *(get(f"{HERE}/crush", CRUSH), get(f"{HERE}/pool", [POOL]), get(f"{HERE}/osd", DOWN)),
    ]
    asked = run("ceph_osds", reads, check=True, replace_lost=True, **wanted)
    assert [change["object"] for change in asked["plan"]] == ["OSD on /dev/sdb of pve3", "OSD osd.2 of pve3"]


def test_an_osd_gives_way_to_another_once(run: Any) -> None:
    wanted = {"osds": [{"node": "pve3", "devices": ["/dev/sdb"], "replaces": 2}]}
    reads = [
        *(NODES, disks("pve3", FREE), get(f"{HERE}/osd", DOWN), get(f"{HERE}/osd", DOWN)),
        *(get(f"{HERE}/crush", CRUSH), get(f"{HERE}/pool", [POOL]), get(f"{HERE}/osd", DOWN)),
    ]
    planned = run("ceph_osds", reads, check=True, **wanted)
    assert [change["object"] for change in planned["plan"]] == ["OSD on /dev/sdb of pve3", "OSD osd.2 of pve3"]
    # Ceph has given the number that was free again to the OSD on the new disk
    taken = [NODES, disks("pve3", {**FREE, "osdid": 2, "used": "LVM"}), get(f"{HERE}/osd", DOWN)]
    assert not run("ceph_osds", taken, **wanted)["changed"]
    mistaken = {"osds": [{**wanted["osds"][0], "replaces": 9}]}
    result = run("ceph_osds", [NODES, disks("pve3", FREE), get(f"{HERE}/osd", DOWN)], check=True, **mistaken)
    assert result["msg"].startswith("osds[0] (pve3): there is no osd.9 to be replaced"), result["msg"]


def test_a_monitor_that_does_not_run_is_made_anew_when_asked(run: Any) -> None:
    dead = [*MONITORS[:2], {**MONITORS[2], "state": "stopped", "quorum": None}]
    wanted = {"monitors": [{"node": name} for name in OSDS]}
    steps = [NODES, get(f"{HERE}/mon", dead)]
    assert not run("ceph_monitors", steps, check=True, **wanted)["changed"]
    assert run("ceph_monitors", steps, check=True, replace_lost=True, **wanted)["plan"] == [
        {"action": "update", "object": "monitor pve3", "fields": {"state": {"before": "stopped", "after": "made anew"}}}
    ]


CONF = """# by hand
[global]
\tfsid = f
\tmon_host = 10.0.0.1 10.0.0.2 10.0.0.3

[client]
\tkeyring = k

[mon.pve2]
\tpublic_addr = 10.0.0.2

[mon.pve3]
\tpublic_addr = 10.0.0.3

[osd]
\tx = 1
"""


def test_a_monitor_leaves_nothing_in_the_configuration() -> None:
    left = without_monitors(CONF, {"pve3": "10.0.0.3"})
    assert left == CONF.replace(" 10.0.0.3\n\n[client]", "\n\n[client]").replace(
        "[mon.pve3]\n\tpublic_addr = 10.0.0.3\n\n", ""
    )
    assert without_monitors(left, {"pve3": "10.0.0.3"}) == left


@pytest.mark.parametrize("seen", [SIGNED, FREE])
def test_an_osd_that_is_being_made_is_waited_for(run: Any, seen: dict[str, Any]) -> None:
    """A run that was killed left its task behind."""
    upid = "UPID:pve1:00001A00:005725B2:6B021A1B:cephcreateosd:sdb:root@pam:"
    ended = get(f"/nodes/pve1/tasks/{upid}/status", {"status": "stopped", "exitstatus": "OK"})
    reads = [NODES, disks("pve1", seen), at_work(upid), ended, disks("pve1", {**SIGNED, "osdid": 0})]
    assert run("ceph_osds", reads, osds=[OSD])["changed"] is False
