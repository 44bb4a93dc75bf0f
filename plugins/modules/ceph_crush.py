#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage Ceph's CRUSH hierarchy and rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_crush
short_description: Manage the CRUSH buckets and rules of Ceph on a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Makes buckets (data centres, racks, hosts), puts them in their places, and makes replicated rules.
  - Only what stands elsewhere is moved. Moving OSDs moves the data on them, and is refused without
    O(allow_data_movement) once there is any. With several moves, data is held until the last one and moves once.
  - Compared with the map that the API shows; a run that changes nothing logs in nowhere. Changes go over SSH.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  buckets:
    description: Buckets of the hierarchy. A host's bucket may be put in its place before its first OSD is made.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the bucket; of a host's, the node's name.
        type: str
        required: true
      type:
        description: Kind of bucket.
        type: str
        required: true
        choices: [host, chassis, rack, row, pdu, pod, room, datacenter, zone, region, root]
      location:
        description: Where it stands, as kinds and names of buckets above it, such as C(datacenter=dc1).
        type: dict
        default: {}
      state:
        description: Whether it is there; only an empty bucket is removed. With V(ignore) it counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
  rules:
    description: Replicated rules. A rule is never changed; make another one and give it to the pools.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the rule.
        type: str
        required: true
      root:
        description: Bucket to begin at.
        type: str
        default: default
      failure_domain:
        description: Kind of bucket that no two copies share.
        type: str
        choices: [osd, host, chassis, rack, row, pdu, pod, room, datacenter, zone, region]
        default: host
      device_class:
        description: Only OSDs of this class, such as V(nvme).
        type: str
      across:
        description: Spread over all buckets of this kind first, such as V(datacenter) for two sites.
        type: str
        choices: [host, chassis, rack, row, pdu, pod, room, datacenter, zone, region]
      copies_in_each:
        description: Number of copies in each bucket of O(rules[].across).
        type: int
      state:
        description: Whether it is there; one that a pool uses is not removed. With V(ignore) it counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
  allow_data_movement:
    description: Whether OSDs with data on them may be put in another place.
    type: bool
    default: false
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
- name: Two data centres, and a rule with two copies in each
  quorate.pve.ceph_crush:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    nodes: [{node: pve1, address: 192.0.2.11}]
    buckets:
      - {name: dc1, type: datacenter, location: {root: default}}
      - {name: dc2, type: datacenter, location: {root: default}}
      - {name: pve1, type: host, location: {datacenter: dc1}}
      - {name: pve2, type: host, location: {datacenter: dc2}}
    rules:
      - {name: stretch, across: datacenter, copies_in_each: 2}
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
from ansible_collections.quorate.pve.plugins.module_utils._ceph_crush import BUCKET_ELEMENT, RULE_ELEMENT, run
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._shell import OPTIONS

ARGUMENT_SPEC = arguments(
    buckets={"type": "list", "elements": "dict", "options": BUCKET_ELEMENT},
    rules={"type": "list", "elements": "dict", "options": RULE_ELEMENT},
    allow_data_movement={"type": "bool", "default": False},
    nodes={**NODES, "required": True},
    **OPTIONS,
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
