# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that a node has not got yet, and that the role base is to give it. Pure. Private to this collection."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from ._machine import Machine
from ._preflight_look import Look, Site

EVERY = "*"


def promised(interfaces: Sequence[Mapping[str, Any]], node: str) -> dict[str, str]:
    """Address to the name of its interface, of a node's elements of M(node_network)'s list.

    What is said of the node itself wins over what is said of every node, as when they are made.
    """
    said: dict[str, Mapping[str, Any]] = {}
    for element in sorted(interfaces, key=lambda each: each.get("node") != EVERY):
        if element.get("node") in (EVERY, node):
            said[str(element.get("name"))] = element
    found: dict[str, str] = {}
    for name, element in said.items():
        if element.get("state", "present") == "present":
            own = (element.get("cidrs") or {}).get(node) or element.get("cidr")
            found |= {str(cidr).partition("/")[0]: name for cidr in (own, element.get("cidr6")) if cidr}
    return found


def promised_in(interfaces: Sequence[Mapping[str, Any]], node: str, cidr: str) -> str | None:
    """The address that a node is to have in a network."""
    network = ipaddress.ip_network(cidr, strict=False)
    return next((each for each in promised(interfaces, node) if ipaddress.ip_address(each) in network), None)


def has(look: Look, address: str) -> bool:
    """Whether a node has an address now, as its API or the host itself says."""
    cidrs = [network.get(key) for network in look.networks for key in ("address", "address6", "cidr", "cidr6")]
    known = {str(each).partition("/")[0] for each in cidrs if each}
    return address in known or (look.machine is not None and look.machine.interface_of(address) is not None)


def links_there(look: Look, interfaces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The node without the links whose addresses are still to be made: nothing can be measured on them."""
    to_come = promised(interfaces, look.name)
    links = [
        link for link in look.node.get("links") or [] if link["address"] not in to_come or has(look, link["address"])
    ]
    return {**look.node, "links": links}


def pending(site: Site) -> list[dict[str, str]]:
    """What could not be looked at: entries of the module's ``pending``."""
    found = []
    for look in site.looks:
        to_come = promised(site.wishes.interfaces, look.name)
        if look.error is not None or not to_come:
            continue
        wanted = {f"link {link['number']}": str(link["address"]) for link in look.node.get("links") or []}
        wanted |= _of_networks(site, look, look.machine) if look.machine else {}
        found += [
            {"node": look.name, "on": on, "address": address, "interface": to_come[address]}
            for on, address in wanted.items()
            if address in to_come and not has(look, address)
        ]
    return found


def _of_networks(site: Site, look: Look, machine: Machine) -> dict[str, str]:
    found = {}
    for network in site.wishes.networks:
        address = promised_in(site.wishes.interfaces, look.name, network["cidr"])
        if address is not None:
            found[f"{network['name']} network"] = address
    return found
