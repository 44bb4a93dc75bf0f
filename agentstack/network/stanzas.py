# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the interfaces in force make of a host's cards: which of its addresses are up, and with which MTU. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentstack._shared.lists import split_list
from agentstack.interfaces import Interface
from agentstack.stack import HostSpec

DEFAULT_MTU = 1500
_DEEPEST = 8
"""As many interfaces on top of each other as the kernel allows for."""

Carrier = tuple[str, int | None]
"""A card, and the VLAN tag that packets have on it."""


def cards(spec: HostSpec) -> set[str]:
    """The network cards of a host."""
    return {nic.name for nic in spec.nics.values()}


def carriers(found: Mapping[str, Interface], name: str, known: set[str], depth: int = 0) -> set[Carrier]:
    """Where packets of an interface go out. A bond whose card is missing does not come up, a bridge does without."""
    if name in known:
        return {(name, None)}
    interface = found.get(name)
    if interface is None or depth > _DEEPEST:
        return set()
    match interface["type"]:
        case "vlan":
            below = carriers(found, str(interface.get("vlan-raw-device", "")), known, depth + 1)
            return {(card, int(interface["vlan-id"])) for card, tag in below if tag is None}
        case "bond" | "OVSBond":
            ports = split_list(interface.get("slaves") or interface.get("ovs_bonds"))
            if not all(port in known for port in ports):
                return set()
        case "bridge" | "OVSBridge":
            ports = split_list(interface.get("bridge_ports") or interface.get("ovs_ports"))
        case _:
            return set()
    return set().union(*(carriers(found, port, known, depth + 1) for port in ports))


def ports_of(interface: Interface) -> list[str]:
    """The interfaces that a bridge or bond is made of."""
    return [*split_list(interface.get("bridge_ports")), *split_list(interface.get("slaves"))]


def addresses_up(found: Mapping[str, Interface], spec: HostSpec) -> dict[str, tuple[str, int]]:
    """The host's own addresses that some interface has, on the card where their network is: interface and MTU."""
    known = cards(spec)
    up: dict[str, tuple[str, int]] = {}
    for network, address in spec.addresses.items():
        nic = spec.nics[network]
        for name, interface in found.items():
            if interface.get("address") != address or not interface.get("autostart"):
                continue
            if (nic.name, nic.vlan) in carriers(found, name, known):
                up[address] = name, mtu_of(found, name)
    return up


def mtu_of(found: Mapping[str, Interface], name: str, depth: int = 0) -> int:
    """Bytes: the smallest on the way from an interface to its cards."""
    interface: Mapping[str, Any] = found.get(name, {})
    below = ports_of(dict(interface))
    if interface.get("vlan-raw-device"):
        below.append(str(interface["vlan-raw-device"]))
    sizes = [mtu_of(found, port, depth + 1) for port in below if port in found and depth <= _DEEPEST]
    # what is not said is taken from what lies below, where there is anything
    if interface.get("mtu"):
        sizes.append(int(interface["mtu"]))
    return min(sizes, default=DEFAULT_MTU)
