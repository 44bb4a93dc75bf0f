#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Join a node to a cluster, or take it out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_member
short_description: Join a node to a Proxmox VE cluster, or take it out
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - The connection is one to a member of the cluster; the node is contacted at O(address) only to start the join.
  - A join replaces everything under C(/etc/pve) of the joining node, its certificate included, and ends its logins. It
    is
    therefore followed at the member, until the node is listed, online and the cluster quorate, and the node's new
    certificate is the one that it answers with.
  - A join that was begun earlier and not seen to its end is taken up. A node that is a member already is left as it is.
  - Nodes join one at a time. Run this module in sequence.
  - A node with guests, or one that is in a cluster already, is refused before anything is sent to it.
  - Over the API, this needs C(root@pam) with its password on both sides; the server refuses API tokens here. Over SSH
    it needs a login as root on both sides.
  - With O(state=absent), a node that is switched off for good is taken out of the cluster, and what it left behind
    is
    removed, its directory in C(/etc/pve/nodes), its HA lock, its SSH keys. A node that is on, or that has guests,
    replication jobs or daemons of Ceph, is refused with all reasons; so is any node while the cluster has a witness.
    The HA manager forgets the node by itself after an hour.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  node:
    description: Name of the node.
    type: str
    required: true
  state:
    description: Whether the node is a member.
    type: str
    choices: [present, absent]
    default: present
  address:
    description: Address of the node's API, and of its SSH. Needed for a node that joins. Nothing may answer there when
      it leaves.
    type: str
  method:
    description:
      - How the join is started. With V(api), on the joining node's API, which then uses O(peer_password).
      - With V(ssh), by C(pvecm add --use_ssh) on the joining node, whose root key is made known to the member before.
      - With V(auto), over SSH if O(ssh_private_key_file) is given and both nodes accept it; else over the API.
    type: str
    choices: [auto, ssh, api]
    default: auto
  host_key:
    description: SSH host key of the joining node as C(ssh-ed25519 AAAA...).
    type: str
  members:
    description: How members are reached over SSH. Needed to join over SSH, and to remove what a leaving node left
      behind.
    type: list
    elements: dict
    default: []
    suboptions:
      node:
        description: Name of the member.
        type: str
        required: true
      address:
        description: Address or name to reach it by.
        type: str
        required: true
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
  trim:
    description:
      - What a leaving node is struck out of, the lists of nodes of V(storages) and of V(ha) rules and groups, the
        members of the cluster's IP sets that are its addresses (V(firewall)), and the devices that are its own in
        resource mappings (V(mappings)).
      - With V(replication), jobs to a node that is gone are dropped. Without it they keep the node, as their removal
        would wait for it for ever.
      - Whatever else names it is only warned about, such as a backup job, an alias or a rule of the firewall, a network
        (SDN), and rights on it.
    type: list
    elements: str
    choices: [storages, ha, replication, firewall, mappings]
    default: []
  assume:
    description: What in check mode does not keep a node from leaving, because steps before this one take it away.
    type: list
    elements: str
    choices: [guests, replication, ceph, witness]
    default: []
  shutdown:
    description: Whether a leaving node that is on is shut down, after everything else has been checked.
    type: bool
    default: false
  fingerprint:
    description: SHA-256 fingerprint of the certificate that the joining node has before the join.
    type: str
  user:
    description: User on the joining node. The connection's O(api_user) if not given.
    type: str
  password:
    description: Password of O(user) on the joining node. The connection's O(api_password) if not given.
    type: str
  peer_password:
    description: Password of C(root@pam) on the cluster's member, which the joining node uses. The connection's if not
      given.
    type: str
  links:
    description: Addresses of the joining node on the cluster's links. All links of the cluster must be given.
    type: list
    elements: dict
    default: []
    suboptions:
      number:
        description: Number of the link, 0 to 7.
        type: int
        required: true
      address:
        description: Address (or name) of the joining node on that link.
        type: str
        required: true
  votes:
    description: Votes of the node, 1 if not given.
    type: int
  nodeid:
    description: Number of the node in the cluster; the lowest free one if not given.
    type: int
  timeout:
    description: Seconds to wait until the node is a member, or none any more, and the cluster quorate.
    type: int
    default: 300
  ssh_timeout:
    description: Seconds that one command may take.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: The second member
  quorate.pve.cluster_member:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    api_fingerprints: ["{{ hostvars.pve1.pve_fingerprint }}"]
    api_trust_file: "{{ playbook_dir }}/trust.json"
    node: pve2
    address: 192.0.2.12
    fingerprint: "{{ hostvars.pve2.pve_fingerprint }}"
    links:
      - {number: 0, address: 192.0.2.12}
      - {number: 1, address: 198.51.100.12}

- name: A node that is gone for good
  quorate.pve.cluster_member:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    node: pve3
    address: 192.0.2.13
    state: absent
    members:
      - {node: pve1, address: 192.0.2.11}
    trim: [storages, ha, replication, firewall]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields).
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: member pve2, fields: {address: {before: null, after: 192.0.2.12}}}]
cluster:
  description: Name of the cluster.
  returned: success
  type: str
nodes:
  description: Names of its members.
  returned: success
  type: list
  elements: str
online:
  description: Whether the node is online. A member that is switched off is only warned about.
  returned: success
  type: bool
fingerprint:
  description: Fingerprint of the node's certificate, as the cluster knows it; also in O(api_trust_file).
  returned: when the node is a member
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
from ansible_collections.quorate.pve.plugins.module_utils._join import run
from ansible_collections.quorate.pve.plugins.module_utils._leave import ASSUMED
from ansible_collections.quorate.pve.plugins.module_utils._mentions import TRIMMED
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    node={"type": "str", "required": True},
    state={"type": "str", "choices": ["present", "absent"], "default": "present"},
    address={"type": "str"},
    method={"type": "str", "choices": ["auto", "ssh", "api"], "default": "auto"},
    host_key={"type": "str", "no_log": False},
    members={**NODES, "default": []},
    trim={"type": "list", "elements": "str", "choices": list(TRIMMED), "default": []},
    assume={"type": "list", "elements": "str", "choices": list(ASSUMED), "default": []},
    shutdown={"type": "bool", "default": False},
    fingerprint={"type": "str"},
    user={"type": "str"},
    password={"type": "str", "no_log": True},
    peer_password={"type": "str", "no_log": True},
    links={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"number": {"type": "int", "required": True}, "address": {"type": "str", "required": True}},
    },
    votes={"type": "int"},
    nodeid={"type": "int"},
    timeout={"type": "int", "default": 300},
    **ssh_options(300),
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
