# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creating a cluster, and what a member does when nodes come and go (facts §6.2 to §6.4; observed: create, join)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentstack._shared import corosync_change
from agentstack._shared.corosync_conf import CorosyncConf, CorosyncConfError, Node, parse
from agentstack._shared.property_string import parse_property_string
from agentstack.cluster import ssh_keys
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

Log = Callable[[str], None]

CONF = "corosync.conf"
JOIN_API_VERSION = 1
AUTHKEY_BYTES = 256
COEFFICIENT = 125
"""token_coefficient of new clusters, from 9.2 on."""

# Stack seconds, so that the whole takes as long as observed.
KEY_GENERATION = 0.5
RESTART = 1.3
SETTLE = 0.5
CONNECT = 4.5

LINK = {
    "address": {"type": "string", "default_key": 1},
    "priority": {"type": "integer", "optional": 1, "minimum": 0, "maximum": 255},
}


@dataclass(frozen=True)
class Link:
    """A link as given to create and join: `linkN` = `[address=]ADDRESS[,priority=N]`."""

    address: str
    priority: int | None = None

    def __str__(self) -> str:
        return self.address if self.priority is None else f"{self.address},priority={self.priority}"


@dataclass(frozen=True)
class Admission:
    """What a member gives to a node that it has added."""

    authkey: bytes
    conf: str
    warnings: list[str] = field(default_factory=list)


def links_of(parameters: Mapping[str, Any]) -> dict[int, Link]:
    """The links among the (validated) parameters of a call."""
    found: dict[int, Link] = {}
    for number in range(corosync_change.MAX_LINKS):
        text = parameters.get(f"link{number}")
        if text is not None:
            values = parse_property_string(str(text), LINK)
            priority = values.get("priority")
            found[number] = Link(str(values["address"]), None if priority is None else int(priority))
    return found


def foreign_addresses(host: Host, links: Mapping[int, Link]) -> list[str]:
    """What is wrong with links whose address this host does not have."""
    own = set(host.addresses.values())
    return [
        f"link{number}: cannot use IP '{link.address}', not found on local node!"
        for number, link in sorted(links.items())
        if host.cluster.resolve(link.address) not in own
    ]


def cluster_conf(host: Host) -> CorosyncConf:
    """The cluster's configuration as it lies in /etc/pve. AgentError if there is none or it cannot be read."""
    text = host.files.read_text(CONF, default="")
    if not text:
        raise AgentError(f"Error: Corosync config '/etc/pve/{CONF}' does not exist - is this node part of a cluster?")
    try:
        return parse(text)
    except CorosyncConfError as error:
        raise AgentError(f"unable to parse corosync.conf: {error}") from error


async def write_conf(host: Host, conf: CorosyncConf) -> None:
    """Put a changed configuration into effect: every node takes it over when it sees it (facts §6.5)."""
    await host.files.write(f"{CONF}.new", conf.format())
    await host.files.rename(f"{CONF}.new", CONF)


def check_not_in_cluster(host: Host) -> None:
    """What a node that is in a cluster answers to creating another one."""
    if host.files.exists(CONF):
        raise AgentError(f"cluster config '/etc/pve/{CONF}' already exists")


async def create(
    host: Host,
    name: str,
    log: Log,
    *,
    nodeid: int | None = None,
    votes: int | None = None,
    links: Mapping[int, Link] | None = None,
    token_coefficient: int | None = None,
) -> None:
    """Make this host the first node of a new cluster. The cluster file system comes back without its cluster; it is
    quorate some seconds after this has returned."""
    cluster, clock = host.cluster, host.clock
    async with cluster.administration:
        check_not_in_cluster(host)
        links = dict(links or {0: Link(host.address)})
        if problems := foreign_addresses(host, links):
            raise AgentError(problems[0])
        await clock.sleep(SETTLE)
        await ssh_keys.ensure_root_key(host)
        if not cluster.authkey_file.exists():
            log("Corosync Cluster Engine Authentication key generator.")
            log(f"Gathering {AUTHKEY_BYTES * 8} bits for key from /dev/urandom.")
            await clock.sleep(KEY_GENERATION)
            write_authkey(host, secrets.token_bytes(AUTHKEY_BYTES))
            log("Writing corosync key to /etc/corosync/authkey.")
        coefficient = COEFFICIENT if token_coefficient is None else token_coefficient
        node = Node(host.name, nodeid or 1, {number: link.address for number, link in links.items()}, votes or 1)
        conf = corosync_change.new_cluster(
            name,
            node,
            priorities={number: link.priority for number, link in links.items()},
            token_coefficient=coefficient if host.release.startswith("9") else None,
        )
        log(f"Writing corosync config to /etc/pve/{CONF}")
        await ssh_keys.merge(host)
        await host.files.write(CONF, conf.format(), exclusive=True)
        log("Restart corosync and cluster filesystem")
        cluster.start_corosync()
        await host.files.restart(RESTART)
        asyncio.get_running_loop().call_later(clock.real(CONNECT), host.files.connect)


def write_authkey(host: Host, key: bytes) -> None:
    """The secret that the corosyncs of a cluster share."""
    path = host.cluster.authkey_file
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o400)
    draft.chmod(0o600)
    draft.write_bytes(key)
    draft.chmod(0o400)
    draft.replace(path)


async def add_node(
    host: Host,
    name: str,
    *,
    api_version: int | None = None,
    links: Mapping[int, Link] | None = None,
    new_node_ip: str | None = None,
    nodeid: int | None = None,
    votes: int | None = None,
    force: bool = False,
) -> Admission:
    """A member's half of a join: checks, then the new node in corosync.conf (facts §6.3)."""
    host.files.require_quorum()
    if api_version is not None and api_version != JOIN_API_VERSION:
        raise AgentError(f"unsupported join API version '{api_version}', this cluster has '{JOIN_API_VERSION}'")
    async with host.files.lock("file-corosync_conf"):
        conf = cluster_conf(host)
        problems = corosync_change.problems(conf)
        if problems.errors:
            raise InvalidConf(problems.as_api())
        try:
            changed = corosync_change.add_node(
                conf,
                name,
                {number: link.address for number, link in (links or {}).items()},
                fallback_address=new_node_ip,
                nodeid=nodeid,
                votes=1 if votes is None else votes,
                force=force,
            )
        except CorosyncConfError as error:
            raise AgentError(str(error)) from error
        await write_conf(host, changed)
    return Admission(host.cluster.authkey_file.read_bytes(), changed.format(), problems.warnings)


class InvalidConf(AgentError):
    """corosync.conf is such that no node can be added; `errors`: error0, …, warning0, …"""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("invalid corosync.conf\n" + "".join(f"{name}: {text}\n" for name, text in errors.items()))
        self.errors = errors


async def delete_node(host: Host, name: str, log: Log) -> None:
    """Take a node (by name, or address on link 0 or 1) out of corosync.conf; nothing else is touched (facts §6.4)."""
    host.files.require_quorum()
    async with host.files.lock("file-corosync_conf"):
        conf = cluster_conf(host)
        try:
            changed = corosync_change.remove_node(conf, name)
        except CorosyncConfError as error:
            raise AgentError(str(error)) from error
        (gone,) = {node.nodeid for node in conf.nodes} - {node.nodeid for node in changed.nodes}
        if gone == host.cluster.node_id:
            raise AgentError("Cannot delete myself from cluster!")
        view = host.cluster.view
        if view is None or gone not in view.members:
            log("Could not kill node (error = CS_ERR_NOT_EXIST)")
        log(f"Killing node {gone}")
        host.cluster.corosync.kill(gone)
        await write_conf(host, changed)
