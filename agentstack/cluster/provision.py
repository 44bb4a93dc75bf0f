# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks that start clustered: what every node finds configured at its first boot, as if it had joined long ago.

All nodes get the same corosync.conf and key. The first one of the cluster brings the first /etc/pve along; the others
start with none and take that over, keys of tickets and CA included.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from agentstack import statedir
from agentstack._shared.corosync_change import add_node, new_cluster
from agentstack._shared.corosync_conf import CorosyncConf, Node
from agentstack.cluster.operations import AUTHKEY_BYTES, COEFFICIENT, CONF, write_authkey

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.stack import ClusterSpec

LAST = "pve-www.key"
"""What a first node makes last at its first boot (`access`): whoever sees it has a complete /etc/pve."""


def cluster_of(host: Host) -> ClusterSpec | None:
    """The cluster that the host is in from its first boot on; None for one that starts fresh."""
    return next((cluster for cluster in host.stack.clusters if host.name in cluster.nodes), None)


def configure(host: Host) -> None:
    """Write corosync's configuration and key, at the first boot of a host that starts clustered."""
    cluster = cluster_of(host)
    if cluster is None or host.cluster.config_file.exists() or host.files.has_content:
        return
    # all hosts come to the same key without talking to each other
    secret = f"{statedir.root_password(host.state.parent.parent)}/{cluster.name}".encode()
    write_authkey(host, hashlib.shake_256(secret).digest(AUTHKEY_BYTES))
    host.cluster.write_config(conf_of(host, cluster).format())


def conf_of(host: Host, cluster: ClusterSpec) -> CorosyncConf:
    """The configuration that creating the cluster and joining its nodes would have led to."""
    conf: CorosyncConf | None = None
    for name in cluster.nodes:
        spec = host.stack.hosts[name]
        addresses = {number: spec.addresses[link] for number, link in enumerate(cluster.links)}
        if conf is None:
            coefficient = COEFFICIENT if spec.release.startswith("9") else None
            conf = new_cluster(cluster.name, Node(name, 1, addresses), token_coefficient=coefficient)
        else:
            conf = add_node(conf, name, addresses)
    assert conf is not None
    return conf


def bring_files(host: Host) -> None:
    """On the first node, before it meets the others: the start of their common /etc/pve."""
    cluster = cluster_of(host)
    if cluster is None or host.name != cluster.nodes[0] or host.files.has_content:
        return
    host.files.bring(CONF, host.cluster.config_file.read_text())
    if cluster.description is not None:
        host.files.bring("datacenter.cfg", "".join(f"#{line}\n" for line in cluster.description.splitlines()))


async def wait_for_first_files(host: Host) -> None:
    """Return when something may be written: whoever of the others writes before the first node has brought the common
    /etc/pve would have the newer one, and the first node's would be lost."""
    cluster = cluster_of(host)
    if cluster is not None and host.name != cluster.nodes[0]:
        await host.files.wait_until(lambda: host.files.has_content)


async def wait_for_files(host: Host) -> None:
    """Return when /etc/pve is here and complete enough to serve from: at the first boot of a host that starts
    clustered, and at a boot after a join that was cut off."""
    files, cluster = host.files, cluster_of(host)
    await files.wait_until(lambda: files.has_content and files.has_directories)
    if cluster is not None and host.name != cluster.nodes[0]:
        await files.wait_until(lambda: files.exists(LAST))
