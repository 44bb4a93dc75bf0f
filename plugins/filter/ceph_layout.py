# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.ceph_layout."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ceph_layout
short_description: What the sites of the nodes mean for Ceph in stretch mode
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Makes of the nodes with their sites (C(pve_site)) the buckets and the rule that M(quorate.pve.ceph_crush) takes.
positional: stretch, members
options:
  _input:
    description: The nodes, as P(quorate.pve.nodes#filter) makes them.
    type: list
    elements: dict
    required: true
  stretch:
    description: C(tiebreaker), and C(type) and C(rule) if they are not the usual ones.
    type: dict
    required: true
  members:
    description: Names of the nodes with Ceph; all if it is not given.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show the buckets
  ansible.builtin.debug:
    msg: "{{ (nodes | quorate.pve.ceph_layout({'tiebreaker': 'pve5'})).buckets }}"
  vars:
    nodes: "{{ groups.ha_pve1 | quorate.pve.nodes(hostvars) }}"
"""

RETURN = r"""
_value:
  description: C(buckets), C(rules), C(sites) (node to site), and the names of the C(rule) and C(type).
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

ceph_layout = later("_ceph_sites", "ceph_layout")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ceph_layout": ceph_layout}
