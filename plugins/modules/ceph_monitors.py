#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage Ceph's monitors."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_monitors
short_description: Manage the Ceph monitors of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Makes monitors one at a time, each of which must be in quorum before the next one.
  - An even number of monitors is refused; it survives no more losses than one less.
  - A monitor whose data is lost is listed by the server as any other; O(replace_lost) makes it anew.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  monitors:
    description: The monitors.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Node that runs it.
        type: str
        required: true
      id:
        description: Name of the monitor; the node's if it is not given.
        type: str
      address:
        description: Address in the public network; needed only if the node has several there.
        type: str
      state:
        description: Whether it is there. With V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
  allow_even:
    description: Whether an even number of monitors is accepted.
    type: bool
    default: false
  replace_lost:
    description: Whether a monitor that does not run although its node is online is removed and made anew. The others
      must have quorum.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for one monitor to be made and in quorum.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Three monitors
  quorate.pve.ceph_monitors:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    monitors: [{node: pve1}, {node: pve2}, {node: pve3}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: monitor pve1, fields: {node: {before: null, after: pve1}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._ceph_daemons import MONITORS, Monitors, run_daemons
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(
    **MONITORS.argument_spec(),
    **PURGE,
    allow_even={"type": "bool", "default": False},
    replace_lost={"type": "bool", "default": False},
    timeout={"type": "int", "default": 300},
)

run = partial(run_daemons, Monitors)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
