#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Switch package repositories of nodes on and off."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_repositories
short_description: Switch package repositories of nodes on and off
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Adds, enables and disables the standard repositories of Proxmox VE and Ceph on nodes, by their handles.
  - Without a subscription the enterprise repositories answer 401 to every update; disable them and enable
    no-subscription.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  repositories:
    description: The repositories.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      handle:
        description: Handle such as V(enterprise), V(no-subscription), V(test), V(ceph-squid-no-subscription).
        type: str
        required: true
      enabled:
        description: Whether packages come from it. It is added if it is in no file yet.
        type: bool
        default: true
"""

EXAMPLES = r"""
- name: Updates without a subscription
  quorate.pve.node_repositories:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    repositories:
      - {node: "*", handle: enterprise, enabled: false}
      - {node: "*", handle: no-subscription}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: repository enterprise on pve1, fields: {enabled: {before: true, after: false}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._node_repositories import REPOSITORIES, NodeRepositories

ARGUMENT_SPEC = arguments(**REPOSITORIES.argument_spec())

run = NodeRepositories.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
