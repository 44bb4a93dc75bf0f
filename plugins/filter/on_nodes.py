# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.on_nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: on_nodes
short_description: Say which nodes are meant by every node
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Where some nodes only vote, an element for every node (C(*)) becomes one for each of the others. Without such nodes,
    nothing changes.
positional: nodes
options:
  _input:
    description: Elements with C(node), such as those of O(quorate.pve.zfs_pools#module:pools).
    type: list
    elements: dict
    required: true
  nodes:
    description: The nodes as P(quorate.pve.nodes#filter) gives them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Pools on all nodes that take guests
  quorate.pve.zfs_pools:
    pools: "{{ pve_zfs_pools | quorate.pve.on_nodes(site_nodes) }}"
"""

RETURN = r"""
_value:
  description: The elements.
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def on_nodes(elements: Iterable[Mapping[str, Any]], nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each of `elements`, one for every node spread over those that do more than vote."""
    if not any(node.get("voter") for node in nodes):
        return [dict(element) for element in elements]
    working = [node["name"] for node in nodes if not node.get("voter")]
    return [
        {**element, "node": name}
        for element in elements
        for name in (working if element.get("node") == "*" else [element.get("node")])
    ]


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"on_nodes": on_nodes}
