# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of /etc/pve that exist only while they are read, in the layout that tools expect (observed: files)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.cluster.files import ClusterFiles
    from agentstack.cluster.membership import Membership

OBSERVED = (
    "corosync.conf", "corosync.conf.new", "storage.cfg", "user.cfg", "domains.cfg", "notifications.cfg",
    "priv/notifications.cfg", "priv/shadow.cfg", "priv/acme/plugins.cfg", "priv/tfa.cfg", "priv/token.cfg",
    "priv/wg-keys.cfg", "datacenter.cfg", "vzdump.cron", "vzdump.conf", "jobs.cfg", "ha/crm_commands",
    "ha/manager_status", "ha/resources.cfg", "ha/rules.cfg", "ha/groups.cfg", "ha/fence.cfg", "status.cfg",
    "replication.cfg", "ceph.conf", "sdn/vnets.cfg", "sdn/zones.cfg", "sdn/controllers.cfg", "sdn/subnets.cfg",
    "sdn/ipams.cfg", "sdn/mac-cache.json", "sdn/pve-ipam-state.json", "sdn/dns.cfg", "sdn/fabrics.cfg",
    "sdn/route-maps.cfg", "sdn/prefix-lists.cfg", "sdn/.running-config", "virtual-guest/cpu-models.conf",
    "virtual-guest/profiles.cfg", "firewall/cluster.fw", "mapping/directory.cfg", "mapping/pci.cfg",
    "mapping/usb.cfg",
)  # fmt: skip
"""The files whose changes `.version` counts."""

RRD = "rrd/"
"""Status keys that begin so are statistics and stand in `.rrd`."""


class Generated:
    """The generated files of one host, by name."""

    def __init__(self, files: ClusterFiles, membership: Membership, started: float) -> None:
        self.files = files
        self.membership = membership
        self.started = int(started)
        self.counts = dict.fromkeys(OBSERVED, 1)
        self.vmlist_version = 1
        self.guest_versions: dict[int, int] = {}
        self.makers = {
            ".clusterlog": self.cluster_log,
            ".debug": lambda: "0\n",
            ".members": self.members,
            ".rrd": self.rrd,
            ".version": self.version,
            ".vmlist": self.vmlist,
        }

    def count(self, path: str) -> None:
        """A file has changed."""
        if path in self.counts:
            self.counts[path] += 1

    def count_guest(self, vmid: int) -> None:
        """A guest's configuration has changed, appeared, moved or gone."""
        self.vmlist_version += 1
        self.guest_versions[vmid] = self.guest_versions.get(vmid, 0) + 1

    def members(self) -> str:
        membership = self.membership
        head = f'{{\n"nodename": "{membership.host.name}",\n"version": {membership.version}'
        if not membership.in_cluster:
            return f"{head}\n}}\n"
        nodes = membership.nodes()
        lines = []
        for node in nodes:
            address = f', "ip": "{node.address}"' if node.address else ""
            lines.append(f'  "{node.name}": {{ "id": {node.node_id}, "online": {int(node.online)}{address}}}')
        cluster = (
            f'"cluster": {{ "name": "{membership.cluster_name}", "version": {membership.config_version}, '
            f'"nodes": {len(nodes)}, "quorate": {int(membership.quorate)} }}'
        )
        return f'{head},\n{cluster},\n"nodelist": {{\n' + ",\n".join(lines) + "\n  }\n}\n"

    def vmlist(self) -> str:
        lines = [
            f'"{vmid}": {{ "node": "{guest.node}", "type": "{guest.type}", '
            f'"version": {self.guest_versions.get(vmid, 1)} }}'
            for vmid, guest in sorted(self.files.guests().items())
        ]
        return f'{{\n"version": {self.vmlist_version},\n"ids": {{\n' + ",\n".join(lines) + "}\n\n}\n"

    def version(self) -> str:
        head = {
            "starttime": self.started,
            "clinfo": self.membership.version,
            "vmlist": self.vmlist_version,
            **self.counts,
        }
        nodes = []
        for node, keys in sorted(self.files.kvstore.nodes.items()):
            values = ",\n".join(f'"{key}": {kept.version}' for key, kept in keys.items() if not key.startswith(RRD))
            nodes.append(f'"{node}": {{\n{values}}}\n')
        lines = "".join(f'"{name}": {count},\n' for name, count in head.items())
        return f'{{\n{lines}"kvstore": {{\n' + ",\n".join(node.rstrip("\n") + "\n" for node in nodes) + "}\n}\n"

    def rrd(self) -> str:
        lines = [
            f"{key.removeprefix(RRD)}:{kept.value}\n"
            for keys in self.files.kvstore.nodes.values()
            for key, kept in keys.items()
            if key.startswith(RRD)
        ]
        return "".join(lines)

    def cluster_log(self) -> str:
        lines = ",\n".join(json.dumps(entry) for entry in self.files.log.newest())
        return f'{{\n"data": [\n{lines}\n]\n}}\n'
