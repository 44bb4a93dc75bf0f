# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/network/interfaces, read as GET /nodes/{node}/network shows it (facts §18; observed: calls, files)."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

TYPES = (
    (re.compile(r"vmbr\d+"), "bridge"),
    (re.compile(r"bond\d+"), "bond"),
    (re.compile(r".+\.\d+|vlan\d+"), "vlan"),
    (re.compile(r".+:\d+"), "alias"),
    (re.compile(r"(?:nic|eth|en|wl)\w*"), "eth"),
)
"""What an interface's name says about its type; its options say more."""

BRIDGE_DEFAULTS = {"bridge_ports": "", "bridge_stp": "off", "bridge_fd": 0}

FIRST_PRIORITY = 2
"""Of the first interface in the file, which is the loopback one."""

RENAMED = {
    "bridge-ports": "bridge_ports",
    "bridge-stp": "bridge_stp",
    "bridge-fd": "bridge_fd",
    "bridge-vids": "bridge_vids",
    "bridge-vlan-aware": "bridge_vlan_aware",
    "bond-slaves": "slaves",
    "bond-mode": "bond_mode",
    "bond-xmit-hash-policy": "bond_xmit_hash_policy",
}
"""Options that the API calls by another name."""


def parse_interfaces(text: str) -> dict[str, dict[str, Any]]:
    """Interfaces by name, without the loopback one; values are texts but for flags and `priority`."""
    found: dict[str, dict[str, Any]] = {}
    auto: set[str] = set()
    current: dict[str, Any] | None = None
    family = ""
    for line in text.splitlines():
        words = line.split()
        if line.startswith("#") and current is not None:
            current["comments"] = f"{current.get('comments', '')}{line[1:]}\n"
        elif not words or line.startswith("#"):
            continue
        elif words[0] in ("auto", "allow-hotplug"):
            auto.update(words[1:])
            current = None
        elif words[0] == "iface" and len(words) >= 4:
            name, family = words[1], words[2]
            current = found.setdefault(name, {"iface": name, "families": [], "priority": FIRST_PRIORITY + len(found)})
            current["families"].append(family)
            current["method" if family == "inet" else "method6"] = words[3]
        elif current is not None and line[0].isspace():
            _set_option(current, family, words[0], " ".join(words[1:]))
    found.pop("lo", None)
    for name, interface in found.items():
        interface.setdefault("method", "manual")
        interface.setdefault("method6", "manual")
        if name in auto:
            interface["autostart"] = 1
        interface["type"] = _type(interface)
        if interface["type"] == "bridge":
            for option, default in BRIDGE_DEFAULTS.items():
                interface.setdefault(option, default)
    return found


def _type(interface: dict[str, Any]) -> str:
    if "bridge_ports" in interface:
        return "bridge"
    if "slaves" in interface:
        return "bond"
    return next((kind for pattern, kind in TYPES if pattern.fullmatch(interface["iface"])), "unknown")


def _set_option(interface: dict[str, Any], family: str, option: str, value: str) -> None:
    end = "" if family == "inet" else "6"
    if option == "address":
        # without a prefix length a `netmask` line follows
        address, _, bits = value.partition("/")
        interface[f"address{end}"] = address
        if bits:
            interface[f"netmask{end}"] = bits
            interface[f"cidr{end}"] = value
    elif option == "netmask":
        address = interface.get(f"address{end}", "0.0.0.0" if family == "inet" else "::")
        bits = str(ipaddress.ip_network(f"{address}/{value}", strict=False).prefixlen)
        interface[f"netmask{end}"], interface[f"cidr{end}"] = bits, f"{address}/{bits}"
    elif option == "gateway":
        interface[f"gateway{end}"] = value
    elif option == "bridge-vlan-aware":
        interface["bridge_vlan_aware"] = 1
    else:
        none_is_empty = option in ("bridge-ports", "bridge_ports") and value == "none"
        interface[RENAMED.get(option, option)] = "" if none_is_empty else value
