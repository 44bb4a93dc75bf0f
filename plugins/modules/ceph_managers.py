#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage Ceph's managers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_managers
short_description: Manage the Ceph managers of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Makes managers, of which one works and the others stand by.
  - The first monitor brings a manager with it; it is left alone unless it is listed or purged.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  managers:
    description: The managers.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Node that runs it.
        type: str
        required: true
      id:
        description: Name of the manager; the node's if it is not given.
        type: str
      state:
        description: Whether it is there. With V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
  timeout:
    description: Seconds to wait for one manager to be made.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: A manager and one that stands by
  quorate.pve.ceph_managers:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    managers: [{node: pve1}, {node: pve2}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: manager pve2, fields: {node: {before: null, after: pve2}}}]
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

from functools import partial

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._ceph_daemons import MANAGERS, Managers, run_daemons
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(**MANAGERS.argument_spec(), **PURGE, timeout={"type": "int", "default": 300})

run = partial(run_daemons, Managers)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
