# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pveceph` and `ceph` on a node: installation, and the JSON that administrators and roles read (facts §11.1)."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from agentstack.ceph.health import checks, overall
from agentstack.ceph.maps import ROOT_ID, ClusterMap
from agentstack.ceph.service import AVAILABLE
from agentstack.ceph.status import health, status
from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.shell.registry import CommandIO, command

INSTALL_TIME = 20.0
"""Seconds that apt takes for the packages."""


class _Parser(ArgumentParser):
    """An argument parser that refuses in the way of the commands, instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise AgentError(f"400 unable to parse option\n{message}")


@command("pveceph")
async def pveceph(host: Host, argv: list[str], io: CommandIO) -> int:
    """`pveceph install [--repository R] [--version V]`, `pveceph status`."""
    parser = _Parser(prog="pveceph", add_help=False)
    kinds = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    install = kinds.add_parser("install", add_help=False)
    install.add_argument("--repository", "-repository", default="enterprise")
    install.add_argument("--version", "-version", default=None)
    install.add_argument("--allow-experimental", action="store_true")
    kinds.add_parser("status", add_help=False)
    given = parser.parse_args(argv)
    if given.command == "status":
        return await ceph(host, ["-s"], io)
    return await _install(host, given.repository, given.version, io)


async def _install(host: Host, repository: str, version: str | None, io: CommandIO) -> int:
    offered = AVAILABLE[host.release]
    version = version or offered[-1 if host.release == "8.4" else 0]
    for name, value, allowed in (
        ("repository", repository, ("enterprise", "no-subscription", "test")),
        ("version", version, offered),
    ):
        if value not in allowed:
            io.err("400 Parameter verification failed.\n")
            io.err(f"{name}: value '{value}' does not have a value in the enumeration '{', '.join(allowed)}'\n")
            return 255
    if repository == "enterprise":
        # no subscription key is installed here: the enterprise repository answers 401 to everybody without one
        io.err("E: Failed to fetch https://enterprise.proxmox.com/debian/ceph-" + version + "  401  Unauthorized\n")
        io.err("apt failed during ceph installation (100)\n")
        return 255
    await host.clock.sleep(INSTALL_TIME)
    host.ceph.install(version)
    io.out(f"start installation\n\ninstalled Ceph {version} successfully!\n")
    return 0


@command("ceph")
async def ceph(host: Host, argv: list[str], io: CommandIO) -> int:
    """The read-only commands; `--format json` (or `-f json`) where the answer is data."""
    words = list(argv)
    as_json = False
    for option in ("--format", "-f"):
        if option in words:
            at = words.index(option)
            as_json = words[at + 1 : at + 2] in (["json"], ["json-pretty"])
            del words[at : at + 2]
    if any(word in ("--format=json", "--format=json-pretty") for word in words):
        as_json = True
        words = [word for word in words if not word.startswith("--format=")]
    if host.ceph.installed is None:
        io.err("bash: ceph: command not found\n")
        return 127
    if words == ["--version"]:
        io.out(f"ceph version {host.ceph.version} ({host.ceph.installed})\n")
        return 0
    answer = ANSWERS.get(" ".join(words))
    if answer is None:
        io.err("no valid command found\nError EINVAL: invalid command\n")
        return 22
    try:
        document, text = await answer(host)
    except AgentError as error:
        io.err(f"Error initializing cluster client: {error.message}\n")
        return 1
    io.out((json.dumps(document) if as_json else text) + "\n")
    return 0


Answer = Callable[[Host], Awaitable[tuple[Any, str]]]


async def _status(host: Host) -> tuple[Any, str]:
    cluster = await host.ceph.maps()
    document = status(cluster, host.ceph.situation(cluster), host.clock.now())
    osds = document["osdmap"]
    lines = [
        "  cluster:",
        f"    id:     {cluster.fsid}",
        f"    health: {document['health']['status']}",
        "",
        "  services:",
        f"    mon: {len(cluster.monitors)} daemons, quorum {','.join(document['quorum_names'])}",
        f"    mgr: {cluster.active_manager or 'no daemons active'}(active)",
        f"    osd: {osds['num_osds']} osds: {osds['num_up_osds']} up, {osds['num_in_osds']} in",
    ]
    return document, "\n".join(lines)


async def _health(host: Host) -> tuple[Any, str]:
    cluster = await host.ceph.maps()
    found = checks(cluster, host.ceph.situation(cluster))
    text = "; ".join([overall(found), *(check.summary for check in found)])
    return health(found), text.replace(";", "", 1) if found else text


async def _tree(host: Host) -> tuple[Any, str]:
    cluster = await host.ceph.maps()
    nodes, tree = _tree_nodes(cluster), cluster.tree()
    lines = ["ID  CLASS  WEIGHT   TYPE NAME       STATUS  REWEIGHT"]
    for node in nodes:
        weight = f"{node['crush_weight'] if node['type'] == 'osd' else tree.buckets[node['id']].weight:.5f}"
        state = f"{node['status']:>6}  {node['reweight']:.5f}" if node["type"] == "osd" else ""
        lines.append(
            f"{node['id']:>3}  {node.get('device_class', ''):<5}  {weight}  {node['name']:<14} {state}".rstrip()
        )
    return {"nodes": nodes, "stray": []}, "\n".join(lines)


def _tree_nodes(cluster: ClusterMap) -> list[dict[str, Any]]:
    ids = cluster.host_ids()
    nodes: list[dict[str, Any]] = [
        {"id": ROOT_ID, "name": "default", "type": "root", "type_id": 11, "children": list(ids.values())}
    ]
    for name, number in ids.items():
        own = sorted((osd for osd in cluster.osds.values() if osd.host == name), key=lambda osd: osd.id)
        nodes.append({"id": number, "name": name, "type": "host", "type_id": 1, "children": [osd.id for osd in own]})
        nodes += [
            {
                "id": osd.id,
                "device_class": osd.device_class,
                "name": f"osd.{osd.id}",
                "type": "osd",
                "type_id": 0,
                "crush_weight": osd.weight,
                "exists": 1,
                "status": "up" if osd.up else "down",
                "reweight": osd.reweight,
            }
            for osd in own
        ]
    return nodes


async def _pools(host: Host) -> tuple[Any, str]:
    cluster = await host.ceph.maps()
    names = [pool.name for pool in cluster.pools.values()]
    return names, "\n".join(names)


async def _versions(host: Host) -> tuple[Any, str]:
    cluster = await host.ceph.maps()
    name = f"ceph version {cluster.version} ({cluster.release})"
    counts = {"mon": len(cluster.monitors), "mgr": len(cluster.managers), "osd": len(cluster.osds)}
    document: dict[str, Any] = {kind: {name: count} for kind, count in counts.items() if count}
    document["overall"] = {name: sum(counts.values())}
    return document, json.dumps(document, indent=4)


async def _fsid(host: Host) -> tuple[Any, str]:
    cluster = await host.ceph.maps()
    return {"fsid": cluster.fsid}, cluster.fsid


ANSWERS: dict[str, Answer] = {
    "-s": _status,
    "status": _status,
    "health": _health,
    "health detail": _health,
    "osd tree": _tree,
    "osd pool ls": _pools,
    "osd lspools": _pools,
    "versions": _versions,
    "fsid": _fsid,
}
