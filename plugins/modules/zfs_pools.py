#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make ZFS pools on nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zfs_pools
short_description: Create ZFS pools on the nodes of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates pools from unused disks, on all nodes side by side, and registers them as storage.
  - A disk that is in use is an error that names it; nothing is ever wiped.
  - A pool that exists is left as it is; its make-up cannot be changed here.
  - Nodes that are offline are left out with a warning if O(pools[].node) is V(*), and an error otherwise.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  pools:
    description: The pools.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Node that has the pool, or V(*) for every member.
        type: str
        required: true
      name:
        description: Name of the pool, and of the storage.
        type: str
        required: true
      state:
        description: Whether it is there. V(absent) destroys the pool with its data and needs O(pools[].destroy). With
          V(ignore)
          the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
      raidlevel:
        description: How the disks are put together. Needed to create the pool.
        type: str
        choices: [single, mirror, raid10, raidz, raidz2, raidz3, draid, draid2, draid3]
      devices:
        description:
          - The disks, needed to create the pool. Either a list of C(/dev/...) paths, or a dictionary that chooses from
            the unused disks of the node
            by C(model), C(vendor), C(serial) (shell patterns), C(type) (V(ssd), V(hdd), V(nvme)), C(min_size),
            C(max_size)
            (such as V(900G)); C(count) is how many, in the order of their paths; all that match if it is not given.
        type: raw
      ashift:
        description: Sector size of the pool as a power of two; the server's default is 12.
        type: int
      compression:
        description: Compression of the pool; the server's default is V(on).
        type: str
        choices: ["on", "off", gzip, lz4, lzjb, zle, zstd]
      storage:
        description: Whether a storage of the same name offers the pool on the nodes that have it.
        type: bool
        default: false
      destroy:
        description: Must be V(true) for a pool to be destroyed by O(pools[].state=absent).
        type: bool
        default: false
      allow_raid_controller:
        description: Whether disks that look like logical drives of a RAID controller are accepted.
        type: bool
        default: false
  timeout:
    description: Seconds to wait for one pool to be made.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: A mirror of two SSDs on every node
  quorate.pve.zfs_pools:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    pools:
      - node: "*"
        name: tank
        raidlevel: mirror
        devices: {model: SSD-A, count: 2}
        compression: lz4
        storage: true
      - node: pve3
        name: archive
        raidlevel: raidz
        devices: [/dev/sdd, /dev/sde, /dev/sdf]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: ZFS pool tank on pve1, fields: {devices: {before: null, after: [/dev/sdb,
    /dev/sdc]}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._zfs import POOLS, ZfsPools

ARGUMENT_SPEC = arguments(**POOLS.argument_spec(), timeout={"type": "int", "default": 300})

run = ZfsPools.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
