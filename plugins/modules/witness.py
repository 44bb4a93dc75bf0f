#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Give a cluster a witness, or take it away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: witness
short_description: Give a Proxmox VE cluster a witness (QDevice)
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Makes a Debian host outside of the cluster its witness, which has a vote where the nodes could split into equal
    halves. Installs C(corosync-qnetd) there and C(corosync-qdevice) on the nodes, runs C(pvecm qdevice setup) on one of
    them, and waits until every node has reached the witness.
  - A cluster with an odd number of nodes is refused; there, the loss of the witness would count as that of all nodes
    but one.
  - Before nodes join or leave, the witness has to be removed; afterwards it is set up again.
  - All nodes have to be online for a change, and are reached over SSH as root; so is the witness.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  address:
    description: Address of the witness. Another than the one that there is replaces that.
    type: str
  state:
    description: Whether the cluster has a witness.
    type: str
    choices: [present, absent]
    default: present
  host_key:
    description: SSH host key of the witness as C(ssh-ed25519 AAAA...).
    type: str
  password:
    description: root's password on the witness, if it is another one than on the nodes.
    type: str
  network:
    description: Network of the cluster (such as V(10.0.0.0/24)) over which the nodes reach the witness; the first
      link's if it is not given.
    type: str
  force:
    description: Whether a cluster with an odd number of nodes gets a witness all the same.
    type: bool
    default: false
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
        description: Address or name to reach it by.
        type: str
        required: true
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
  timeout:
    description: Seconds to wait until every node has reached the witness.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: A third vote for two nodes
  quorate.pve.witness:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    address: 203.0.113.5
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
  sample: [{action: create, object: witness 203.0.113.5, fields: {algorithm: {before: null, after: ffsplit}}}]
witness:
  description: Address of the witness; null if there is none.
  returned: success
  type: str
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
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES, ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._witness import run

ARGUMENT_SPEC = arguments(
    address={"type": "str"},
    state={"type": "str", "choices": ["present", "absent"], "default": "present"},
    host_key={"type": "str", "no_log": False},
    password={"type": "str", "no_log": True},
    network={"type": "str"},
    force={"type": "bool", "default": False},
    nodes={**NODES, "required": True},
    timeout={"type": "int", "default": 120},
    **ssh_options(900),
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
