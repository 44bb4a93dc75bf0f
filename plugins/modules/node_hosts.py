#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep lines of /etc/hosts on nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_hosts
short_description: Keep lines of /etc/hosts on nodes
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Keeps lines of C(/etc/hosts), known by their first name; all other lines are left as they are.
  - The file is written whole, and only if nobody else has changed it since it was read.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  hosts:
    description: The nodes with their lines.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      entries:
        description:
          - The lines, each with C(address), C(names) (the first is what the line is known by), and C(state), which is
            V(absent) for a line that is to go.
        type: list
        elements: dict
        required: true
"""

EXAMPLES = r"""
- name: Names of all nodes, everywhere
  quorate.pve.node_hosts:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    hosts:
      - node: "*"
        entries:
          - {address: 192.0.2.11, names: [pve1.example.org, pve1]}
          - {address: 192.0.2.12, names: [pve2.example.org, pve2]}
          - {names: old.example.org, state: absent}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: /etc/hosts of pve1, fields: {lines: {before: [], after: [192.0.2.12 pve2]}}}]
done:
  description: Entries of RV(plan) that were carried out before a failure.
  returned: failure
  type: list
  elements: dict
not_done:
  description: Entries of RV(plan) that were not carried out because of a failure.
  returned: failure
  type: list
  elements: dict
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._node_settings import HOSTS, NodeHosts

ARGUMENT_SPEC = arguments(**HOSTS.argument_spec())

run = NodeHosts.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
