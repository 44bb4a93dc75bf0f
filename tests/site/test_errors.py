# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops a run before its first change, and says so in words one can act on."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WRONG_FINGERPRINT = ":".join(["AB"] * 32)

# What is wrong → the variables that make it so, and the words that must be said in this order
WRONG_VARIABLES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "password": ({"pve_api_password": "wrong"}, ["pve1: ", "authentication failure", "pve_api_password"]),
    "fingerprint": ({"pve_fingerprint": WRONG_FINGERPRINT}, ["pve1: ", "fingerprint", "pve_fingerprint"]),
    "type of a variable": ({"pve_links": 7}, ["pve_links", "list"]),
    "type of a later role's variable": ({"pve_guests": "six"}, ["pve_guests: must be a list, is text"]),
    "type of a field": ({"pve_guests": [{"vmid": "x1", "node": "pve1"}]}, ["pve_guests[0]", "vmid", "int"]),
    "name of a field": ({"pve_guests": [{"vmid": 101, "memroy": 5}]}, ["pve_guests[0]", "memroy"]),
    "value of a field": ({"pve_ha_resources": [{"sid": "vm:1", "state": "on"}]}, ["pve_ha_resources[0]", "started"]),
    "no address": ({"pve_address": None}, ["pve_address"]),
    "one address twice": ({"pve_address": "127.0.0.1"}, ["pve1 and pve2 and pve3", "pve_address", "127.0.0.1"]),
    "one node name twice": ({"pve_node": "pve1"}, ["pve1 and pve2 and pve3", "node name", "pve1"]),
    "cluster name": ({"pve_cluster_name": "ha_lab"}, ["pve_cluster_name (ha_lab)", "hyphens"]),
    "unknown node": (
        {"pve_guests": [{"vmid": 101, "node": "pve9"}]},
        ["pve_guests[0] (101)", "pve9", "pve1, pve2, pve3"],
    ),
    "one guest twice": ({"pve_guests": [{"vmid": 101}, {"vmid": 101}]}, ["pve_guests[1] (101)", "pve_guests[0]"]),
    "disk in use": (
        {"pve_zfs_pools": [{"node": "pve2", "name": "tank", "raidlevel": "single", "devices": ["/dev/sda"]}]},
        ["pve_zfs_pools[0] (tank): /dev/sda on pve2 is in use"],
    ),
    "OSD on a disk in use": (
        {"pve_ceph_osds": [{"node": "pve3", "devices": ["/dev/sda"]}]},
        ["pve_ceph_osds[0] (pve3): /dev/sda on pve3 is in use"],
    ),
    "an even number of monitors": (
        {"pve_ceph_monitors": ["pve1", "pve2"]},
        ["pve_ceph_monitors: 2 monitors are an even number"],
    ),
    "a pool that one disk can harm": (
        {"pve_ceph_pools": [{"name": "vm", "size": 2, "min_size": 1}]},
        ["pve_ceph_pools[0] (vm): size 2 with min_size 1 means that one failed disk can lose", "allow_data_loss"],
    ),
    "a pool of one copy": (
        {"pve_ceph_pools": [{"name": "vm", "size": 1}]},
        ["pve_ceph_pools[0] (vm): size 1 keeps a single copy"],
    ),
    "too few disks": (
        {
            "pve_zfs_pools": [
                {"node": "*", "name": "tank", "raidlevel": "mirror", "devices": {"model": "NONE", "count": 2}}
            ]
        },
        ["pve_zfs_pools[0] (tank): pve1 has 0 unused disks of the 2 wanted"],
    ),
}


@pytest.mark.parametrize("what", WRONG_VARIABLES)
def test_wrong_variable(module_lab, what: str) -> None:
    variables, words = WRONG_VARIABLES[what]
    before = module_lab.files()
    run = module_lab.site(**variables)
    assert run.status != 0
    assert run.changed == 0
    assert run.says(*words), run.output
    assert module_lab.files() == before


def test_node_with_guests(module_lab) -> None:
    lab = module_lab
    lab.task("pve2", "POST", "/nodes/pve2/qemu", vmid=900, name="old")
    before = lab.files()
    try:
        run = lab.site()
        assert run.status != 0
        assert run.changed == 0
        assert run.says("pve2", "900"), run.output
        assert lab.files() == before
    finally:
        lab.task("pve2", "DELETE", "/nodes/pve2/qemu/900")


def inventory(tmp_path: Path, text: str) -> str:
    """A copy of the lab's inventory with other hosts."""
    copy = tmp_path / "lab"
    shutil.copytree(ROOT / "inventory/lab", copy)
    (copy / "hosts.yml").write_text(text, encoding="utf-8")
    return str(copy / "hosts.yml")


def test_what_is_between_the_nodes(module_lab) -> None:
    """Found, named, and in the way before the first change; nothing of it is after it was weighed otherwise."""
    lab = module_lab
    faults = [("network", "ring1", "latency=4ms"), ("link", "pve2", "mgmt", "mtu=1400"), ("clock", "pve3", "-30s")]
    before = lab.files()
    try:
        for fault in faults:
            assert lab.agentstack("fault", *fault).returncode == 0
        run = lab.site()
        assert run.status != 0
        assert run.changed == 0
        for words in (
            ("error", "latency", "from pve1 to pve2 (link 1)"),
            ("error", "mtu", "do not pass from pve1 to pve2 (link 0)"),
            ("error", "clock", "the clocks of pve1 and pve3"),
        ):
            assert run.says(*words), run.output
        assert lab.files() == before
        weighed = {"latency": "warning", "mtu": "warning", "clock": "warning"}
        run = lab.site("--check", "--tags", "preflight", pve_preflight_severity=weighed)
        assert run.status == 0, run.output
        assert run.says("warning", "latency"), run.output
    finally:
        lab.agentstack("fault", "clear")


def test_two_hosts_of_one_name_in_the_file(module_lab, tmp_path: Path) -> None:
    text = (ROOT / "inventory/lab/hosts.yml").read_text(encoding="utf-8").replace("pve3:", "pve2:")
    before = module_lab.files()
    run = module_lab.playbook("-i", inventory(tmp_path, text), "site.yml")
    assert run.status != 0
    assert run.says("duplicate", "pve2"), run.output
    assert module_lab.files() == before


def test_two_hosts_of_one_short_name(module_lab, tmp_path: Path) -> None:
    hosts = yaml.safe_load((ROOT / "inventory/lab/hosts.yml").read_text(encoding="utf-8"))
    group = hosts["pve"]["children"]["ha_lab"]["hosts"]
    group["pve2.example.net"] = group.pop("pve3")
    run = module_lab.playbook(
        *("-i", inventory(tmp_path, yaml.safe_dump(hosts)), "site.yml"),
        *("-e", "pve_fingerprint=null", "-e", "pve_ssh_host_key=null"),
    )
    assert run.status != 0
    assert run.says("pve2 and pve2.example.net", "node name", "pve2"), run.output


def test_port_taken(lab) -> None:
    with socket.socket() as other:
        lab.net = str(free_net())
        lab.environment["QUORATE_LAB_NET"] = lab.net
        other.bind((f"127.{lab.net}.0.12", 8006))
        other.listen()
        run = lab.site()
    assert run.status != 0
    assert run.says("pve2", f"127.{lab.net}.0.12", "8006", "taken"), run.output
    assert not (lab.directory / "stack.json").exists()


def free_net() -> int:
    """A network number that no stack has, from the upper end; stacks choose from the lower."""
    for net in range(126, 63, -1):
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0agentstack.net.{net}")
            except OSError:
                continue
            return net
    raise AssertionError("every network has a stack")


def test_node_in_another_cluster(module_lab) -> None:
    """The last one in this file: pve3 stays in that cluster."""
    lab = module_lab
    made = lab.playbook(str(Path(__file__).parent / "other_cluster.yml"))
    assert made.status == 0, made.output
    before = lab.files()
    run = lab.site()
    assert run.status != 0
    assert run.changed == 0
    assert run.says("pve3", "elsewhere"), run.output
    assert lab.files() == before
