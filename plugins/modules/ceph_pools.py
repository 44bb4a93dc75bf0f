#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage Ceph's pools."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_pools
short_description: Manage the replicated Ceph pools of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes pools.
  - A pool in which one failed disk can lose data, or one host that is down stops all writes, is refused unless it says
    O(pools[].allow_data_loss); one with more copies than failure domains that hold OSDs, unless it says
    O(pools[].allow_undersized).
  - While Ceph in stretch mode is without a site, its monitors lower C(min_size) themselves; that is left to them.
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
      name:
        description: Name of the pool.
        type: str
        required: true
      state:
        description: Whether it is there. V(absent) destroys all data in it and needs O(pools[].destroy).
          With V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
      size:
        description: Number of copies; the server's default is 3.
        type: int
      min_size:
        description: Number of copies that must be there for the pool to take writes; the server's default is 2.
        type: int
      pg_num:
        description: Number of placement groups; the server's default is 128.
        type: int
      pg_num_min:
        description: Least number of placement groups for the autoscaler.
        type: int
      crush_rule:
        description: CRUSH rule that places the data.
        type: str
      application:
        description: What the pool is used for; the server's default is V(rbd).
        type: str
        choices: [rbd, cephfs, rgw]
      pg_autoscale_mode:
        description: What the autoscaler does; the server's default is V(warn).
        type: str
        choices: ["on", "off", warn]
      target_size:
        description: Expected size of the data, such as V(2T), for the autoscaler.
        type: str
      target_size_ratio:
        description: Expected share of the cluster, for the autoscaler.
        type: float
      storage:
        description: Whether a storage of the same name is made together with the pool.
        type: bool
        default: false
      allow_data_loss:
        description:
          - Whether a pool that one failed disk or host can harm is accepted.
          - Ceph itself refuses pools with a single copy until its option C(mon_allow_pool_size_one) is true.
        type: bool
        default: false
      allow_undersized:
        description: Whether a pool is accepted that has more copies than there are failure domains with OSDs.
        type: bool
        default: false
      destroy:
        description: Must be V(true) for a pool to be destroyed by O(pools[].state=absent).
        type: bool
        default: false
  timeout:
    description: Seconds to wait for one pool to be changed.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: A pool for guests' disks
  quorate.pve.ceph_pools:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    pools: [{name: vm, size: 3, min_size: 2, pg_autoscale_mode: "on", storage: true}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: pool vm, fields: {size: {before: null, after: 3}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._ceph_pools import POOLS, Pools
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(**POOLS.argument_spec(), timeout={"type": "int", "default": 300})

run = Pools.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
