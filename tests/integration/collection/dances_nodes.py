# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules for what nodes are set up with: names, time, packages, certificates, interfaces."""

from __future__ import annotations

import time

from agentstack import x509

from .dances import NODES, SSH, Dance, Parameters
from .dances_ha import CLUSTER

KEY = "pve2c-0123456789"
OTHER_KEY = "pve2c-9876543210"
PLUGIN: Parameters = {"id": "provider", "type": "dns", "api": "cf", "data": {"CF_Token": "geheim"}}
# minutes of the test's own time: what is changed here must not be put back because the machine is busy
NETWORK: Parameters = {"nodes": NODES, "rollback_after": 6000, "timeout": 60, **SSH}
CARDS = [{"node": f"pve{number}", "name": "nic1", "type": "eth", "cidr": f"{{link1_{number}}}/24"} for number in (1, 2)]
BARE = {"node": "*", "name": "nic1", "type": "eth", "cidr": "", "autostart": False}
BOND: Parameters = {
    "node": "*",
    "name": "bond0",
    "type": "bond",
    "cidrs": {"pve1": "{link1_1}/24", "pve2": "{link1_2}/24"},
    "bond_slaves": ["nic1"],
    "bond_mode": "802.3ad",
    "bond_xmit_hash_policy": "layer3+4",
    "bond_lacp_rate": "fast",
}
BRIDGE: Parameters = {
    "node": "*",
    "name": "vmbr1",
    "type": "bridge",
    "bridge_ports": ["bond0"],
    "bridge_vlan_aware": True,
    "bridge_vids": "2-100",
    "mtu": 1500,
    "comments": "for guests",
}


def certificate(node: str) -> Parameters:
    pair = x509.make_self_signed("Example", "Test", f"{node}.example.org", [], time.time())
    return {"node": node, "certificate": pair.certificate.decode(), "key": pair.key.decode()}


FIRST, SECOND = certificate("pve1"), certificate("pve1")

DANCES: dict[str, Dance] = {
    "node_dns": Dance(
        (
            {"dns": [{"node": "*", "search": "example.org", "servers": ["192.0.2.1", "192.0.2.2"]}]},
            {"dns": [{"node": "*", "servers": ["192.0.2.3"]}, {"node": "pve2", "search": "lan"}]},
        ),
        before=CLUSTER[:2],
    ),
    "node_time": Dance(
        (
            {"times": [{"node": "*", "timezone": "Europe/Vienna"}]},
            {"times": [{"node": "pve2", "timezone": "UTC"}]},
        )
    ),
    "node_hosts": Dance(
        (
            {
                "hosts": [
                    {
                        "node": "*",
                        "entries": [
                            {"address": "192.0.2.9", "names": ["nas.example.org", "nas"]},
                            {"address": "192.0.2.8", "names": ["mail"]},
                        ],
                    }
                ]
            },
            {
                "hosts": [
                    {
                        "node": "*",
                        "entries": [
                            {"address": "192.0.2.10", "names": ["nas.example.org"]},
                            {"names": "mail", "state": "absent"},
                        ],
                    }
                ]
            },
        )
    ),
    "node_repositories": Dance(
        (
            {
                "repositories": [
                    {"node": "*", "handle": "enterprise", "enabled": False},
                    {"node": "*", "handle": "no-subscription"},
                    {"node": "pve1", "handle": "ceph-squid-no-subscription"},
                ]
            },
            {
                "repositories": [
                    {"node": "*", "handle": "enterprise"},
                    {"node": "*", "handle": "no-subscription", "enabled": False},
                    {"node": "pve1", "handle": "ceph-squid-no-subscription", "enabled": False},
                ]
            },
        )
    ),
    "node_subscription": Dance(
        (
            {"subscriptions": [{"node": "*", "key": KEY}]},
            {"subscriptions": [{"node": "pve2", "key": OTHER_KEY}]},
            {"subscriptions": [{"node": "*", "state": "absent"}]},
        )
    ),
    "node_certificates": Dance(
        (
            {"certificates": [FIRST]},
            {"certificates": [{**SECOND, "force": True}]},
            {"certificates": [{"node": "pve1", "state": "absent"}]},
        )
    ),
    "node_system": Dance(
        (
            {"systems": [{"node": "*", "chrony_servers": ["192.0.2.1", "192.0.2.2"]}], "nodes": NODES, **SSH},
            {
                "systems": [
                    {"node": "pve1", "chrony_servers": [], "watchdog_module": "ipmi_watchdog", "zfs_arc_max": "1G"},
                    {"node": "*", "zfs_arc_max": "2G"},
                ],
                "nodes": NODES,
                **SSH,
            },
        )
    ),
    "node_network": Dance(
        (
            {"interfaces": [BARE, BOND, BRIDGE], "allow_address_change": True, **NETWORK},
            {
                "interfaces": [
                    {**BOND, "bond_lacp_rate": "slow", "bond_primary": "nic1"},
                    {"node": "*", "name": "vmbr1", "type": "bridge", "comments": "", "bridge_vlan_aware": False},
                    {"node": "pve1", "name": "vmbr1.20", "type": "vlan", "cidr": "10.9.9.1/24", "gateway": "10.9.9.2"},
                    {"node": "pve1", "name": "vlan30", "type": "vlan", "vlan_id": 30, "vlan_raw_device": "vmbr1"},
                    {"node": "pve2", "name": "vmbr1.20", "type": "vlan", "cidr6": "fd00::1/64", "gateway6": "fd00::2"},
                ],
                **NETWORK,
            },
            {
                "interfaces": [
                    {"node": "pve1", "name": "vlan30", "state": "absent"},
                    {"node": "*", "name": "vmbr1.20", "state": "absent"},
                    {"node": "*", "name": "vmbr1", "state": "absent"},
                    {"node": "*", "name": "bond0", "state": "absent"},
                    *CARDS,
                ],
                "allow_address_change": True,
                **NETWORK,
            },
        )
    ),
    "acme_plugins": Dance(
        (
            {"plugins": [{**PLUGIN, "nodes": ["pve1"], "validation_delay": 60}]},
            {"plugins": [{"id": "provider", "nodes": [], "disable": True}]},
            {"plugins": [{"id": "provider", "data": {"CF_Token": "anders"}, "settings": {"CF_Zone_ID": "0a1b2c"}}]},
            {"plugins": [], "purge": True, "purge_limit": "100%"},
        ),
    ),
    "acme_domains": Dance(
        (
            {"domains": [{"node": "pve1", "account": "default", "domains": ["pve1.example.org", "pve.example.org"]}]},
            {"domains": [{"node": "pve1", "domains": ["pve1.example.org"], "plugin": "standalone"}]},
            {"domains": [{"node": "pve1", "account": "", "domains": [], "plugin": ""}]},
        )
    ),
}
# `state` of every module that has one, as an element that counts as not written
DANCES["acme_plugins"].steps[1]["plugins"].append({"id": "none", "state": "ignore"})
DANCES["node_network"].steps[1]["interfaces"].append({"node": "pve1", "name": "none0", "state": "ignore"})
