# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.problems."""

from __future__ import annotations

DOCUMENTATION = r"""
name: problems
short_description: What is wrong with the variables of a cluster
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Checks the variables of the roles of this collection against each other and against the cluster's nodes, without
    asking a server.
  - Finds repeated keys, unknown nodes, two hosts with one name or address, addresses that are missing, resources in two
    affinities and the like; each finding names the path into the variables and says what to do.
positional: nodes
options:
  _input:
    description: The variables by name; C(null) is not looked at.
    type: dict
    required: true
  nodes:
    description: The cluster's nodes as P(quorate.pve.nodes#filter) gives them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Cross-check the variables
  ansible.builtin.assert:
    that: findings == []
    fail_msg: "{{ findings | join('\n') }}"
  vars:
    nodes: "{{ groups[pve_cluster_group] | quorate.pve.nodes(hostvars) }}"
    findings: "{{ {'pve_guests': pve_guests} | quorate.pve.problems(nodes) }}"
"""

RETURN = r"""
_value:
  description: One sentence or two for each finding; empty if there is none.
  type: list
  elements: str
  sample: ["pve_guests[2] (103): node names pve9, which is no node of this cluster (pve1, pve2, pve3)."]
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later
from ansible_collections.quorate.pve.plugins.module_utils._plain import plain

problems = later("_site_checks", "problems")


def plain_problems(variables: Mapping[str, Any], nodes: list[Any]) -> list[str]:
    """What is wrong with the variables."""
    found: list[str] = problems(plain(variables), plain(nodes))
    return found


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"problems": plain_problems}
