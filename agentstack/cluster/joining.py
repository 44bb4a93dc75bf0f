# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joining a cluster: what the new node does, over a member's API or over SSH (facts §6.3; observed: join)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentstack.cluster import ssh_client, ssh_keys
from agentstack.cluster.files import PermissionDenied
from agentstack.cluster.operations import (
    CONF,
    JOIN_API_VERSION,
    Admission,
    Link,
    Log,
    foreign_addresses,
    write_authkey,
)
from agentstack.cluster.peer import Peer, PeerRefused
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

# Stack seconds, so that the phases come when they were observed to: the node goes deaf 3.5 s after the call, its
# corosync is heard of 4 s later, its API accepts logins again 12.7 s after the call.
LOGIN = 0.4
LOCAL_SETUP = 2.9
DATABASE = 1.5
DAEMONS = 2.8
POLL = 1.0
NODE_FILES = 2.0
SERVICES = 0.5


@dataclass(frozen=True)
class Target:
    """The cluster to join: a member's address (or name), and what this node shall be there."""

    member: str
    links: Mapping[int, Link] = field(default_factory=dict)
    nodeid: int | None = None
    votes: int | None = None
    force: bool = False


async def join_by_api(host: Host, target: Target, password: str, fingerprint: str, log: Log) -> None:
    """Join with root's password at the member. Raises AgentError with the text that the task ends with."""
    async with host.cluster.administration:
        check_local(host, target, log)
        log(f"Establishing API connection with host '{target.member}'")
        async with Peer(host, target.member, fingerprint) as peer:
            await peer.login(password)
            log("Login succeeded.")
            await host.clock.sleep(LOGIN)
            log("check cluster join API version")
            try:
                if int(await peer.get("/cluster/config/apiversion")) < JOIN_API_VERSION:
                    raise AgentError("remote side does not support our join API version, please upgrade it")
                admission = await _ask(host, target, peer, log)
            except PeerRefused as error:
                log(f"An error occurred on the cluster node: {error.message}")
                raise AgentError("Cluster join aborted!") from error
        log("Join request OK, finishing setup locally")
        await finish(host, admission, log)


async def _ask(host: Host, target: Target, peer: Peer, log: Log) -> Admission:
    parameters: dict[str, Any] = {"apiversion": JOIN_API_VERSION}
    if target.links:
        parameters |= {f"link{number}": str(link) for number, link in target.links.items()}
    else:
        log(f"No cluster network links passed explicitly, fallback to local node IP '{host.address}'")
        parameters["new_node_ip"] = host.address
    for name, value in (("nodeid", target.nodeid), ("votes", target.votes)):
        if value is not None:
            parameters[name] = value
    if target.force:
        parameters["force"] = 1
    log("Request addition of this node")
    answer = await peer.post(f"/cluster/config/nodes/{host.name}", parameters)
    for warning in answer.get("warnings") or ():
        log(f"cluster: warning: {warning}")
    return Admission(str(answer["corosync_authkey"]).encode("latin-1"), str(answer["corosync_conf"]))


async def join_by_ssh(host: Host, target: Target, ask_password: ssh_client.AskPassword, log: Log) -> None:
    """Join with SSH as root at the member, by root's own key, or where that is not accepted by a password."""
    async with host.cluster.administration:
        check_local(host, target, log)
        async with ssh_client.connect(host, target.member, ask_password) as member:
            try:
                await member.run(*_addnode(host, target))
            except ssh_client.Failed as error:
                log(error.message)
                raise AgentError("Cluster join aborted!") from error
            log("copy corosync auth key")
            authkey = await member.read("/etc/corosync/authkey")
            conf = await member.read(f"/etc/pve/{CONF}")
        await finish(host, Admission(authkey, conf.decode()), log)


def _addnode(host: Host, target: Target) -> list[str]:
    words = ["pvecm", "addnode", host.name, "--force", str(int(target.force))]
    words += [word for number, link in target.links.items() for word in (f"--link{number}", str(link))]
    if not target.links:
        words += ["--new_node_ip", host.address]
    for name, value in (("nodeid", target.nodeid), ("votes", target.votes)):
        words += [f"--{name}", str(value)] if value is not None else []
    return words


def check_local(host: Host, target: Target, log: Log) -> None:
    """Whether this host may join anything. All reasons go to the log, then AgentError; `force` makes them warnings."""
    cluster = host.cluster
    reasons: list[str] = []
    if cluster.authkey_file.exists():
        reasons.append("authentication key '/etc/corosync/authkey' already exists")
    if host.files.exists(CONF):
        reasons.append(f"cluster config '/etc/pve/{CONF}' already exists")
    if host.files.guests():
        reasons.append("this host already contains virtual guests")
    if cluster.corosync.running:
        reasons.append("corosync is already running, is this node already in a cluster?!")
    reasons += foreign_addresses(host, target.links)
    if not reasons:
        return
    log(f"detected the following {'warning' if target.force else 'error'}(s):")
    for reason in reasons:
        log(f"* {reason}")
    if not target.force:
        raise AgentError("Check if node may join a cluster failed!")


async def finish(host: Host, admission: Admission, log: Log) -> None:
    """The member has agreed: give up the own /etc/pve, become part of the cluster's, get a certificate from it.

    From here on the node is a half of a member until all is done; what interrupts it leaves it so, as on a real one.
    """
    cluster, files, clock = host.cluster, host.files, host.clock
    await clock.sleep(LOCAL_SETUP)
    if cluster.corosync.running:
        await cluster.stop_corosync()
    write_authkey(host, admission.authkey)
    cluster.write_config(admission.conf)
    log("stopping pve-cluster service")
    files.mounted = False
    await clock.sleep(DATABASE)
    log(f"backup old database to '{files.back_up()}'")
    await files.restart(DAEMONS, adopt=True)
    cluster.start_corosync()
    files.connect()
    while not (files.quorate and files.replica.synced):
        if not cluster.corosync.running:
            # another node was added meanwhile, so that this one's configuration is outdated (observed: two at once)
            raise PermissionDenied("create directory", f"nodes/{host.name}")
        await clock.sleep(POLL)
    log("waiting for quorum...OK")
    log("(re)generate node files")
    await files.make_node_directories()
    await clock.sleep(NODE_FILES)
    log("generate new node certificate")
    await host.certificates.update(force=True)
    log("merge authorized SSH keys")
    await ssh_keys.merge(host)
    log("generated new node certificate, restart pveproxy and pvedaemon services")
    await clock.sleep(SERVICES)
    files.mounted = True
    log(f"successfully added node '{host.name}' to cluster.")
