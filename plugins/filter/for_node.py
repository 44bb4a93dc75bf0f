# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.for_node."""

from __future__ import annotations

DOCUMENTATION = r"""
name: for_node
short_description: What a list says of one node
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Picks the elements of a list that are about one node, with its name in the place of C(*). What is said of the node
    itself wins over what is said of every node, for elements of the same C(name) or C(handle).
positional: node
options:
  _input:
    description: Elements with C(node).
    type: list
    elements: dict
    required: true
  node:
    description: Name of the node.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Set the name servers of a node that is in no cluster yet
  quorate.pve.node_dns:
    dns: "{{ pve_dns | quorate.pve.for_node('pve1') }}"
"""

RETURN = r"""
_value:
  description: The elements.
  type: list
  elements: dict
  sample: [{node: pve1, search: example.org}]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

EVERY = "*"


def for_node(elements: Iterable[Mapping[str, Any]], node: str) -> list[dict[str, Any]]:
    """The elements about a node."""
    found = [dict(element) for element in elements if element.get("node") in (EVERY, node)]
    named = [_identity(element) for element in found if element["node"] != EVERY]
    return [{**each, "node": node} for each in found if each["node"] != EVERY or _identity(each) not in named]


def _identity(element: Mapping[str, Any]) -> tuple[Any, ...]:
    return element.get("name"), element.get("handle")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"for_node": for_node}
