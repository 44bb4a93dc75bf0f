#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put another disk in the place of one of a ZFS pool's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zfs_replace
short_description: Replace a disk of a ZFS pool on a Proxmox VE node
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Runs C(zpool replace) over SSH, because the API has no such call, and waits until the pool is whole again.
  - The new disk must be unused; nothing is wiped. What the old disk has is copied from the pool's other disks.
  - A pool without a disk that is missing or bad, or that does not have O(device) any more, is left as it is.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  node:
    description: Name of the node.
    type: str
    required: true
  pool:
    description: Name of the pool.
    type: str
    required: true
  device:
    description:
      - The disk that goes, by any of its names (C(/dev/sdb), its C(/dev/disk/by-id/) link, its serial number).
      - If it is not given, the one disk of the pool that is not C(ONLINE), if there is one.
    type: str
  by:
    description: The disk that comes. Either its path (any of its names), or a dictionary that chooses by properties as
      O(quorate.pve.zfs_pools#module:pools[].devices).
    type: raw
    required: true
  nodes:
    description: How to reach nodes over SSH; O(node) must be among them. See P(quorate.pve.shells#filter).
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address for SSH.
        type: str
        required: true
      host_key:
        description: The host's public key, such as C(ssh-ed25519 AAAA...).
        type: str
  allow_raid_controller:
    description: Whether a disk that looks like a logical drive of a RAID controller is accepted.
    type: bool
    default: false
  wait:
    description: Whether to wait until all data is copied and the pool is C(ONLINE).
    type: bool
    default: true
  timeout:
    description: Seconds to wait.
    type: int
    default: 86400
"""

EXAMPLES = r"""
- name: The disk that broke, by the spare one of the same model
  quorate.pve.zfs_replace:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    node: pve2
    pool: tank
    by: {model: SSD-A}
    nodes: [{node: pve2, address: 192.0.2.12}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: ZFS pool tank on pve2, fields: {device: {before: sdb, after: sdc}}}]
state:
  description: State of the pool, such as V(ONLINE) or V(DEGRADED).
  returned: success
  type: str
device:
  description: The disk that came, or null if there was nothing to replace.
  returned: success
  type: str
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
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._shell import OPTIONS
from ansible_collections.quorate.pve.plugins.module_utils._zfs_replace import run

ARGUMENT_SPEC = arguments(
    node={"type": "str", "required": True},
    pool={"type": "str", "required": True},
    device={"type": "str"},
    by={"type": "raw", "required": True},
    nodes={**NODES, "required": True},
    allow_raid_controller={"type": "bool", "default": False},
    wait={"type": "bool", "default": True},
    timeout={"type": "int", "default": 86400},
    **OPTIONS,
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
