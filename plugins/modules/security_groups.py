#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage security groups of the firewall."""

from __future__ import annotations

DOCUMENTATION = r"""
module: security_groups
short_description: Manage security groups of the firewall
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Manages named lists of rules, which M(quorate.pve.firewall_rules) fills. A group that is removed loses its
    rules with it; one that is in use is refused by the server.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  groups:
    description: The groups.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the group.
        type: str
        required: true
      comment:
        description: Comment.
        type: str
      state:
        description: Whether it is there; with V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
"""

EXAMPLES = r"""
- name: A group for web servers
  quorate.pve.security_groups:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    groups:
      - {name: web, comment: web servers}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: security group web, fields: {comment: {before: null, after: web servers}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._firewall_sets import GROUPS, SecurityGroups
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(**GROUPS.argument_spec(), **PURGE)

run = SecurityGroups.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
