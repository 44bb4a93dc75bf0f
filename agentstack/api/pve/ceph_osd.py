# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/ceph/osd: the tree, creation one disk a call, removal, in and out (facts §11.2)."""

from __future__ import annotations

import ipaddress
import uuid
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.ceph import label
from agentstack.ceph.auth import DAEMONS, new_key
from agentstack.ceph.daemons import LocalOsd
from agentstack.ceph.maps import ClusterMap, CrushBucket
from agentstack.ceph.peering import all_groups
from agentstack.errors import AgentError, ParameterError
from agentstack.host import Host
from agentstack.storage import signatures
from agentstack.tasks import Task

TEXTS = {
    "no_cluster_address": "No address from ceph cluster network ({network}) found on node '{node}'. "
    "Check your network config.",
    "in": "osd is in use (in == 1)",
    "up": "osd is still running (up == 1)",
    "foreign": "OSD osd.{number} does not belong to node {node}!",
    "unknown": "no such OSD '{number}'",
}

PREPARE = 4.0
"""Seconds that ceph-volume takes for a disk."""


@pve("GET", "/nodes/{node}/ceph/osd")
async def tree(call: Call) -> Json:
    """The CRUSH hierarchy with a root above it, as the user interface shows it."""
    cluster = await call.host.ceph.maps()
    counts, used = _pg_counts(cluster), call.host.ceph.situation(cluster).used

    def entry(bucket: CrushBucket) -> dict[str, Any]:
        children = [
            entry(cluster.buckets[child]) if child < 0 else _osd_entry(cluster, child, counts.get(child, 0), used)
            for child in cluster.children(bucket.id)
        ]
        shown = {"id": str(bucket.id), "name": bucket.name, "type": bucket.type, "leaf": 0, "children": children}
        return shown | ({"version": cluster.version} if bucket.type == "host" else {})

    roots = [entry(bucket) for bucket in cluster.buckets.values() if bucket.parent is None]
    answer: dict[str, Any] = {"root": {"leaf": 0, "children": roots}}
    if cluster.flags:
        answer["flags"] = ",".join(cluster.flags)
    return answer


def _pg_counts(cluster: ClusterMap) -> dict[int, int]:
    counts: dict[int, int] = {}
    for group in all_groups(cluster):
        for osd in group.acting:
            counts[osd] = counts.get(osd, 0) + 1
    return counts


def _osd_entry(cluster: ClusterMap, number: int, groups: int, used: dict[int, int]) -> dict[str, Any]:
    osd = cluster.osds[number]
    taken = used.get(number, 0)
    return {
        "id": str(number),
        "name": f"osd.{number}",
        "type": "osd",
        "leaf": 1,
        "host": osd.host,
        "status": "up" if osd.up else "down",
        "in": int(osd.included),
        "crush_weight": osd.weight,
        "reweight": osd.reweight,
        "device_class": osd.device_class,
        "pgs": groups,
        "total_space": osd.size,
        "bytes_used": taken,
        "percent_used": 100 * taken / osd.size,
        "commit_latency_ms": 0,
        "apply_latency_ms": 0,
        "osdtype": "bluestore",
        "blfsdev": osd.device,
        "ceph_version": f"ceph version {cluster.version}",
        "ceph_version_short": cluster.version,
    }


@pve("POST", "/nodes/{node}/ceph/osd")
async def create(call: Call) -> Json:
    host = call.host
    configuration = host.ceph.require_keyring()
    device = str(call["dev"])
    others = {name: call.get(name) for name in ("db_dev", "wal_dev") if call.get(name)}
    for name, other in others.items():
        if other == device:
            raise ParameterError({name: f"{name} is the same device as dev"})
    if call.get("osds-per-device") and others:
        raise ParameterError({"osds-per-device": "cannot be used together with db_dev or wal_dev"})
    network = configuration.settings.get("cluster_network")
    if network and not _inside(host, network):
        raise AgentError(TEXTS["no_cluster_address"].format(network=network, node=host.name))
    for path in (device, *map(str, others.values())):
        host.disks.assert_unused(path)
    per_device = int(call.get("osds-per-device") or 1)
    device_class = call.get("crush-device-class")

    async def work(task: Task) -> None:
        async with host.disks.lock:
            await _create(host, device, per_device, device_class, list(map(str, others.values())), task)

    return host.tasks.start(call.identity, "cephcreateosd", device.removeprefix("/dev/"), work)


def _inside(host: Host, network: str) -> bool:
    return any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
        for address in host.addresses.values()
    )


async def _create(
    host: Host, device: str, per_device: int, device_class: str | None, others: list[str], task: Task
) -> None:
    await host.ceph.maps()
    disks = [host.disks.assert_unused(path) for path in (device, *others)]
    data = disks[0]
    task.log(f"create OSD on {device} (bluestore)")
    task.log(f"wiping block device {device}")
    for disk in disks:
        signatures.make_filesystem(disk.image, 0, "LVM")
    await host.clock.sleep(PREPARE)
    for _ in range(per_device):
        own = str(uuid.uuid4())
        number = await host.ceph.group.execute(
            "osd_new",
            uuid=own,
            host=host.name,
            device=device,
            size=data.spec.size // per_device,
            device_class=device_class or data.spec.type,
            key={"key": new_key(host.clock.now()), "caps": DAEMONS["osd"]},
        )
        host.ceph.daemons.create_osd(LocalOsd(number, own, device))
        label.add(data.image, own)
        task.log(f"--> ceph-volume lvm create successful for: {device} (osd.{number})")
    host.ceph.look()


@pve("DELETE", "/nodes/{node}/ceph/osd/{osdid}")
async def destroy(call: Call) -> Json:
    host, number = call.host, int(call["osdid"])
    cluster = await host.ceph.maps()
    osd = cluster.osds.get(number)
    if osd is None:
        raise AgentError(TEXTS["unknown"].format(number=number))
    if osd.host != host.name:
        raise AgentError(TEXTS["foreign"].format(number=number, node=host.name))
    if osd.included:
        raise AgentError(TEXTS["in"])
    if osd.up:
        raise AgentError(TEXTS["up"])
    cleanup = bool(call.get("cleanup"))

    async def work(task: Task) -> None:
        async with host.disks.lock:
            task.log(f"destroy OSD osd.{number}")
            on_disk = host.ceph.on_disk(osd.device)
            await host.ceph.group.execute("osd_purge", number=number)
            await host.ceph.discard(number)
            task.log("Unmount OSD volumes from  /var/lib/ceph/osd")
            if on_disk == [number] and cleanup:
                task.log(f"wiping block device {osd.device}")
                signatures.wipe(host.disks.disk(osd.device).image)

    return host.tasks.start(call.identity, "cephdestroyosd", f"osd.{number}", work)


@pve("POST", "/nodes/{node}/ceph/osd/{osdid}/in")
async def mark_in(call: Call) -> Json:
    await call.host.ceph.maps()
    await call.host.ceph.group.execute("osd_in", number=int(call["osdid"]))


@pve("POST", "/nodes/{node}/ceph/osd/{osdid}/out")
async def mark_out(call: Call) -> Json:
    await call.host.ceph.maps()
    await call.host.ceph.group.execute("osd_out", number=int(call["osdid"]))


@pve("GET", "/nodes/{node}/ceph/osd/{osdid}/metadata")
async def metadata(call: Call) -> Json:
    host, number = call.host, int(call["osdid"])
    cluster = await host.ceph.maps()
    osd = cluster.osds.get(number)
    if osd is None:
        raise AgentError(TEXTS["unknown"].format(number=number))
    if osd.host != host.name:
        raise AgentError(TEXTS["foreign"].format(number=number, node=host.name))
    public = host.ceph.local_address(cluster.public_network)
    back = host.ceph.local_address(cluster.cluster_network)
    return {
        "osd": {
            "id": number,
            "hostname": osd.host,
            "version": f"{cluster.version} ({cluster.release})",
            "osd_data": f"/var/lib/ceph/osd/ceph-{number}",
            "osd_objectstore": "bluestore",
            "mem_usage": 0,
            "encrypted": 0,
            **dict.fromkeys(("front_addr", "hb_front_addr"), f"[v2:{public}:6802/0,v1:{public}:6803/0]"),
            **dict.fromkeys(("back_addr", "hb_back_addr"), f"[v2:{back}:6804/0,v1:{back}:6805/0]"),
        },
        "devices": [
            {
                "device": "block",
                "dev_node": osd.device,
                "physical_device": osd.device,
                "size": osd.size,
                "support_discard": int(osd.device_class != "hdd"),
                "type": osd.device_class,
            }
        ],
    }
