# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.with_priority."""

from __future__ import annotations

DOCUMENTATION = r"""
name: with_priority
short_description: A node's link addresses together with the links' priorities
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Priorities belong to a cluster's links, addresses to its nodes; the first member is told both when it creates the
    cluster.
positional: links
options:
  _input:
    description: A node's C(links) as P(quorate.pve.nodes#filter) gives them.
    type: list
    elements: dict
    required: true
  links:
    description: The links of the cluster, each with C(number) and possibly C(priority).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
first_links: "{{ site_nodes[0].links | quorate.pve.with_priority(pve_links) }}"
"""

RETURN = r"""
_value:
  description: The addresses with C(priority) where the link has one.
  type: list
  elements: dict
  sample: [{number: 0, address: 10.0.0.11, priority: 10}]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def with_priority(addresses: Iterable[Mapping[str, Any]], links: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each of `addresses` with the priority of the link of its number, if that has one."""
    priorities = {link["number"]: link["priority"] for link in links if link.get("priority") is not None}
    return [
        {**address, **({"priority": priorities[address["number"]]} if address["number"] in priorities else {})}
        for address in addresses
    ]


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"with_priority": with_priority}
