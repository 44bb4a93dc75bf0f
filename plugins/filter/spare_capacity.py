# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.spare_capacity."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spare_capacity
short_description: Whether the guests fit when any one node is gone
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Works on the resources that M(quorate.pve.cluster_info) reads, and takes the loss of one node after the other. Its
    running guests are placed as the HA manager's scheduler does it, and then it is asked whether they fit there.
  - Rules of HA are not known to this filter; M(quorate.pve.failure_forecast) reads them.
positional: load_max, reserve, voters, only_ha
options:
  _input:
    description: What GET /cluster/resources answers.
    type: list
    elements: dict
    required: true
  load_max:
    description: The share of a node's memory (percent) that guests may take.
    type: float
    default: 100
  reserve:
    description: Bytes of each node's memory that are its own.
    type: int
    default: 1073741824
  voters:
    description: Names of nodes that vote only and take no guests.
    type: list
    elements: str
    default: []
  only_ha:
    description: Whether only guests under HA need a new place.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: See that the loss of any one of two nodes can be borne
  ansible.builtin.assert:
    that:
      - >-
        (resources | quorate.pve.spare_capacity).fits
      - >-
        (resources | quorate.pve.spare_capacity).tightest.percent == 67
      - >-
        not (resources | quorate.pve.spare_capacity(load_max=50)).fits
  vars:
    resources:
      - {type: node, node: pve1, status: online, maxmem: 4294967296}
      - {type: node, node: pve2, status: online, maxmem: 4294967296}
      - {type: qemu, vmid: 101, node: pve1, status: running, maxmem: 1073741824}
      - {type: qemu, vmid: 102, node: pve2, status: running, maxmem: 1073741824}
"""

RETURN = r"""
_value:
  description: C(fits); C(tightest) and all C(losses), each with C(node), C(fits), C(homeless) guests, and the
    C(fullest) node with its memory in C(percent).
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

spare_capacity = later("_capacity", "spare_capacity")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"spare_capacity": spare_capacity}
