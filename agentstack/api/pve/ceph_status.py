# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's status, flags, rules and configuration, per node and for the whole cluster (facts §11.2)."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.ceph import conf
from agentstack.ceph.crush_text import render
from agentstack.ceph.safety import ok_to_stop, safe_to_destroy
from agentstack.ceph.service import SERVICES
from agentstack.ceph.status import status
from agentstack.tasks import Task

FLAGS = {
    "nobackfill": "Backfilling of PGs is suspended.",
    "nodeep-scrub": "Deep Scrubbing is disabled.",
    "nodown": "OSD failure reports are being ignored, such that the monitors will not mark OSDs down.",
    "noin": "OSDs that were previously marked out will not be marked back in when they start.",
    "noout": "OSDs will not automatically be marked out after the configured interval.",
    "norebalance": "Rebalancing of PGs is suspended.",
    "norecover": "Recovery of PGs is suspended.",
    "noscrub": "Scrubbing is disabled.",
    "notieragent": "Cache tiering activity is suspended.",
    "noup": "OSDs are not allowed to start.",
    "pause": "Pauses read and writes.",
}


async def _status(call: Call) -> Json:
    cluster = await call.host.ceph.maps()
    return status(cluster, call.host.ceph.situation(cluster), call.host.clock.now())


@pve("GET", "/nodes/{node}/ceph/status")
async def node_status(call: Call) -> Json:
    return await _status(call)


@pve("GET", "/cluster/ceph/status")
async def cluster_status(call: Call) -> Json:
    return await _status(call)


@pve("GET", "/nodes/{node}/ceph/rules")
async def rules(call: Call) -> Json:
    cluster = await call.host.ceph.maps()
    return shuffled({"name": rule.name} for rule in cluster.rules.values())


@pve("GET", "/nodes/{node}/ceph/cfg/raw")
async def raw_configuration(call: Call) -> Json:
    call.host.ceph.require_installed()
    return call.host.files.read_text(conf.FILE, default="")


@pve("GET", "/nodes/{node}/ceph/crush")
async def crush(call: Call) -> Json:
    """The map in the text form of crushtool."""
    cluster = await call.host.ceph.maps()
    return render(cluster)


@pve("GET", "/nodes/{node}/ceph/cmd-safety")
async def command_safety(call: Call) -> Json:
    """Whether stopping or destroying a daemon keeps quorum and all placement groups active."""
    cluster = await call.host.ceph.maps()
    service, name = str(call["service"]), str(call["id"])
    if service == "mon":
        left = call.host.ceph.group.quorum() - {name}
        safe = 2 * len(left) > len(cluster.monitors) - (call["action"] == "destroy")
        return {"safe": safe, "status": "" if safe else "not enough monitors would be available"}
    if service == "osd":
        judge = safe_to_destroy if call["action"] == "destroy" else ok_to_stop
        why = judge(cluster, call.host.ceph.situation(cluster), [int(name.removeprefix("osd."))])
        return {"safe": not why, "status": why}
    return {"safe": True, "status": ""}


# --- flags --------------------------------------------------------------------------------------------------------


@pve("GET", "/cluster/ceph/flags")
async def list_flags(call: Call) -> Json:
    cluster = await call.host.ceph.maps()
    return shuffled(
        {"name": name, "description": text, "value": int(name in cluster.flags)} for name, text in FLAGS.items()
    )


@pve("GET", "/cluster/ceph/flags/{flag}")
async def get_flag(call: Call) -> Json:
    cluster = await call.host.ceph.maps()
    return int(call["flag"] in cluster.flags)


@pve("PUT", "/cluster/ceph/flags/{flag}")
async def set_flag(call: Call) -> Json:
    await call.host.ceph.maps()
    await call.host.ceph.group.execute("flag", name=str(call["flag"]), value=bool(call["value"]))


@pve("PUT", "/cluster/ceph/flags")
async def set_flags(call: Call) -> Json:
    host = call.host
    await host.ceph.maps()
    wanted = {name: bool(call[name]) for name in FLAGS if name in call.params}

    async def work(task: Task) -> None:
        cluster = await host.ceph.maps()
        for name, value in wanted.items():
            if (name in cluster.flags) != value:
                task.log(f"{'setting' if value else 'unsetting'} flag: {name}")
                await host.ceph.group.execute("flag", name=name, value=value)

    return host.tasks.start(call.identity, "cephsetflags", "", work)


# --- who runs what ------------------------------------------------------------------------------------------------


@pve("GET", "/cluster/ceph/metadata")
async def metadata(call: Call) -> Json:
    host = call.host
    cluster = await host.ceph.maps()
    version = f"ceph version {cluster.version} ({cluster.release})"
    common = {"ceph_release": cluster.release, "ceph_version": version, "ceph_version_short": cluster.version}
    nodes = {node.name: host.cluster.kv(node.name, SERVICES) for node in host.cluster.nodes()}
    return {
        "node": {
            name: {"buildcommit": "", "version": {"str": news["version"], "parts": news["version"].split(".")}}
            for name, news in nodes.items()
            if news
        },
        "mon": {
            f"{name}@{monitor.host}": {**common, "name": name, "hostname": monitor.host, "addrs": monitor.address}
            for name, monitor in cluster.monitors.items()
        },
        "mgr": {
            f"{name}@{node}": {**common, "name": name, "hostname": node} for name, node in cluster.managers.items()
        },
        "mds": {},
        "osd": [
            {**common, "id": osd.id, "hostname": osd.host, "device_ids": osd.device}
            for osd in sorted(cluster.osds.values(), key=lambda osd: osd.id)
        ],
    }
