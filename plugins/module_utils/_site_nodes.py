# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of one cluster as the inventory describes them. Private to this collection."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, TypedDict


class LinkAddress(TypedDict):
    """A node's end of one corosync link."""

    number: int
    address: str | None


class Node(TypedDict):
    """One node of a cluster: `where` is its host in the inventory, `name` its own name; a `voter` only votes."""

    where: str
    name: str
    address: str | None
    fingerprint: str | None
    host_key: str | None
    voter: bool
    links: list[LinkAddress]
    site: NotRequired[str]


def node_table(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], links: Iterable[Mapping[str, Any]] | None = None
) -> list[Node]:
    """The nodes in the inventory's order, from each host's pve_node, pve_address, pve_fingerprint, pve_link_addresses,
    pve_site.

    An address that cannot be told is None: finding fault is the business of _site_checks.
    """
    return [_node(host, hostvars[host], list(links or [])) for host in hosts]


def _node(host: str, variables: Mapping[str, Any], links: list[Mapping[str, Any]]) -> Node:
    address = variables.get("pve_address")
    own = {str(number): value for number, value in (variables.get("pve_link_addresses") or {}).items()}
    node: Node = {
        "where": host,
        "name": variables.get("pve_node") or host.partition(".")[0],
        "address": address,
        "fingerprint": variables.get("pve_fingerprint"),
        "host_key": variables.get("pve_ssh_host_key"),
        "voter": bool(variables.get("pve_voter")),
        "links": [
            {
                "number": link["number"],
                "address": own.get(str(link["number"])) or address_in(link.get("network"), address),
            }
            for link in links
            if isinstance(link, Mapping) and "number" in link and link.get("state") != "absent"
        ],
    }
    if variables.get("pve_site"):
        node["site"] = str(variables["pve_site"])
    return node


def address_in(network: str | None, address: str | None) -> str | None:
    """`address` itself if it lies in `network`, else the address with its host part there; None if there is no telling.

    The guess is safe: a node refuses to create or join a cluster with a link address that is not its own.
    """
    if not network or not address:
        return None
    try:
        net = ipaddress.ip_network(network, strict=False)
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if ip.version != net.version:
        return None
    return str(ip if ip in net else net[int(ip) & int(net.hostmask)])
