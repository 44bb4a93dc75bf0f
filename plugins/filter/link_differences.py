# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.link_differences."""

from __future__ import annotations

DOCUMENTATION = r"""
name: link_differences
short_description: How the links of a cluster differ from the inventory
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Compares every node's address on every corosync link with what the inventory says.
positional: members
options:
  _input:
    description: The nodes as P(quorate.pve.nodes#filter) gives them.
    type: list
    elements: dict
    required: true
  members:
    description: The C(nodes) that M(quorate.pve.cluster_info) returns.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Every link is as wanted
  ansible.builtin.assert:
    that: site_nodes | quorate.pve.link_differences(state.nodes) == []
"""

RETURN = r"""
_value:
  description: One sentence for each difference; empty if there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._site_checks import link_differences


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"link_differences": link_differences}
