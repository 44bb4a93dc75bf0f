# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.wanted_links."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wanted_links
short_description: The corosync links of a cluster with the addresses of its nodes
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Turns the links of each node into the list that O(quorate.pve.corosync_links#module:links) takes.
positional: links
options:
  _input:
    description: The nodes as P(quorate.pve.nodes#filter) gives them.
    type: list
    elements: dict
    required: true
  links:
    description: The links, each with C(number), and C(priority) and C(state) where it has them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Change the links
  quorate.pve.corosync_links:
    links: "{{ site_nodes | quorate.pve.wanted_links(pve_links) }}"
    nodes: "{{ groups[pve_cluster_group] | quorate.pve.shells(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The links with C(addresses) by the name of the node.
  type: list
  elements: dict
  sample: [{number: 0, addresses: {pve1: 10.0.0.11}, priority: 10}]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def wanted_links(nodes: Iterable[Mapping[str, Any]], links: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each of `links` with the addresses of the nodes; one that shall go has none."""
    addresses: dict[int, dict[str, str]] = {}
    for node in nodes:
        for link in node["links"]:
            if link["address"]:
                addresses.setdefault(link["number"], {})[node["name"]] = link["address"]
    return [
        {
            "number": link["number"],
            **({} if link.get("state") == "absent" else {"addresses": addresses.get(link["number"], {})}),
            **{key: link[key] for key in ("priority", "state") if link.get(key) is not None},
        }
        for link in links
    ]


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"wanted_links": wanted_links}
