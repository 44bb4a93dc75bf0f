#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put Ceph into stretch mode."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_stretch
short_description: Put Ceph on a Proxmox VE cluster into stretch mode
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Says where the monitors stand, has them elect their leader by connectivity, and engages stretch mode. Every
    pool has two copies in each of the two sites then; the monitors lower and restore C(min_size) themselves.
  - Two sites without a monitor in a third place are refused, for without one of them there would be no majority.
  - Stretch mode cannot be left again; what differs from a live stretch mode is an error.
  - Compared with what the API shows; a run that changes nothing logs in nowhere. Changes go over SSH.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  monitors:
    description: Every monitor with the site that it stands in.
    type: dict
    required: true
  tiebreaker:
    description: The monitor in the third place.
    type: str
    required: true
  rule:
    description: CRUSH rule with two copies in each site, as M(quorate.pve.ceph_crush) makes it.
    type: str
    required: true
  type:
    description: Kind of CRUSH bucket that the sites are.
    type: str
    default: datacenter
  nodes:
    description: Nodes with Ceph; the first that is online and lets us in is used, if there is anything to do.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address or name to reach it by over SSH.
        type: str
        required: true
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
"""

EXAMPLES = r"""
- name: Two data centres and a tiebreaker
  quorate.pve.ceph_stretch:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    nodes: [{node: pve1, address: 192.0.2.11}]
    monitors: {pve1: dc1, pve2: dc1, pve3: dc2, pve4: dc2, pve5: office}
    tiebreaker: pve5
    rule: stretch
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
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
from ansible_collections.quorate.pve.plugins.module_utils._ceph_stretch import run
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._shell import OPTIONS

ARGUMENT_SPEC = arguments(
    monitors={"type": "dict", "required": True},
    tiebreaker={"type": "str", "required": True},
    rule={"type": "str", "required": True},
    type={"type": "str", "default": "datacenter"},
    nodes={**NODES, "required": True},
    **OPTIONS,
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
