# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/config: creating a cluster, joining it, its nodes (facts §6.1; observed: create, join)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from agentstack import x509
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.cluster import joining, operations
from agentstack.errors import AgentError
from agentstack.shell.qdevice import device_facts

if TYPE_CHECKING:
    from agentstack.tasks import Task


@pve("POST", "/cluster/config")
async def create(call: Call) -> Json:
    host = call.host
    operations.check_not_in_cluster(host)

    async def work(task: Task) -> None:
        await operations.create(
            host,
            call["clustername"],
            task.log,
            nodeid=call.get("nodeid"),
            votes=call.get("votes"),
            links=operations.links_of(call.params),
            token_coefficient=call.get("token-coefficient"),
        )

    return host.tasks.start(call.identity, "clustercreate", call["clustername"], work)


@pve("GET", "/cluster/config/apiversion")
async def api_version(call: Call) -> Json:
    return operations.JOIN_API_VERSION


@pve("GET", "/cluster/config/join")
async def join_information(call: Call) -> Json:
    host = call.host
    if not host.files.exists(operations.CONF):
        raise AgentError("node is not in a cluster, no join info available!", status=424)
    conf = operations.cluster_conf(host)
    nodes = [
        {
            **node.as_api(),
            "pve_addr": host.cluster.address_of(node.name),
            "pve_fp": _fingerprint(call, node.name),
        }
        for node in conf.nodes
    ]
    return {
        "nodelist": shuffled(nodes),
        "preferred_node": call.get("node", host.name),
        "totem": conf.totem.as_api(),
        "config_digest": hashlib.sha1(host.files.read(operations.CONF)).hexdigest(),
    }


def _fingerprint(call: Call, node: str) -> str:
    for name in ("pveproxy-ssl.pem", "pve-ssl.pem"):
        path = f"nodes/{node}/{name}"
        if call.host.files.exists(path):
            return x509.fingerprint(call.host.files.read(path))
    # a node that has been added but has not finished joining
    raise AgentError(f"unable to open file '/etc/pve/nodes/{node}/pve-ssl.pem' - No such file or directory")


@pve("POST", "/cluster/config/join")
async def join(call: Call) -> Json:
    host = call.host
    target = joining.Target(
        member=call["hostname"],
        links=operations.links_of(call.params),
        nodeid=call.get("nodeid"),
        votes=call.get("votes"),
        force=bool(call.get("force")),
    )

    async def work(task: Task) -> None:
        await joining.join_by_api(host, target, call["password"], call["fingerprint"], task.log)

    return host.tasks.start(call.identity, "clusterjoin", "", work)


@pve("GET", "/cluster/config/nodes")
async def nodes(call: Call) -> Json:
    if not call.host.files.exists(operations.CONF):
        return []
    conf = operations.cluster_conf(call.host)
    return shuffled([{"node": node.name, **node.as_api()} for node in conf.nodes])


@pve("POST", "/cluster/config/nodes/{node}")
async def add_node(call: Call) -> Json:
    admission = await operations.add_node(
        call.host,
        call["node"],
        api_version=call.get("apiversion"),
        links=operations.links_of(call.params),
        new_node_ip=call.get("new_node_ip"),
        nodeid=call.get("nodeid"),
        votes=call.get("votes"),
        force=bool(call.get("force")),
    )
    return {
        "corosync_authkey": admission.authkey.decode("latin-1"),
        "corosync_conf": admission.conf,
        "warnings": admission.warnings,
    }


@pve("DELETE", "/cluster/config/nodes/{node}")
async def delete_node(call: Call) -> Json:
    await operations.delete_node(call.host, call["node"], lambda text: None)


@pve("GET", "/cluster/config/totem")
async def totem(call: Call) -> Json:
    if not call.host.files.exists(operations.CONF):
        return None
    return operations.cluster_conf(call.host).totem.as_api()


@pve("GET", "/cluster/config/qdevice")
async def qdevice(call: Call) -> Json:
    # what the daemon's socket says, under the names that the API lets through; without a daemon nothing (facts §6.1)
    return device_facts(call.host)
