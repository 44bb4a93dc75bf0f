#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set the subscription keys of nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_subscription
short_description: Set the subscription keys of nodes
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Sets the subscription key of nodes, or removes it. Keys are compared and never shown.
  - The server checks the key with the shop by itself; what it says of a key that is not active is a warning.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  subscriptions:
    description: The keys.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      key:
        description: The key, such as V(pve2c-0123456789). Keep it in a vault.
        type: str
      state:
        description: Whether it is there; with V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
"""

EXAMPLES = r"""
- name: A key of its own for each node
  quorate.pve.node_subscription:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    subscriptions:
      - {node: pve1, key: "{{ vault_keys.pve1 }}"}
      - {node: pve2, key: "{{ vault_keys.pve2 }}"}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: subscription key of pve1, fields: {key: {before: null, after: '********'}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._node_settings import SUBSCRIPTIONS, NodeSubscriptions

ARGUMENT_SPEC = arguments(**SUBSCRIPTIONS.argument_spec())

run = NodeSubscriptions.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
