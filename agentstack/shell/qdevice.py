# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The witness's own commands: certutil on both sides, and the tools that show its state (corosync-qdevice(8))."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentstack.shell.registry import CommandIO, command
from agentstack.shell.rootfs import RootFs
from agentstack.stack import QNETD_PORT
from agentstack.witness import certificates
from agentstack.witness.split import ALGORITHMS, TIE_BREAKER

if TYPE_CHECKING:
    from agentstack.host import Host

QNETD_DB, QDEVICE_DB = f"/{certificates.QNETD}", f"/{certificates.QDEVICE}"


def _not_found(io: CommandIO, name: str) -> int:
    io.err(f"bash: {name}: command not found\n")
    return 127


@command("corosync-qnetd-certutil", kinds=("witness",))
async def qnetd_certutil(host: Host, argv: list[str], io: CommandIO) -> int:
    if not host.packages.has("corosync-qnetd"):
        return _not_found(io, "corosync-qnetd-certutil")
    directory = host.root / certificates.QNETD
    match argv:
        case ["-i"] if (directory / certificates.CA_CERTIFICATE).exists():
            io.out(f"Certificate database ({QNETD_DB}) already exists. Delete it to initialize new db\n")
        case ["-i"]:
            await asyncio.to_thread(host.qnetd.init_certificates)
            io.out(f"Creating {QNETD_DB}\nCreating new key and cert db\nCreating new CA\nCreating server cert\n")
        case ["-s", "-c", path, "-n", cluster]:
            request = RootFs(host).read(path)
            signed = await asyncio.to_thread(certificates.sign, directory, request, host.clock.now())
            name = f"cluster-{cluster}.crt"
            (directory / name).write_bytes(signed)
            io.out(f"Signing cluster certificate\nCertificate stored in {QNETD_DB}/{name}\n")
        case _:
            io.err("corosync-qnetd-certutil: -i|-s [-c certificate] [-n cluster_name]\n")
            return 1
    return 0


@command("corosync-qdevice-net-certutil")
async def qdevice_certutil(host: Host, argv: list[str], io: CommandIO) -> int:
    if not host.packages.has("corosync-qdevice"):
        return _not_found(io, "corosync-qdevice-net-certutil")
    directory = host.root / certificates.QDEVICE
    fs = RootFs(host)
    match argv:
        case ["-i", "-c", path]:
            authority = fs.read(path)
            directory.mkdir(parents=True, exist_ok=True)
            (directory / certificates.CA_CERTIFICATE).write_bytes(authority)
            io.out(f"Creating {QDEVICE_DB}\nCreating new key and cert db\nImporting CA\n")
        case ["-r", "-n", cluster]:
            await asyncio.to_thread(certificates.request, directory, cluster)
            io.out("Creating new certificate request\n\n\nGenerating key.  This may take a few moments...\n\n")
            io.out(f"Certificate request stored in {QDEVICE_DB}/{certificates.REQUEST}\n")
        case ["-M", "-c", path]:
            certificates.import_signed(directory, fs.read(path))
            io.out("Importing signed cluster certificate\n")
            io.out("Notice: Trust flag u is set automatically if the private key is present.\n")
            io.out(f"pk12util: PKCS12 EXPORT SUCCESSFUL\nCertificate stored in {QDEVICE_DB}/{certificates.BUNDLE}\n")
        case ["-m", "-c", path]:
            certificates.import_bundle(directory, fs.read(path))
            io.out("Importing cluster certificate and key\npk12util: PKCS12 IMPORT SUCCESSFUL\n")
        case _:
            io.err("corosync-qdevice-net-certutil: [-i|-m|-M|-r|-s|-Q] [-c certificate] [-n cluster_name]\n")
            return 1
    return 0


def device_facts(host: Host) -> dict[str, str]:
    """What the device's daemon says of itself, by the tool's own names; empty if it does not run."""
    device, view = host.qdevice.device, host.cluster.view
    if not host.qdevice.running or device is None or view is None:
        return {}
    return {
        "Model": "Net",
        "QNetd host": f"{device.host}:{QNETD_PORT}",
        "Algorithm": ALGORITHMS.get(device.algorithm, device.algorithm),
        "Tie-breaker": TIE_BREAKER,
        "State": "Connected" if host.qdevice.connected else "Connect failed",
    }


@command("corosync-qdevice-tool")
async def qdevice_tool(host: Host, argv: list[str], io: CommandIO) -> int:
    if not host.packages.has("corosync-qdevice"):
        return _not_found(io, "corosync-qdevice-tool")
    facts, view, config = device_facts(host), host.cluster.view, host.cluster.config
    if not facts or view is None or config is None:
        io.err("Can't connect to QDevice socket (is QDevice running?): No such file or directory\n")
        return 2
    nodes = "".join(f"    {place}\tNode ID = {node.nodeid}\n" for place, node in enumerate(config.nodes))
    io.out(
        "Qdevice information\n-------------------\n"
        f"Model:\t\t\t{facts['Model']}\nNode ID:\t\t{host.cluster.node_id}\nConfigured node list:\n{nodes}"
        f"Membership node list:\t{', '.join(map(str, sorted(view.members)))}\n\n"
        "Qdevice-net information\n----------------------\n"
        f"Cluster name:\t\t{host.cluster.cluster_name}\nQNetd host:\t\t{facts['QNetd host']}\n"
        f"Algorithm:\t\t{facts['Algorithm']}\nTie-breaker:\t\t{facts['Tie-breaker']}\nState:\t\t\t{facts['State']}\n"
    )
    return 0


@command("corosync-qnetd-tool", kinds=("witness",))
async def qnetd_tool(host: Host, argv: list[str], io: CommandIO) -> int:
    if not host.packages.has("corosync-qnetd"):
        return _not_found(io, "corosync-qnetd-tool")
    if not host.qnetd.running:
        io.err("Can't connect to QNetd socket (is QNetd running?): No such file or directory\n")
        return 2
    clusters = host.qnetd.clusters
    if argv[:1] == ["-s"]:
        connected = sum(map(len, clusters.values()))
        io.out(
            f"QNetd address:\t\t\t*:{QNETD_PORT}\nTLS:\t\t\t\tSupported (client certificate required)\n"
            f"Connected clients:\t\t{connected}\nConnected clusters:\t\t{len(clusters)}\n"
        )
        return 0
    if argv[:1] != ["-l"]:
        io.err("usage: corosync-qnetd-tool -l|-s [-v] [-c cluster_name]\n")
        return 1
    for name, clients in sorted(clusters.items()):
        first = next(iter(clients.values()))
        io.out(f'Cluster "{name}":\n    Algorithm:\t\t{ALGORITHMS.get(first.algorithm, first.algorithm)}\n')
        io.out(f"    Tie-breaker:\t{TIE_BREAKER}\n")
        for node, client in sorted(clients.items()):
            members = sorted(client.report.members) if client.report is not None else []
            vote = "ACK (ACK)" if client.vote else "NACK (NACK)"
            io.out(
                f"    Node ID {node}:\n        Client address:\t\t::ffff:{client.address}\n"
                f"        Configured node list:\t{', '.join(map(str, client.nodes))}\n"
                f"        Membership node list:\t{', '.join(map(str, members))}\n        Vote:\t\t\t{vote}\n"
            )
    return 0
