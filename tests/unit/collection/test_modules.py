# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each module against a script: which calls it makes, in which order, and how few when there is nothing to do."""

from __future__ import annotations

from typing import Any

import pytest

from .scripted import Step, delete, get, post, put, refused

NODES = get("/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve2", "status": "online"}])
STORAGES = [
    {"storage": "local", "type": "dir", "path": "/var/lib/vz", "content": "iso,backup", "prune-backups": "keep-all=1"},
    {"storage": "d1", "type": "dir", "path": "/d1", "content": "rootdir,images", "nodes": "pve2,pve1", "shared": 1},
]
D1 = {"storage": "d1", "type": "dir", "path": "/d1", "content": ["images", "rootdir"], "nodes": ["pve1", "pve2"]}
JOBS = [
    {"id": "104-0", "guest": 104, "jobnum": 0, "target": "pve2", "source": "pve1", "type": "local", "rate": 50},
    {
        "id": "104-1",
        "guest": 104,
        "jobnum": 1,
        "target": "pve3",
        "source": "pve1",
        "type": "local",
        "schedule": "02:00",
    },
]
RESOURCES = [{"sid": "vm:101", "state": "started", "type": "vm"}, {"sid": "vm:102", "type": "vm", "comment": "c"}]
RULES = [{"rule": "web", "type": "node-affinity", "nodes": "pve1:2,pve2", "resources": "vm:102,vm:101", "strict": 0}]
GUESTS = get(
    "/cluster/resources",
    [{"vmid": 101, "type": "qemu", "node": "pve1", "name": "web", "status": "running"}],
    type="vm",
)
CONFIG = {"name": "web", "memory": "2048", "cores": 2, "scsi0": "tank:vm-101-disk-0,size=4G", "tags": "a;b"}
UNCHANGED: dict[str, tuple[list[Step], dict[str, Any]]] = {
    "storages": ([get("/storage", STORAGES)], {"storages": [D1]}),
    "replication_jobs": (
        [get("/cluster/replication", JOBS)],
        {"jobs": [{"guest": 104, "target": "pve2", "rate": 50, "schedule": "*/15"}, {"guest": 104, "target": "pve3"}]},
    ),
    "ha_resources": (
        [get("/cluster/ha/resources", RESOURCES)],
        {"resources": [{"sid": "vm:101", "state": "enabled", "max_restart": 1}, {"sid": "vm:102", "failback": True}]},
    ),
    "ha_rules": (
        [get("/cluster/ha/rules", RULES)],
        {
            "rules": [
                {"name": "web", "nodes": {"pve1": 2, "pve2": 0}, "resources": ["vm:101", "vm:102"], "strict": False}
            ]
        },
    ),
    "cluster_options": (
        [
            get(
                "/cluster/options",
                {"ha": {"shutdown_policy": "migrate"}, "description": "x\n", "mac_prefix": "BC:24:11"},
            )
        ],
        {"options": {"ha": {"shutdown_policy": "migrate"}, "description": "x"}, "absent": ["bwlimit"]},
    ),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_nothing_to_change_is_one_read(run: Any, name: str) -> None:
    steps, parameters = UNCHANGED[name]
    result = run(name, steps, **parameters)
    assert (result["changed"], result["plan"], result["calls"]) == (False, [], 1), result


def test_a_thousand_objects_are_one_read(run: Any) -> None:
    many = [{"sid": f"vm:{vmid}", "state": "started", "type": "vm"} for vmid in range(1000, 2000)]
    wanted = [{"sid": each["sid"], "state": "started"} for each in many]
    assert run("ha_resources", [get("/cluster/ha/resources", many)], resources=wanted)["calls"] == 1


def test_a_storage_is_created_and_read_back(run: Any) -> None:
    steps = [
        get("/storage", STORAGES[:1]),
        NODES,
        post(
            "/storage",
            {"storage": "d1"},
            storage="d1",
            type="dir",
            path="/d1",
            content="images,rootdir",
            nodes="pve1,pve2",
        ),
        get("/storage", STORAGES),
    ]
    assert run("storages", steps, storages=[D1])["changed"]


def test_check_mode_only_reads(run: Any) -> None:
    result = run("storages", [get("/storage", []), NODES], check=True, storages=[{**D1, "nodes": ["pve1", "pve3"]}])
    assert result["changed"]
    assert result["unknown"] == ["storages[0] (d1): nodes: pve3 is not a member of the cluster yet"]


def test_an_unknown_node_is_an_error(run: Any) -> None:
    result = run("storages", [get("/storage", []), NODES], storages=[{**D1, "nodes": ["pve3"]}])
    assert result["msg"] == "storages[0] (d1): nodes: pve3 is not a member of the cluster. There are: pve1, pve2."


def test_a_storage_in_use_is_not_removed_by_the_way(run: Any) -> None:
    guests = [{"type": "qemu", "vmid": 101, "node": "pve1"}]
    steps = [
        get("/storage", STORAGES),
        get("/cluster/backup", [{"id": "daily", "storage": "d1"}]),
        NODES,
        get("/cluster/resources", guests, type="vm"),
        get("/nodes/pve1/storage/d1/content", [{"volid": "d1:101/x.raw", "content": "images", "vmid": 101}]),
        refused("GET", "/nodes/pve2/storage/d1/content", 500, "storage 'd1' is not available on node 'pve2'"),
    ]
    result = run("storages", steps, storages=[{"storage": "d1", "state": "absent"}])
    assert result["msg"] == (
        "storages[0] (d1): storage d1 is in use: guest 101, backup job daily. "
        "Move them elsewhere first, or say allow_removal_in_use: true."
    )


def test_a_pool_over_a_controllers_drives_is_refused(run: Any) -> None:
    disk = {"devpath": "/dev/sdb", "size": 1 << 40, "model": "PERC H730 Mini", "vendor": "DELL"}
    steps = [NODES, get("/nodes/pve1/disks/zfs", []), get("/nodes/pve1/disks/list", [disk], skipsmart=1)]
    pool = {"node": "pve1", "name": "tank", "raidlevel": "single", "devices": ["/dev/sdb"]}
    result = run("zfs_pools", steps, pools=[pool])
    assert "is behind a RAID controller, which hides failing disks from ZFS" in result["msg"]
    assert run("zfs_pools", steps, check=True, pools=[{**pool, "allow_raid_controller": True}])["changed"]


def test_only_what_differs_is_sent(run: Any) -> None:
    changed = {**STORAGES[1], "content": "images", "nodes": None}
    steps = [
        get("/storage", STORAGES),
        put("/storage/d1", None, content="images", delete="nodes"),
        get("/storage", [changed]),
    ]
    result = run("storages", steps, storages=[{**D1, "content": ["images"], "nodes": []}])
    assert result["diff"]["before"] == {"storage d1": {"content": ["images", "rootdir"], "nodes": ["pve1", "pve2"]}}


def test_a_value_that_the_server_drops_is_an_error(run: Any) -> None:
    steps = [get("/storage", STORAGES), put("/storage/d1", None, content="iso"), get("/storage", STORAGES)]
    result = run("storages", steps, storages=[{"storage": "d1", "content": ["iso"]}])
    assert result["failed"]
    assert result["changed"]
    assert (
        "storages[0] (d1): the server said yes, and content is ['images', 'rootdir'] instead of ['iso']"
        in result["msg"]
    )


def test_one_object_s_failure_leaves_the_others_done(run: Any) -> None:
    steps = [
        get("/storage", STORAGES),
        put("/storage/d1", None, content="iso"),
        refused("POST", "/storage", 500, "create storage failed: storage 'n' is not online"),
        post("/storage", {}, storage="o", type="dir", path="/o"),
    ]
    wanted = [
        {"storage": "d1", "content": ["iso"]},
        {"storage": "n", "type": "nfs", "server": "s", "export": "/e"},
        {"storage": "o", "type": "dir", "path": "/o"},
    ]
    result = run("storages", steps, storages=wanted)
    assert result["msg"].startswith("storages[1] (n): create storage failed: storage 'n' is not online (POST /storage")
    assert [change["object"] for change in result["done"]] == ["storage d1", "storage o"]
    assert [change["object"] for change in result["not_done"]] == ["storage n"]


def test_without_quorum_nothing_more_is_tried(run: Any) -> None:
    steps = [
        get("/storage", STORAGES),
        refused("DELETE", "/storage/d1", 500, "delete storage failed: cfs-lock 'file-storage_cfg' error: no quorum!"),
    ]
    wanted = [{"storage": "d1", "state": "absent"}, {"storage": "o", "type": "dir", "path": "/o"}]
    result = run("storages", steps, storages=wanted, allow_removal_in_use=True)
    assert "Nothing was changed" in result["msg"]
    assert "bring more of its nodes back" in result["msg"]


def test_a_job_gets_the_lowest_free_number(run: Any) -> None:
    after = [JOBS[1], {**JOBS[0], "schedule": "*/5"}]
    steps = [
        get("/cluster/replication", [JOBS[1]]),
        get("/cluster/resources", [{"vmid": 104}], type="vm"),
        NODES,
        post("/cluster/replication", None, id="104-0", type="local", target="pve2", schedule="*/5"),
        get("/cluster/replication", after),
    ]
    assert run("replication_jobs", steps, jobs=[{"guest": 104, "target": "pve2", "schedule": "*/5"}])["changed"]


def test_a_job_that_was_turned_round_is_still_the_one(run: Any) -> None:
    turned = [{**JOBS[0], "target": "pve1", "source": "pve2"}, {**JOBS[1], "source": "pve2"}]
    wanted = [{"guest": 104, "target": "pve2", "rate": 50}, {"guest": 104, "target": "pve3"}]
    assert not run(
        "replication_jobs", [get("/cluster/replication", turned)], jobs=wanted, purge=True, purge_limit="100%"
    )["changed"]


def test_a_job_that_is_leaving_is_gone_and_is_waited_for(run: Any) -> None:
    leaving = {**JOBS[0], "remove_job": "full"}
    assert not run(
        "replication_jobs",
        [get("/cluster/replication", [leaving])],
        jobs=[{"guest": 104, "target": "pve2", "state": "absent"}],
    )["changed"]
    steps = [
        get("/cluster/replication", [leaving]),
        get("/cluster/resources", [{"vmid": 104}], type="vm"),
        NODES,
        get("/cluster/replication", [leaving]),
        get("/cluster/replication", []),
        post("/cluster/replication", None, id="104-0", type="local", target="pve2"),
        get("/cluster/replication", [JOBS[0]]),
    ]
    assert run("replication_jobs", steps, jobs=[{"guest": 104, "target": "pve2"}])["changed"]


def service(sid: str, state: str, request: str = "started") -> dict[str, Any]:
    text = f"{sid} (pve1, {state})"
    return {
        "id": f"service:{sid}",
        "type": "service",
        "sid": sid,
        "node": "pve1",
        "status": text,
        "request_state": request,
    }


def current(*services: dict[str, Any]) -> Step:
    quorum = {"id": "quorum", "type": "quorum", "node": "pve1", "status": "OK", "quorate": 1}
    master = {"type": "master", "node": "pve1", "status": "pve1 (active, Sat Nov 21 19:53:51 2026)", "timestamp": 1}
    lrm = {"type": "lrm", "node": "pve1", "status": "pve1 (active, watchdog active, Sat Nov 21 19:53:54 2026)"}
    return get("/cluster/ha/status/current", [quorum, master, lrm, *services])


def test_a_copy_on_an_offline_node_is_not_waited_for(run: Any) -> None:
    jobs = [{**JOBS[0], "id": f"104-{number}", "guest": 104, "source": "pve1"} for number in (0, 1)]
    jobs[0]["target"], jobs[1]["target"] = "pve2", "pve3"
    states = [{**jobs[0], "last_sync": 1}, {**jobs[1], "last_sync": 0, "fail_count": 5, "error": "no route to host"}]
    steps = [
        get("/cluster/replication", jobs),
        get("/cluster/replication", jobs),
        get("/nodes/pve1/replication", states),
        get("/nodes", [{"node": name, "status": "online"} for name in ("pve1", "pve2")] + [AWAY]),
    ]
    wanted = [{"guest": 104, "target": name, "schedule": jobs[0].get("schedule")} for name in ("pve2", "pve3")]
    result = run("replication_jobs", steps, jobs=wanted, wait=True)
    assert not result.get("failed"), result
    assert result["warnings"] == ["replication job 104-1 is not waited for: pve3 is offline"]


AWAY = {"node": "pve3", "status": "offline"}


def test_a_resource_is_waited_for_until_the_text_says_so(run: Any) -> None:
    after = [{**RESOURCES[0], "state": "stopped"}]
    steps = [
        get("/cluster/ha/resources", RESOURCES),
        delete("/cluster/ha/resources/vm:102"),
        put("/cluster/ha/resources/vm:101", None, state="stopped"),
        get("/cluster/ha/resources", after),
        current(service("vm:101", "started"), service("vm:102", "deleting")),
        current(service("vm:101", "request_stop", "stopped")),
        current(service("vm:101", "stopped", "stopped")),
    ]
    assert run(
        "ha_resources", steps, resources=[{"sid": "vm:101", "state": "stopped"}], purge=True, purge_limit="100%"
    )["changed"]


def test_a_resource_in_error_ends_the_wait(run: Any) -> None:
    steps = [
        get("/cluster/ha/resources", []),
        get("/cluster/resources", [{"vmid": 101}], type="vm"),
        post("/cluster/ha/resources", None, sid="vm:101"),
        get("/cluster/ha/resources", RESOURCES),
        current(service("vm:101", "error")),
    ]
    assert "vm:101 went into the state error" in run("ha_resources", steps, resources=[{"sid": "vm:101"}])["msg"]


def test_a_server_with_groups_has_no_failback_on_resources(run: Any) -> None:
    steps = [
        get("/cluster/ha/resources", RESOURCES),
        refused("GET", "/cluster/ha/rules", 501, "Method 'GET /cluster/ha/rules' not implemented"),
    ]
    assert not run("ha_resources", steps, resources=[{"sid": "vm:101", "failback": False}])["changed"]


def test_rules_are_put_in_order_by_trying_again(run: Any) -> None:
    there = [
        {"rule": "a1", "type": "node-affinity", "nodes": "pve1", "resources": "vm:1"},
        {"rule": "b2", "type": "node-affinity", "nodes": "pve2", "resources": "vm:2"},
    ]
    after = [{**there[0], "resources": "vm:2"}, {**there[1], "resources": "vm:3"}]
    invalid = refused("PUT", "/cluster/ha/rules/a1", 500, "update ha rule failed: 400 Rule 'a1' is invalid.")
    steps = [
        get("/cluster/ha/rules", there),
        invalid,
        put("/cluster/ha/rules/b2", None, type="node-affinity", resources="vm:3"),
        put("/cluster/ha/rules/a1", None, type="node-affinity", resources="vm:2"),
        get("/cluster/ha/rules", after),
    ]
    wanted = [{"name": "a1", "resources": ["vm:2"]}, {"name": "b2", "resources": ["vm:3"]}]
    assert run("ha_rules", steps, rules=wanted, wait=False)["changed"]


def test_what_does_not_go_with_a_type_of_rule(run: Any) -> None:
    wanted = [{"name": "apart", "type": "resource-affinity", "nodes": {"pve1": 1}, "resources": ["vm:1", "vm:2"]}]
    assert run("ha_rules", [], rules=wanted)["msg"] == "rules[0] (apart): nodes does not go with type resource-affinity"


def test_a_server_without_rules_gets_groups(run: Any) -> None:
    group = {"group": "web", "nodes": "pve1:2,pve2", "type": "group", "nofailback": 1}
    no_rules = refused("GET", "/cluster/ha/rules", 501, "Method 'GET /cluster/ha/rules' not implemented")
    steps = [
        no_rules,
        get("/cluster/ha/groups", []),
        get("/cluster/ha/resources", RESOURCES),
        NODES,
        post("/cluster/ha/groups", None, group="web", nodes="pve1:2,pve2", nofailback=1),
        put("/cluster/ha/resources/vm:101", None, group="web"),
        get("/cluster/ha/groups", [group]),
        get("/cluster/ha/resources", [{**RESOURCES[0], "group": "web"}, RESOURCES[1]]),
    ]
    wanted = [{"name": "web", "nodes": {"pve1": 2, "pve2": 0}, "resources": ["vm:101"], "failback": False}]
    result = run("ha_rules", steps, rules=wanted, wait=False)
    assert (result["changed"], result["api"]) == (True, "groups")
    steps = [
        no_rules,
        get("/cluster/ha/groups", [group]),
        get("/cluster/ha/resources", [{**RESOURCES[0], "group": "web"}]),
        put("/cluster/ha/resources/vm:101", None, delete="group"),
        delete("/cluster/ha/groups/web"),
        get("/cluster/ha/groups", []),
        get("/cluster/ha/resources", RESOURCES),
    ]
    assert run("ha_rules", steps, rules=[], purge=True, purge_limit="100%", wait=False)["changed"]
    apart = [{"name": "x1", "type": "resource-affinity", "affinity": "negative", "resources": ["vm:1", "vm:2"]}]
    assert "know no resource affinity" in run("ha_rules", [no_rules], rules=apart)["msg"]


def test_options_are_merged_with_what_is_set(run: Any) -> None:
    before = {"crs": {"ha": "static", "ha-rebalance-on-start": 1}, "registered-tags": ["a"], "bwlimit": "move=5"}
    after = {"crs": {"ha": "static"}, "registered-tags": ["a", "b"]}
    steps = [
        get("/cluster/options", before),
        put("/cluster/options", None, crs="ha=static", **{"registered-tags": "a;b", "delete": "bwlimit"}),
        get("/cluster/options", after),
    ]
    options = {"crs": {"ha_rebalance_on_start": None}, "registered_tags": ["b", "a"], "keyboard": None}
    assert run("cluster_options", steps, options=options, absent=["bwlimit"])["options"]["crs"] == {"ha": "static"}


def zfs(node: str, *pools: str) -> Step:
    return get(f"/nodes/{node}/disks/zfs", [{"name": pool, "health": "ONLINE"} for pool in pools])


def test_a_pool_on_every_node_with_one_storage(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upid = "UPID:pve2:00001A00:005725B2:6B021A1B:zfscreate:tank:root@pam:"
    disks = [{"devpath": f"/dev/sd{letter}", "size": 1, "model": "A"} for letter in "bcd"]
    wanted = [
        {"node": "*", "name": "tank", "raidlevel": "mirror", "devices": {"model": "A", "count": 2}, "storage": True}
    ]
    entry = {"storage": "tank", "type": "zfspool", "pool": "tank", "nodes": "pve1"}
    steps = [
        NODES,
        zfs("pve1", "tank"),
        zfs("pve2"),
        get("/nodes/pve2/disks/list", disks, skipsmart=1),
        get("/storage", [entry]),
        post("/nodes/pve2/disks/zfs", upid, name="tank", raidlevel="mirror", devices="/dev/sdb,/dev/sdc"),
        get(f"/nodes/pve2/tasks/{upid}/status", {"status": "stopped", "exitstatus": "OK"}),
        put("/storage/tank", None, nodes="pve1,pve2"),
        zfs("pve1", "tank"),
        zfs("pve2", "tank"),
        get("/storage", [{**entry, "nodes": "pve2,pve1"}]),
    ]
    monkeypatch.setattr(
        "ansible_collections.quorate.pve.plugins.module_utils._zfs.side_by_side",
        lambda work, things: [work(thing) for thing in things],
    )
    assert run("zfs_pools", steps, pools=wanted)["changed"]


def test_pools_are_not_destroyed_by_the_way(run: Any) -> None:
    result = run("zfs_pools", [], pools=[{"node": "pve1", "name": "tank", "state": "absent"}])
    assert result["msg"].startswith("pools[0] (tank on pve1): removing a pool destroys its data")


def test_an_unchanged_guest_is_a_list_and_its_configuration(run: Any) -> None:
    steps = [
        GUESTS,
        get("/nodes/pve1/qemu/101/config", CONFIG),
        get("/nodes/pve1/qemu", [{"vmid": 101, "status": "running"}]),
    ]
    wanted = [
        {"vmid": 101, "node": "pve2", "memory": 2048, "disks": {"scsi0": "tank:4"}, "tags": ["b", "a"], "started": True}
    ]
    assert not run("guests", steps, guests=wanted)["changed"]


def test_a_guest_on_an_offline_node_is_left_as_it_is(run: Any) -> None:
    there = [
        {"vmid": 101, "type": "qemu", "node": "pve1", "status": "running"},
        {"vmid": 103, "type": "qemu", "node": "pve3", "status": "unknown"},
    ]
    steps = [
        get("/cluster/resources", there, type="vm"),
        get("/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve3", "status": "offline"}]),
        get("/nodes/pve1/qemu/101/config", CONFIG),
    ]
    wanted = [{"vmid": 101, "memory": 2048}, {"vmid": 103, "memory": 4096, "started": True}]
    result = run("guests", steps, guests=wanted)
    assert not result["changed"], result
    assert "guests[1] (103): it is on pve3, which is offline, and is left as it is" in result["warnings"]


def test_a_guest_is_changed_where_it_is(run: Any) -> None:
    grown = {**CONFIG, "memory": "4096", "scsi0": "tank:vm-101-disk-0,size=5G"}
    steps = [
        GUESTS,
        get("/nodes/pve1/qemu/101/config", CONFIG),
        put("/nodes/pve1/qemu/101/config", None, memory=4096),
        put("/nodes/pve1/qemu/101/resize", None, disk="scsi0", size="5G"),
        GUESTS,
        get("/nodes/pve1/qemu/101/config", grown),
    ]
    assert run("guests", steps, guests=[{"vmid": 101, "memory": 4096, "disks": {"scsi0": "tank:5"}}])["changed"]


def test_ha_is_left_in_charge_of_its_guests(run: Any) -> None:
    managed = get(
        "/cluster/resources", [{"vmid": 101, "type": "qemu", "node": "pve1", "hastate": "started"}], type="vm"
    )
    steps = [
        managed,
        get("/nodes/pve1/qemu/101/config", CONFIG),
        get("/nodes/pve1/qemu", [{"vmid": 101, "status": "running"}]),
    ]
    result = run("guests", steps, guests=[{"vmid": 101, "started": False}])
    assert not result["changed"]
    assert result["warnings"] == ["guests[0] (101): left to HA to stop"]


def test_guests_are_not_destroyed_by_the_way(run: Any) -> None:
    assert "Say destroy: true" in run("guests", [], guests=[{"vmid": 101, "state": "absent"}])["msg"]


def test_ha_comes_to_rest(run: Any) -> None:
    steps = [
        current(service("vm:101", "starting")),
        current(service("vm:101", "started")),
        get("/cluster/ha/status/manager_status", {"manager_status": {"node_status": {"pve1": "online"}}}),
    ]
    result = run("ha_info", steps, wait_for_rest=True)
    assert result["rest"]
    assert result["nodes"] == [{"node": "pve1", "lrm": "active", "state": "online"}]
    assert result["master"]["state"] == "active"
