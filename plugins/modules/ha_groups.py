#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage HA groups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ha_groups
short_description: Manage groups of Proxmox VE's HA manager
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Groups say on which nodes their resources prefer to run. Proxmox VE 8 has groups; Proxmox VE 9 has rules instead,
    and has turned the groups of an upgraded cluster into them.
  - Which of the two the server has is found out by asking. Where it has rules, a group is the node-affinity rule that
    the server's own migration makes of it, called C(ha-group-) and the group's name, and O(groups[].nofailback) is a
    setting of its resources. A group without resources cannot be said there, which is an error.
  - For new sites M(quorate.pve.ha_rules) is the better choice, on both.
  - The resources must be under HA already (M(quorate.pve.ha_resources)).
  - Settings that are not given, or V(null), are left alone; an empty string unsets them.
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
        aliases: [group]
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      nodes:
        description: >-
          Nodes with their priorities, such as C({pve1: 2, pve2: 1}); a higher number is preferred.
        type: dict
      restricted:
        description: Whether the resources run on no other node, even if none of these is online.
        type: bool
      nofailback:
        description: Whether the resources stay where they are when a node of a higher priority comes back.
        type: bool
      resources:
        description: All the resources, such as V(vm:101). A resource is in one group at most.
        type: list
        elements: str
      add_resources:
        description: Resources that are to belong to it beside those that do already.
        type: list
        elements: str
        default: []
      remove_resources:
        description: Resources that are not to belong to it any more; the others stay.
        type: list
        elements: str
        default: []
      comment:
        description: Comment.
        type: str
  wait:
    description:
      - Whether to wait, after a change, until the HA manager has acted on it and the running resources of the changed
        groups are at rest.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for that. The manager acts every ten seconds.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: The web servers prefer the first node
  quorate.pve.ha_groups:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    groups:
      - name: web
        nodes: {pve1: 2, pve2: 1}
        restricted: true
        resources: ["vm:101", "vm:102"]

- name: One more web server
  quorate.pve.ha_groups:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    groups:
      - {name: web, add_resources: ["vm:103"]}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: HA group web, fields: {restricted: {before: null, after: false}}}]
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
api:
  description: Whether the server has V(groups) or V(rules).
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._ha_affinity import WAITING, with_members
from ansible_collections.quorate.pve.plugins.module_utils._ha_groups import GROUPS, run
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(**with_members(GROUPS.argument_spec(), GROUPS.option), **PURGE, **WAITING)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
