#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change the corosync links of a live cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: corosync_links
short_description: Change the corosync links of a live Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Brings the links of all members to what is wanted, one link at a time. Links are added first, then changed, then
    removed, so that the nodes go on hearing each other.
  - Each step is made of the live C(corosync.conf) under the next version, and is over when every node has the file and
    sees every peer on that link. If that does not come about within O(timeout), the links of before are put back under
    a
    higher version and the module fails; where quorum has gone meanwhile, through the local file of every node, over
    another network.
  - HA is disarmed before the first step and armed again at the end, also after a failure (on Proxmox VE 8, the local
    resource managers are stopped, then the cluster's). What somebody else has disarmed stays so. HA that a run which
    was
    cut off left aside is put back by the next one.
  - Every member has to be online, and is reached over SSH as a user who may write C(/etc/pve), that is root. Without
    anything to change nobody is.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
  - quorate.pve.ssh
options:
  links:
    description: The links that the cluster shall have. One that it has and that is not listed is an error, unless
      O(purge=true).
    type: list
    elements: dict
    required: true
    suboptions:
      number:
        description: Number of the link, 0 to 7. Link 0 cannot be removed.
        type: int
        required: true
      addresses:
        description: The address on this link of every member, by its name.
        type: dict
      priority:
        description: Among the links that work, the one with the highest number carries the traffic. Left as it is if it
          is not given.
        type: int
      state:
        description: Whether the link is there.
        type: str
        choices: [present, absent]
        default: present
  nodes:
    description: How the members are reached over SSH.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address or name to reach it by. If it does not answer there, its addresses on the links are tried.
        type: str
        required: true
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
  allow_interruption:
    description: Whether the only link may be given other addresses. The nodes do not hear each other until all of them
      have the new file.
    type: bool
    default: false
  timeout:
    description: Seconds that one step may take until every node sees every peer.
    type: int
    default: 60
  settle:
    description: Seconds for which every node must go on seeing every peer before a step counts as made. A link that
      was lost is noticed only after a while.
    type: float
    default: 5
  ha_timeout:
    description: Seconds that HA may take to be disarmed, and to be armed again.
    type: int
    default: 300
  ssh_timeout:
    description: Seconds that one command may take.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: A second link
  quorate.pve.corosync_links:
    api_hosts: [192.0.2.11, 192.0.2.12]
    api_password: "{{ vault_root_password }}"
    links:
      - {number: 0, addresses: {pve1: 192.0.2.11, pve2: 192.0.2.12}}
      - {number: 1, addresses: {pve1: 198.51.100.11, pve2: 198.51.100.12}, priority: 20}
    nodes:
      - {node: pve1, address: 192.0.2.11}
      - {node: pve2, address: 192.0.2.12}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: link 1, fields: {pve1: {before: null, after: 198.51.100.11}}}]
links:
  description: Numbers of the links that are wanted.
  returned: success
  type: list
  elements: int
done:
  description: Entries of RV(plan) that were carried out before a failure.
  returned: failure
  type: list
  elements: dict
not_done:
  description: Entries of RV(plan) that were not carried out, or were taken back, because of a failure.
  returned: failure
  type: list
  elements: dict
unknown:
  description: What could not be checked in check mode, because the cluster does not exist yet.
  returned: in check mode
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._corosync_links import run
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES, ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(
    **PURGE,
    links={
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "number": {"type": "int", "required": True},
            "addresses": {"type": "dict"},
            "priority": {"type": "int"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    nodes={**NODES, "required": True},
    allow_interruption={"type": "bool", "default": False},
    timeout={"type": "int", "default": 60},
    settle={"type": "float", "default": 5},
    ha_timeout={"type": "int", "default": 300},
    **ssh_options(30),
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
