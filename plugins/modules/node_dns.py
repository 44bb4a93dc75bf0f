#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set the name servers of nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_dns
short_description: Set the name servers of nodes
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Sets the search domain and the name servers of nodes, side by side. What is not given stays.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  dns:
    description: The nodes with their name servers.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      search:
        description: Search domain. The server wants one; a node without one needs it here.
        type: str
      servers:
        description: Addresses of up to three name servers, in this order; the whole list.
        type: list
        elements: str
"""

EXAMPLES = r"""
- name: Two name servers everywhere
  quorate.pve.node_dns:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    dns:
      - {node: "*", search: example.org, servers: [192.0.2.1, 192.0.2.2]}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: name servers of pve1, fields: {search: {before: lan, after: example.org}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._node_settings import DNS, NodeDns

ARGUMENT_SPEC = arguments(**DNS.argument_spec())

run = NodeDns.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
