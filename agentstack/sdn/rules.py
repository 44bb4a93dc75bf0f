# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What objects of software-defined networks demand of each other; each check raises AgentError."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.sdn.config import CONTROLLERS, SUBNETS, VNETS, ZONES, ObjectKind, configured

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "no_zone": "zone {zone} doesn't exist",
    "no_vnet": "vnet {vnet} doesn't exist",
    "no_controller": "controller {controller} don't exist",
    "zone_used": "zone {zone} is used by vnet {vnet}",
    "vnet_used": "Can't delete vnet if subnets exists",
    "controller_used": "controller {controller} is used by {zone}",
    "tag_refused": "vlan tag is not allowed on {type} zone",
    "tag_missing": "missing {what} tag",
    "tag_large": "vlan tag max value is 4094",
    "tag_twice": "tag {tag} already exist in vnet {vnet} in zone {zone}",
    "no_network": "invalid CIDR '{cidr}'",
    "gateway": "Gateway {gateway} is not in subnet {subnet}",
}

LARGEST_VLAN = 4094


def check_zone(host: Host, values: Mapping[str, Any]) -> None:
    """The controller of a zone is there."""
    controller = values.get("controller")
    if controller is not None and controller not in configured(host, CONTROLLERS)[0]:
        raise AgentError(TEXTS["no_controller"].format(controller=controller))


def check_vnet(host: Host, ident: str, values: Mapping[str, Any]) -> None:
    """The zone of a vnet is there and takes its tag, which no other vnet of the zone has."""
    zone = configured(host, ZONES)[0].get(values["zone"])
    if zone is None:
        raise AgentError(TEXTS["no_zone"].format(zone=values["zone"]))
    tag = values.get("tag")
    if zone["type"] == "simple" and tag is not None:
        raise AgentError(TEXTS["tag_refused"].format(type="simple"))
    if zone["type"] != "simple" and tag is None:
        what = "vlan" if zone["type"] in ("vlan", "qinq") else "vxlan"
        raise AgentError(TEXTS["tag_missing"].format(what=what))
    if zone["type"] in ("vlan", "qinq") and tag is not None and tag > LARGEST_VLAN:
        raise AgentError(TEXTS["tag_large"])
    for other, known in configured(host, VNETS)[0].items():
        if tag is not None and other != ident and (known["zone"], known.get("tag")) == (values["zone"], tag):
            raise AgentError(TEXTS["tag_twice"].format(tag=tag, vnet=other, zone=values["zone"]))


def subnet_id(host: Host, vnet: str, cidr: str) -> str:
    """`ZONE-10.0.0.0-24`, as subnets are named."""
    known = configured(host, VNETS)[0].get(vnet)
    if known is None:
        raise AgentError(TEXTS["no_vnet"].format(vnet=vnet))
    try:
        network = ipaddress.ip_network(cidr)
    except ValueError:
        raise AgentError(TEXTS["no_network"].format(cidr=cidr)) from None
    return f"{known['zone']}-{network.network_address}-{network.prefixlen}"


def network_of(ident: str) -> str:
    """The network of a subnet's id."""
    address, _, bits = ident.partition("-")[2].rpartition("-")
    return f"{address}/{bits}"


def check_subnet(ident: str, values: Mapping[str, Any]) -> None:
    """The gateway of a subnet lies within."""
    gateway, network = values.get("gateway"), ipaddress.ip_network(network_of(ident))
    if gateway is not None and ipaddress.ip_address(gateway) not in network:
        raise AgentError(TEXTS["gateway"].format(gateway=gateway, subnet=network_of(ident)))


def check_unused(host: Host, kind: ObjectKind, ident: str) -> None:
    """Nothing needs an object that is to go."""
    if kind is ZONES:
        for vnet, values in configured(host, VNETS)[0].items():
            if values["zone"] == ident:
                raise AgentError(TEXTS["zone_used"].format(zone=ident, vnet=vnet))
    if kind is VNETS and any(values["vnet"] == ident for values in configured(host, SUBNETS)[0].values()):
        raise AgentError(TEXTS["vnet_used"])
    if kind is CONTROLLERS:
        for zone, values in configured(host, ZONES)[0].items():
            if values.get("controller") == ident:
                raise AgentError(TEXTS["controller_used"].format(controller=ident, zone=zone))
