# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.shells."""

from __future__ import annotations

DOCUMENTATION = r"""
name: shells
short_description: How to reach a cluster's nodes over SSH
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Makes of inventory hosts the list that modules with commands over SSH take, such as
    O(quorate.pve.ceph_install#module:nodes).
positional: hostvars, only
options:
  _input:
    description: Names of the inventory hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts.
    type: dict
    required: true
  only:
    description: Names of the nodes that are wanted; all if it is not given.
    type: list
    elements: str
  power:
    description: Whether to say how the nodes' power buttons are reached, too.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Install Ceph on all nodes
  quorate.pve.ceph_install:
    release: squid
    nodes: "{{ groups[pve_cluster_group] | quorate.pve.shells(hostvars) }}"
"""

RETURN = r"""
_value:
  description:
    - C(node), C(address) and, if C(pve_ssh_host_key) is set, C(host_key) of every host; with O(power), also C(power) of
      those with C(pve_power).
  type: list
  elements: dict
  sample: [{node: pve1, address: 192.0.2.11}]
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._plain import plain
from ansible_collections.quorate.pve.plugins.module_utils._site_nodes import node_table


def shells(
    hosts: list[str], hostvars: Mapping[str, Any], only: list[str] | None = None, *, power: bool = False
) -> list[dict[str, Any]]:
    """The addresses and host keys of nodes, and their power buttons."""
    result = []
    for host, node in zip(hosts, node_table(hosts, hostvars), strict=True):
        if only is not None and node["name"] not in only:
            continue
        entry: dict[str, Any] = {"node": node["name"], "address": str(node["address"])}
        key = hostvars[host].get("pve_ssh_host_key")
        if key:
            entry["host_key"] = str(key)
        if power and hostvars[host].get("pve_power"):
            entry["power"] = plain(hostvars[host]["pve_power"])
        result.append(entry)
    return result


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"shells": shells}
