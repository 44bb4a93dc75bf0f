# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: nodes
short_description: The nodes of a cluster as the inventory describes them
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Turns the hosts of an inventory group into a list of nodes with name, address, fingerprint and link addresses.
  - A node is called C(pve_node), by default the host's name up to the first dot; its address is C(pve_address), its
    certificate's fingerprint C(pve_fingerprint).
  - On a link a node has the address that its C(pve_link_addresses) give for the link's number, else C(pve_address) if
    that lies in the link's network, else the address with the same host part in that network.
positional: hostvars, links
options:
  _input:
    description: The hosts of the cluster's group.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts.
    type: dict
    required: true
  links:
    description: The links of the cluster, each with C(number) and C(network).
    type: list
    elements: dict
"""

EXAMPLES = r"""
# The nodes of the cluster of this host
site_nodes: "{{ groups[pve_cluster_group] | quorate.pve.nodes(hostvars, pve_links) }}"
"""

RETURN = r"""
_value:
  description: One mapping a node.
  type: list
  elements: dict
  sample:
    - where: pve1
      name: pve1
      address: 10.0.0.11
      fingerprint: null
      links: [{number: 0, address: 10.0.0.11}]
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._site_nodes import node_table


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"nodes": node_table}
