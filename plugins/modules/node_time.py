#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set the time zone of nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_time
short_description: Set the time zone of nodes
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Sets the time zone of nodes, side by side. Time servers are set by M(quorate.pve.node_system).
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  times:
    description: The nodes with their time zones.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      timezone:
        description: Time zone such as V(Europe/Vienna).
        type: str
        required: true
"""

EXAMPLES = r"""
- name: One time zone everywhere
  quorate.pve.node_time:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    times:
      - {node: "*", timezone: Europe/Vienna}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: time zone of pve1, fields: {timezone: {before: Etc/UTC, after: Europe/Vienna}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._node_settings import TIME, NodeTime

ARGUMENT_SPEC = arguments(**TIME.argument_spec())

run = NodeTime.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
