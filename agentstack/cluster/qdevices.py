# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pvecm qdevice setup` and `remove`: the steps on all nodes and on the witness (facts §6.6).

The certificates go the way that corosync-qdevice-net-certutil(8) describes; every step is a command on its host.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agentstack._shared import corosync_change
from agentstack._shared.corosync_conf import CorosyncConfError, QDevice
from agentstack.cluster import operations, ssh_client
from agentstack.cluster.operations import Log
from agentstack.errors import AgentError
from agentstack.shell.registry import CommandIO, command
from agentstack.shell.rootfs import RootFs
from agentstack.witness import certificates

if TYPE_CHECKING:
    from agentstack.host import Host

QNETD, QDEVICE = f"/{certificates.QNETD}", f"/{certificates.QDEVICE}"


@dataclass(frozen=True)
class Wanted:
    """What was asked for. `network`: nodes that have an address in it reach the witness from there."""

    address: str
    network: str | None = None
    force: bool = False


class Place(Protocol):
    """A host on which steps are taken: this one, or another over SSH."""

    async def run(self, *words: str) -> str:
        """Run a command; gives its output, raises AgentError with what it said."""

    async def read(self, path: str) -> bytes:
        """The content of a file."""

    async def write(self, path: str, content: bytes) -> None:
        """Replace the content of a file."""


class Here:
    """This host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.fs = RootFs(host)

    async def run(self, *words: str) -> str:
        io = CommandIO()
        if await command.run(self.host, shlex.join(words), io) != 0:
            raise AgentError(io.stderr.decode(errors="replace").strip())
        return (io.stdout + io.stderr).decode(errors="replace")

    async def read(self, path: str) -> bytes:
        return self.fs.read(path)

    async def write(self, path: str, content: bytes) -> None:
        self.fs.resolve(path).local.write_bytes(content)


async def setup(host: Host, wanted: Wanted, log: Log) -> None:
    """Make a host the witness of this cluster. AgentError if it cannot be; what was done by then stays.

    The witness has to accept root's key of this node already: a password would be asked for on a terminal, which a
    command over SSH does not have.
    """
    conf = operations.cluster_conf(host)
    require_all_online(host)
    try:
        # an answer that needs nobody else comes first
        corosync_change.add_qdevice(conf, wanted.address, force=wanted.force)
    except CorosyncConfError as error:
        raise AgentError(str(error)) from error
    if wanted.network is not None:
        _check_network(host, wanted.network)
    name = conf.totem.cluster_name
    async with AsyncExitStack() as stack:
        witness = await stack.enter_async_context(ssh_client.connect(host, wanted.address))
        nodes = await stack.enter_async_context(_every_node(host))
        log("\nINFO: initializing qnetd server")
        await _step(log, witness, "corosync-qnetd-certutil", "-i")
        log("\nINFO: copying CA cert and initializing on all nodes")
        authority = await witness.read(f"{QNETD}/{certificates.CA_CERTIFICATE}")
        for node, place in nodes.items():
            await _init_node(log, node, place, authority)
        log("\nINFO: generating cert request")
        here = nodes[host.name]
        await _step(log, here, "corosync-qdevice-net-certutil", "-r", "-n", name)
        log("\nINFO: copying exported cert request to qnetd server")
        await witness.write(f"{QNETD}/{certificates.REQUEST}", await here.read(f"{QDEVICE}/{certificates.REQUEST}"))
        log("\nINFO: sign and export cluster cert")
        await _step(log, witness, "corosync-qnetd-certutil", "-s", "-c", f"{QNETD}/{certificates.REQUEST}", "-n", name)
        log("\nINFO: copy exported CRT")
        signed = f"cluster-{name}.crt"
        await here.write(f"{QDEVICE}/{signed}", await witness.read(f"{QNETD}/{signed}"))
        log("\nINFO: import certificate")
        await _step(log, here, "corosync-qdevice-net-certutil", "-M", "-c", f"{QDEVICE}/{signed}")
        log("\nINFO: copy and import pk12 cert to all nodes")
        bundle = await here.read(f"{QDEVICE}/{certificates.BUNDLE}")
        for node, place in nodes.items():
            if place is not here:
                await place.write(f"{QDEVICE}/{certificates.BUNDLE}", bundle)
                words = ("corosync-qdevice-net-certutil", "-m", "-c", f"{QDEVICE}/{certificates.BUNDLE}")
                await _step(log, place, *words, prefix=f"\nnode '{node}': ")
        log("INFO: add QDevice to cluster configuration")
        await _change(host, QDevice(wanted.address), force=wanted.force)
        for node, place in nodes.items():
            log(f"\nINFO: start and enable corosync qdevice daemon on node '{node}'...")
            await _step(log, place, "systemctl", "enable", "corosync-qdevice")
            await place.run("systemctl", "start", "corosync-qdevice")
    log("Reloading corosync.conf...\nDone")
    host.cluster.corosync.reload_everywhere()


async def remove(host: Host, log: Log) -> None:
    """Do without the witness again."""
    conf = operations.cluster_conf(host)
    require_all_online(host)
    if conf.device is None:
        raise AgentError("No QDevice configured!")
    await _change(host, None)
    async with _every_node(host) as nodes:
        for place in nodes.values():
            await _step(log, place, "systemctl", "disable", "corosync-qdevice")
            await place.run("systemctl", "stop", "corosync-qdevice")
    log("Reloading corosync.conf...\nDone")
    host.cluster.corosync.reload_everywhere()
    log("\nRemoved Qdevice.")


def require_all_online(host: Host) -> None:
    """AgentError if a node is missing: the device has to be known to all of them."""
    host.files.require_quorum()
    for node in host.cluster.nodes():
        if not node.online:
            raise AgentError(f"All nodes must be online! Node {node.name} is offline, aborting.")


def _check_network(host: Host, network: str) -> None:
    try:
        wanted = ipaddress.ip_network(network)
    except ValueError as error:
        raise AgentError(
            f"network: invalid format - value does not look like a valid CIDR network ({error})"
        ) from error
    if not any(ipaddress.ip_address(own) in wanted for own in host.addresses.values()):
        raise AgentError(f"no address found in network '{network}'")


@asynccontextmanager
async def _every_node(host: Host) -> AsyncIterator[dict[str, Place]]:
    """All nodes of the cluster by name, this one first."""
    async with AsyncExitStack() as stack:
        places: dict[str, Place] = {host.name: Here(host)}
        for node in sorted(host.cluster.nodes(), key=lambda node: node.name):
            if not node.local:
                address = host.cluster.address_of(node.name) or node.name
                places[node.name] = await stack.enter_async_context(ssh_client.connect(host, address))
        yield places


async def _init_node(log: Log, node: str, place: Place, authority: bytes) -> None:
    path = f"{QDEVICE}/{certificates.CA_CERTIFICATE}"
    await place.run("mkdir", "-p", QDEVICE)
    await place.write(path, authority)
    await _step(log, place, "corosync-qdevice-net-certutil", "-i", "-c", path, prefix=f"\nnode '{node}': ")


async def _step(log: Log, place: Place, *words: str, prefix: str = "") -> None:
    """Run a command and log what it says, each line after `prefix`."""
    said = await place.run(*words)
    for line in said.splitlines():
        log(f"{prefix}{line}")


async def _change(host: Host, device: QDevice | None, *, force: bool = False) -> None:
    async with host.files.lock("file-corosync_conf"):
        conf = operations.cluster_conf(host)
        try:
            changed = (
                corosync_change.remove_qdevice(conf)
                if device is None
                else corosync_change.add_qdevice(conf, device.host, force=force)
            )
        except CorosyncConfError as error:
            raise AgentError(str(error)) from error
        await operations.write_conf(host, changed)
