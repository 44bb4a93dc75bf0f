# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of every module about storage that finds nothing to change, on a big cluster: seconds, and calls to the API."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import yaml

from ..modules import Modules
from .bench_api import stack
from .report import Report

FIRST_GUEST = 100
DISKS = 6
TARGETS = 10
ROUNDS = 3
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How big the cluster is. Each guest has jobs to as many nodes as `targets` says."""

    nodes: int
    pools: int
    guests: int
    targets: int

    @property
    def names(self) -> list[str]:
        return [f"pve{number}" for number in range(1, self.nodes + 1)]

    @property
    def vmids(self) -> range:
        return range(FIRST_GUEST, FIRST_GUEST + self.guests)

    def home(self, vmid: int) -> int:
        """The place of a guest's node among the names."""
        return vmid % self.nodes


def definition(size: Size) -> dict[str, Any]:
    """The stack file: disks for the system, for ZFS and for Ceph."""
    disks = [{"size": "8G"}, {"size": "64G", "model": "SSD-A"}, {"size": "64G", "type": "nvme", "count": DISKS}]
    hosts = {name: {"disks": disks, "site": f"room{number % 2}"} for number, name in enumerate(size.names)}
    return {"name": "bench", "scale": 20, "hosts": hosts, "start": {"clustered": {"name": "bench"}}}


def inventory(size: Size, network: str, shells: list[Parameters]) -> list[tuple[str, Parameters]]:
    """What there is to be, module by module, in the order of the roles."""
    ssh: Parameters = {"ssh_port": 2222}
    names = size.names
    monitors = names[: min(5, len(names) - 1 + len(names) % 2)]
    rooms = [{"name": f"room{n}", "type": "room", "location": {"root": "default"}} for n in (0, 1)]
    places = [
        {"name": name, "type": "host", "location": {"room": f"room{number % 2}"}} for number, name in enumerate(names)
    ]
    pools = [{"name": f"pool{n}", "pg_num": 8, "storage": True, "pg_autoscale_mode": "off"} for n in range(size.pools)]
    guests = [
        {"vmid": vmid, "node": names[size.home(vmid)], "memory": 64, "disks": {"scsi0": "tank:1"}}
        for vmid in size.vmids
    ]
    jobs = [
        {"guest": vmid, "target": names[(size.home(vmid) + step) % size.nodes], "schedule": "*/30", "disable": True}
        for vmid in size.vmids
        for step in range(1, size.targets + 1)
    ]
    tank = {"node": "*", "name": "tank", "raidlevel": "single", "devices": {"model": "SSD-A"}, "storage": True}
    return [
        ("zfs_pools", {"pools": [tank]}),
        ("ceph_install", {**ssh, "nodes": shells, "release": "squid", "repository": "no-subscription"}),
        ("ceph_config", {"network": network}),
        ("ceph_monitors", {"monitors": [{"node": name} for name in monitors]}),
        ("ceph_managers", {"managers": [{"node": name} for name in names[:2]]}),
        ("ceph_crush", {**ssh, "nodes": shells, "buckets": [*rooms, *places]}),
        ("ceph_osds", {"osds": [{"node": "*", "devices": {"type": "nvme"}}]}),
        ("ceph_flags", {"flags": {"noscrub": True}}),
        ("ceph_pools", {"pools": pools}),
        ("storages", {"storages": [{"storage": "files", "type": "dir", "path": "/srv/files", "content": ["images"]}]}),
        ("guests", {"guests": guests}),
        ("replication_jobs", {"jobs": jobs}),
        ("ceph_info", {}),
        ("replication_info", {}),
        ("disks_info", {}),
    ]


def run(report: Report) -> None:
    """Build it with the modules themselves; then run them again, several times, and take the fastest round."""
    guests = report.size(50, 2)
    nodes = report.size(16, 3)
    size = Size(nodes, report.size(20, 2), guests, min(TARGETS, nodes - 1))
    with stack(definition(size)) as (state, _):
        resolved = json.loads((state / "stack.json").read_text())
        secrets = yaml.safe_load((state / "secrets.yml").read_text())["hosts"]
        shells = [
            {"node": name, "address": resolved["hosts"][name]["address"], "host_key": secrets[name]["ssh_host_key"]}
            for name in size.names
        ]
        module = Modules(state)
        tasks = inventory(size, resolved["networks"]["mgmt"]["cidr"], shells)
        for name, parameters in tasks:
            module(name, **parameters)
        best: dict[str, float] = {}
        calls: dict[str, int] = {}
        for _ in range(ROUNDS):
            for name, parameters in tasks:
                began = time.perf_counter()
                result = module(name, **parameters)
                best[name] = min(best.get(name, 1e9), time.perf_counter() - began)
                calls[name] = int(result["calls"])
                if result["changed"]:
                    raise RuntimeError(f"{name} changed something again: {result['plan']}")
    jobs = size.guests * size.targets
    what = f"{size.nodes} nodes, {size.nodes * DISKS} OSDs, {size.pools} pools, {size.guests} guests, {jobs} jobs"
    report.add(f"nothing to change, {what}", sum(best.values()), "s", aim=5, note=f"{sum(calls.values())} calls")
    for name, _ in tasks:
        report.add(f"of that {name}", best[name] * 1000, "ms", note=f"{calls[name]} calls")
