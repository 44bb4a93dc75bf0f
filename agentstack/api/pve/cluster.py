# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root of /cluster: status, resources, the next free id, recent tasks, the log (facts §5, §21; observed: calls)."""

from __future__ import annotations

import json
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.pve.options import parsed_options
from agentstack.errors import AgentError, ParameterError
from agentstack.pvestatd import GUESTS, STORAGES
from agentstack.tasks import KEY as TASKS

FIRST_ID, LAST_ID = 100, 1_000_000
LOG_LINES = 50


@pve("GET", "/cluster/status")
async def status(call: Call) -> Json:
    cluster = call.host.cluster
    nodes: list[dict[str, Any]] = []
    for view in cluster.nodes():
        row = {
            "type": "node",
            "id": f"node/{view.name}",
            "name": view.name,
            "nodeid": view.node_id,
            "local": int(view.local),
            "online": int(view.online),
            "level": "",
        }
        # a node that has not been online since this one's start has no known address
        nodes.append({**row, "ip": view.address} if view.address else row)
    if not cluster.in_cluster:
        return nodes
    head = {
        "type": "cluster",
        "id": "cluster",
        "name": cluster.cluster_name,
        "version": cluster.config_version,
        "nodes": len(nodes),
        "quorate": int(cluster.quorate),
    }
    return [head, *shuffled(nodes)]


@pve("GET", "/cluster/nextid")
async def next_id(call: Call) -> Json:
    taken = call.host.files.guests()
    if (wanted := call.get("vmid")) is not None:
        if wanted in taken:
            raise ParameterError({"vmid": f"VM {wanted} already exists"})
        return str(wanted)
    bounds = parsed_options(call.host.files).get("next-id", {})
    first, last = bounds.get("lower", FIRST_ID), bounds.get("upper", LAST_ID)
    for vmid in range(first, last):
        if vmid not in taken:
            return str(vmid)
    raise AgentError(f"unable to get any free VMID in range [{first}, {last - 1}]")


@pve("GET", "/cluster/tasks")
async def tasks(call: Call) -> Json:
    access = call.host.access
    rows = []
    for view in call.host.cluster.nodes():
        audits = access.may(call.identity, f"/nodes/{view.name}", ["Sys.Audit"])
        for row in call.host.cluster.kv(view.name, TASKS) or []:
            if audits or row["user"] == call.identity.userid:
                rows.append(row)
    return shuffled(rows)


@pve("GET", "/cluster/log")
async def cluster_log(call: Call) -> Json:
    access = call.host.access
    audits = access.may(call.identity, "/", ["Sys.Syslog"])
    entries = call.host.files.log.newest(call.get("max") or LOG_LINES)
    return [
        {**entry, "uid": str(entry["uid"]), "id": f"{entry['uid']}:{entry['node']}"}
        for entry in entries
        if audits or entry["user"] == call.identity.userid
    ]


@pve("GET", "/cluster/resources")
async def resources(call: Call) -> Json:
    wanted = call.get("type")
    rows: list[dict[str, Any]] = []
    for kind, collect in _COLLECTORS.items():
        if wanted in (None, kind):
            rows += collect(call)
    return rows


def _pools(call: Call) -> list[dict[str, Any]]:
    access = call.host.access
    return [
        {"id": f"/pool/{name}", "type": "pool", "pool": name}
        for name in shuffled(access.cfg.pools)
        if access.may(call.identity, f"/pool/{name}", ["Pool.Audit"])
    ]


def guest_rows(call: Call) -> list[dict[str, Any]]:
    """Every guest of the cluster that the caller may see, with what its node said last."""
    host = call.host
    services = {sid: found.get("state") for sid, found in _ha(call).get("service_status", {}).items()}
    heard: dict[int, dict[str, Any]] = {}
    for view in host.cluster.nodes():
        for row in host.cluster.kv(view.name, GUESTS) or []:
            heard[row["vmid"]] = row
    rows = []
    for vmid, guest in host.files.guests().items():
        if not host.access.may(call.identity, f"/vms/{vmid}", ["VM.Audit"]):
            continue
        row = {"id": f"{guest.type}/{vmid}", "vmid": vmid, "node": guest.node, "type": guest.type}
        told = heard.get(vmid)
        if told is None:
            row |= {"status": "unknown"}
        else:
            row |= {key: value for key, value in told.items() if key in _GUEST_FIELDS}
            row.setdefault("template", 0)
            row["node"] = guest.node
        if state := services.get(f"{_SERVICE[guest.type]}:{vmid}"):
            row["hastate"] = state
        if pool := host.access.cfg.pool_of(vmid):
            row["pool"] = pool
        rows.append(row)
    return shuffled(rows)


def _ha(call: Call) -> dict[str, Any]:
    """What the HA manager wrote last."""
    found: dict[str, Any] = json.loads(call.host.files.read_text("ha/manager_status", default="") or "{}")
    return found


_SERVICE = {"qemu": "vm", "lxc": "ct"}

_GUEST_FIELDS = frozenset(
    ("cpu", "disk", "diskread", "diskwrite", "lock", "maxcpu", "maxdisk", "maxmem", "mem", "memhost", "name")
) | frozenset(("netin", "netout", "status", "tags", "template", "uptime"))


def node_rows(call: Call) -> list[dict[str, Any]]:
    """Every node of the cluster, with its figures if the caller may see them."""
    host = call.host
    rows = []
    for view in host.cluster.nodes():
        row: dict[str, Any] = {"id": f"node/{view.name}", "node": view.name, "type": "node"}
        row |= {"status": "online" if view.online else "offline", "level": ""}
        if host.access.may(call.identity, f"/nodes/{view.name}", ["Sys.Audit"]):
            gone = () if view.online else ("cpu", "mem", "disk", "uptime")
            told = host.pvestatd.status_of(view.name)
            row |= {key: value for key, value in told.items() if key not in gone}
        rows.append(row)
    return shuffled(rows)


def _nodes(call: Call) -> list[dict[str, Any]]:
    rows = [{**row, "cgroup-mode": 2} if row["status"] == "online" else row for row in node_rows(call)]
    states = _ha(call).get("node_status", {})
    return [{**row, "hastate": states[row["node"]]} if row["node"] in states else row for row in rows]


def storage_rows(call: Call) -> list[dict[str, Any]]:
    """Every storage on every node that has told of it, as far as the caller may know it."""
    host = call.host
    rows = []
    for view in host.cluster.nodes():
        told = host.cluster.kv(view.name, STORAGES) or {}
        for ident, found in told.items():
            if not host.access.may(
                call.identity, f"/storage/{ident}", ["Datastore.Audit", "Datastore.AllocateSpace"], any=True
            ):
                continue
            if not found["enabled"]:
                continue
            row = {"id": f"storage/{view.name}/{ident}", "type": "storage", "storage": ident, "node": view.name}
            row |= {"plugintype": found["type"], "content": found["content"], "shared": found["shared"]}
            row["status"] = "available" if found["active"] else "unknown"
            if found["active"]:
                row |= {"disk": found["used"], "maxdisk": found["total"]}
            rows.append(row)
    return shuffled(rows)


def _networks(call: Call) -> list[dict[str, Any]]:
    """The zone that every node has without any set-up; its rows are of another kind before 9 (facts §21)."""
    if not call.host.access.may(call.identity, "/sdn/zones/localnetwork", ["SDN.Audit"]):
        return []
    zone = "localnetwork"
    rows = []
    for view in shuffled(call.host.cluster.nodes()):
        if not view.online:
            continue
        row = {"node": view.name, "status": "ok"}
        if call.host.release.startswith("8."):
            row |= {"id": f"sdn/{view.name}/{zone}", "sdn": zone, "type": "sdn"}
        else:
            row |= {"id": f"network/{view.name}/zone/{zone}", "network": zone, "network-type": "zone"}
            row["type"] = "network"
        rows.append(row)
    return rows


_COLLECTORS = {"pool": _pools, "vm": guest_rows, "node": _nodes, "storage": storage_rows, "sdn": _networks}
"""Kinds of resources in the order of the answer; `pool` only comes with all others."""
