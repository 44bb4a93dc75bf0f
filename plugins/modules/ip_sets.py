#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage IP sets of firewalls."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_sets
short_description: Manage IP sets of firewalls
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Manages sets of addresses with their members, of the cluster or of a guest. The set C(management) of the
    cluster may manage the nodes unless a rule says otherwise.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  sets:
    description: The sets.
    type: list
    elements: dict
    required: true
    suboptions:
      scope:
        description: Whose firewall it is.
        type: str
        choices: [cluster, guest]
        default: cluster
      guest:
        description: Number of the guest, with O(sets[].scope=guest).
        type: int
      name:
        description: Name of the set.
        type: str
        required: true
      comment:
        description: Comment.
        type: str
      members:
        description: The members, each an address or network, or a dictionary with C(cidr), C(nomatch) (taken out of a
          larger one) and C(comment); the whole list if it is given.
        type: list
        elements: raw
      state:
        description: Whether it is there; with V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
"""

EXAMPLES = r"""
- name: Who may manage the nodes
  quorate.pve.ip_sets:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    sets:
      - name: management
        members: [192.0.2.5, {cidr: 198.51.100.0/24, comment: office}, {cidr: 198.51.100.7, nomatch: true}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: IP set management, fields: {members: {before: null, after: []}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._firewall_sets import SETS, IpSets
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(**SETS.argument_spec(), **PURGE)

run = IpSets.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
