#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set the ACME account and domains of nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_domains
short_description: Set the ACME account and domains of nodes
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Sets which account a node orders its certificate with, and for which domains. Ordering is the server's own
    business, it renews by itself once the first certificate was ordered.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  domains:
    description: The nodes with their domains.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      account:
        description: Name of the ACME account.
        type: str
      domains:
        description: The domains; the whole list.
        type: list
        elements: str
      plugin:
        description: Plugin of the challenges; without one the node answers them itself on port 80.
        type: str
"""

EXAMPLES = r"""
- name: Domains of two nodes
  quorate.pve.acme_domains:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    domains:
      - {node: pve1, domains: [pve1.example.org], plugin: provider}
      - {node: pve2, domains: [pve2.example.org], plugin: provider}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: ACME domains of pve1, fields: {plugin: {before: null, after: provider}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._acme import DOMAINS, AcmeDomains
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(**DOMAINS.argument_spec())

run = AcmeDomains.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
