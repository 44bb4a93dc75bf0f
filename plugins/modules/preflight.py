#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check nodes before anything is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check Proxmox VE nodes before a cluster is made of them
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Logs in to every node, side by side, and reports all that would be in the way, at once. Nothing is ever changed.
  - The module succeeds with findings; whether they are in the way is the caller's decision (RV(errors)).
  - Names, fingerprints and disks may differ from node to node; everything else is the connection's.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  api_hosts:
    description: Not used; the nodes are contacted at O(nodes[].address).
    required: false
  cluster:
    description: Name of the cluster that the nodes are or will be members of.
    type: str
    required: true
  nodes:
    description: The nodes that the cluster is to have.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name that the node must have.
        type: str
        required: true
      address:
        description: Address of its API.
        type: str
        required: true
      fingerprint:
        description: SHA-256 fingerprint of its certificate before it joins.
        type: str
      user:
        description: User on this node; the connection's if not given.
        type: str
      password:
        description: Password on this node; the connection's if not given.
        type: str
      links:
        description: Its addresses on the cluster's links.
        type: list
        elements: dict
        default: []
        suboptions:
          number:
            description: Number of the link.
            type: int
            required: true
          address:
            description: Address on the link.
            type: str
            required: true
      where:
        description: What to name in findings, such as C(host_vars/pve2). The node's name if not given.
        type: str
  zfs_pools:
    description: The pools as for M(quorate.pve.zfs_pools), whose disks are checked.
    type: list
    elements: dict
    default: []
  ceph_osds:
    description: The OSDs as for M(quorate.pve.ceph_osds), whose disks are checked.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Look before
  quorate.pve.preflight:
    api_password: "{{ vault_root_password }}"
    cluster: ha-lab
    nodes:
      - {name: pve1, address: 192.0.2.11, fingerprint: "{{ hostvars.pve1.pve_fingerprint }}"}
      - {name: pve2, address: 192.0.2.12, fingerprint: "{{ hostvars.pve2.pve_fingerprint }}"}
    zfs_pools: "{{ pve_zfs_pools }}"
  register: look

- name: Refuse
  ansible.builtin.assert:
    that: look.errors == 0
    fail_msg: "{{ look.text }}"
"""

RETURN = r"""
findings:
  description:
    - What was found, errors first, each with C(severity) (V(error), V(warning), V(info)), C(check), C(node), C(text),
      C(where)
      (in the variables) and C(fix).
  returned: success
  type: list
  elements: dict
errors:
  description: Number of errors among them.
  returned: success
  type: int
text:
  description: All errors and warnings in words, one a line.
  returned: success
  type: str
members:
  description: Names of the nodes that are members of the cluster already.
  returned: success
  type: list
  elements: str
nodes:
  description: What is known of every node that could be asked, C(name), C(version), C(cluster), C(guests).
  returned: success
  type: list
  elements: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import CONNECTION, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._preflight import run

LINK = {"number": {"type": "int", "required": True}, "address": {"type": "str", "required": True}}

ARGUMENT_SPEC = arguments(
    api_hosts={**CONNECTION["api_hosts"], "required": False},
    cluster={"type": "str", "required": True},
    nodes={
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "fingerprint": {"type": "str"},
            "user": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "links": {"type": "list", "elements": "dict", "default": [], "options": LINK},
            "where": {"type": "str"},
        },
    },
    zfs_pools={"type": "list", "elements": "dict", "default": []},
    ceph_osds={"type": "list", "elements": "dict", "default": []},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
