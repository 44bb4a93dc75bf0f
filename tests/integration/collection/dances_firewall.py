# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules for firewalls. The machine that runs them reaches its nodes from 127.0.0.1."""

from __future__ import annotations

from .dances import MAKE_TANK, NODES, SSH, Dance, Parameters, guest, guests
from .dances_ha import CLUSTER

# minutes of the test's own time: what is changed here must not be put back because the machine is busy
GUARD: Parameters = {
    "nodes": NODES,
    "rollback_after": 6000,
    "timeout": 60,
    "ports": [8006, 22],
    "allow_lock_out": False,
}
GUARD = {**GUARD, **SSH}
API = {"key": "control-api", "type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "8006", "source": "127.0.0.1"}
SHELL = {"key": "control-ssh", "type": "in", "action": "ACCEPT", "macro": "SSH", "source": "127.0.0.0/8"}
PING = {"key": "ping", "type": "in", "action": "DROP", "proto": "icmp", "icmp_type": "echo-request", "enable": False}
GUEST: Parameters = {"scope": "guest", "guest": 101}
WEB: Parameters = {"scope": "group", "group": "web"}
HTTPS = {**WEB, "key": "https", "type": "in", "action": "ACCEPT", "macro": "HTTPS", "comment": "for everybody"}

DANCES: dict[str, Dance] = {
    "security_groups": Dance(
        (
            {"groups": [{"name": "web", "comment": "web servers"}, {"name": "db"}]},
            {"groups": [{"name": "web", "comment": ""}, {"name": "db", "state": "absent"}]},
            {"groups": [{"name": "db"}]},
            {"groups": [{"name": "web"}], "purge": True, "purge_limit": "100%"},
        ),
        before=(*CLUSTER[:2], MAKE_TANK, guests(guest(101))),
    ),
    "firewall_aliases": Dance(
        (
            {"aliases": [{"name": "office", "cidr": "198.51.100.0/24", "comment": "us"}]},
            {
                "aliases": [
                    {"name": "office", "cidr": "198.51.100.0/25"},
                    {**GUEST, "name": "peer", "cidr": "192.0.2.9"},
                ]
            },
            {"aliases": [{"name": "office", "comment": ""}, {**GUEST, "name": "peer", "state": "absent"}]},
            {"aliases": [], "purge": True, "purge_limit": "100%"},
        )
    ),
    "ip_sets": Dance(
        (
            {
                "sets": [
                    {"name": "office", "members": ["198.51.100.0/24", {"cidr": "198.51.100.7", "nomatch": True}]},
                    {**GUEST, "name": "peers", "comment": "who may", "members": ["192.0.2.9"]},
                ]
            },
            {
                "sets": [
                    {"name": "office", "comment": "us", "members": [{"cidr": "198.51.100.0/24", "comment": "all"}]},
                    {**GUEST, "name": "peers", "comment": "", "members": []},
                ]
            },
            {"sets": [{**GUEST, "name": "peers", "state": "absent"}], "purge": True, "purge_limit": "100%"},
        )
    ),
    "firewall_rules": Dance(
        (
            {
                "rules": [
                    API,
                    SHELL,
                    {"scope": "node", "node": "pve1", **PING},
                    {**GUEST, "key": "web", "type": "group", "action": "web", "iface": "net0"},
                    HTTPS,
                ],
                **GUARD,
            },
            {
                "rules": [
                    SHELL,
                    {**API, "log": "info", "dport": "8006,3128", "dest": "127.0.0.0/8"},
                    {**HTTPS, "comment": ""},
                    {**WEB, "key": "dns", "type": "out", "action": "ACCEPT", "proto": "udp", "sport": "53"},
                ],
                **GUARD,
            },
            {
                "rules": [
                    {"scope": "node", "node": "pve1", "key": "ping", "state": "absent"},
                    {**HTTPS, "comment": ""},
                ],
                "purge": True,
                "purge_limit": "100%",
                **GUARD,
                "allow_lock_out": True,
            },
        )
    ),
    "firewall_options": Dance(
        (
            {
                "firewalls": [
                    {"scope": "cluster", "options": {"enable": True, "policy_in": "DROP"}},
                    {"scope": "node", "node": "pve2", "options": {"log_level_in": "info"}},
                    {**GUEST, "options": {"enable": True, "macfilter": False}},
                ],
                **GUARD,
            },
            {
                "firewalls": [
                    {"options": {"enable": False, "policy_in": None}},
                    {**GUEST, "options": {"enable": None}},
                ],
                **GUARD,
                "allow_lock_out": True,
            },
        )
    ),
}
