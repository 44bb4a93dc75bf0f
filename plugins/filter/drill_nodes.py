# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.drill_nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: drill_nodes
short_description: The nodes of a cluster as a drill needs them
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Makes of inventory hosts the list that O(quorate.pve.drill#module:nodes) takes.
positional: hostvars, other
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
  other:
    description: A further host whose power is cut, such as a backup server.
    type: str
"""

EXAMPLES = r"""
- name: Pull the plug
  quorate.pve.drill:
    cluster: ha-pve1
    directory: drills
    node: pve1
    nodes: "{{ groups[pve_cluster_group] | quorate.pve.drill_nodes(hostvars) }}"
"""

RETURN = r"""
_value:
  description: C(node), C(address), C(links), C(voter), and C(host_key), C(site), C(power) of those that have them.
  type: list
  elements: dict
  sample: [{node: pve1, address: 192.0.2.11, voter: false, links: {}}]
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._plain import plain
from ansible_collections.quorate.pve.plugins.module_utils._site_nodes import node_table

VARIABLES = {"host_key": "pve_ssh_host_key", "site": "pve_site", "power": "drill_power"}


def drill_nodes(hosts: list[str], hostvars: Mapping[str, Any], other: str | None = None) -> list[dict[str, Any]]:
    """Names, addresses and power buttons."""
    result = []
    wanted = plain(hostvars[hosts[0]].get("pve_links") or []) if hosts else []
    for host, node in zip(hosts, node_table(hosts, hostvars, wanted), strict=True):
        entry: dict[str, Any] = {"node": node["name"], "address": str(node["address"]), "voter": node["voter"]}
        entry["links"] = {str(link["number"]): str(link["address"]) for link in node["links"]}
        result.append({**entry, **_given(hostvars[host])})
    if other:
        result.append({"node": other, **_given(hostvars.get(other) or {})})
    return result


def _given(variables: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: plain(variables[name]) for key, name in VARIABLES.items() if variables.get(name)}
    # a drill may press other buttons than operations do
    if "power" not in given and variables.get("pve_power"):
        given["power"] = plain(variables["pve_power"])
    return given


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"drill_nodes": drill_nodes}
