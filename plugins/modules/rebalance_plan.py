#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plan which guests to move so that the nodes are taken alike."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rebalance_plan
short_description: Plan which guests to move so that the memory of all nodes is taken alike
version_added: 0.3.0
author: [Quorate contributors (@quorate)]
description:
  - Says which running guests to move where, in an order in which every single move has room and breaks no rule, so that
    the used shares of the nodes' memory come close to each other. Nothing is moved; M(quorate.pve.guest_migration)
    does that.
  - A guest is moved to nodes only that have its storages or replicas, and that HA would not move it away from again.
    Guests that have to be on one node move together.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  tolerance:
    description: Percent of the memory for guests that two nodes may be apart.
    type: int
    default: 10
  max_moves:
    description: How many moves there are at most.
    type: int
    default: 20
  exclude:
    description: Numbers, names or tags of guests that stay where they are.
    type: list
    elements: str
    default: []
  containers:
    description: Whether containers are moved, too, which restarts them.
    type: bool
    default: false
  voters:
    description: Names of nodes that take no guests.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: What should move
  quorate.pve.rebalance_plan:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    tolerance: 15
  register: plan

- name: Say it
  ansible.builtin.debug:
    msg: "{{ plan.text }}"
"""

RETURN = r"""
moves:
  description:
    - The moves in their order, each with C(guest), C(sid), C(name), C(source), C(target), C(memory) in bytes, and
      C(along), what comes along with it.
  returned: success
  type: list
  elements: dict
nodes:
  description: The nodes, each with C(node), C(capacity) in bytes, and C(before) and C(after), how much of it is taken,
    in percent.
  returned: success
  type: list
  elements: dict
imbalance:
  description: Percent that the most and the least taken node are apart, C(before) and C(after).
  returned: success
  type: dict
balanced:
  description: Whether the moves bring that to O(tolerance).
  returned: success
  type: bool
stays:
  description: By the name of its resource, why a running guest is not moved.
  returned: success
  type: dict
text:
  description: The plan in words.
  returned: success
  type: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._rebalance import run

ARGUMENT_SPEC = arguments(
    tolerance={"type": "int", "default": 10},
    max_moves={"type": "int", "default": 20},
    exclude={"type": "list", "elements": "str", "default": []},
    containers={"type": "bool", "default": False},
    voters={"type": "list", "elements": "str", "default": []},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
