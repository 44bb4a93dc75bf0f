#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make OSDs on disks, and remove them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_osds
short_description: Create and remove Ceph OSDs on the disks of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Makes an OSD on every listed disk, one after another on a node and side by side over the nodes, and waits until they
    are up and in.
  - A disk that is in use by anything else, or behind a RAID controller, is an error that names it; nothing is wiped.
  - An OSD is removed when its data is elsewhere; it is taken out, emptied, checked for being safe to destroy, stopped
    and destroyed, after the new ones are made. What leaves a pool without places for its copies is refused.
  - A node that is offline is passed over with a warning.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  osds:
    description: The disks that are to have an OSD.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Node that has the disks, or V(*) for every member that is online.
        type: str
        required: true
      devices:
        description:
          - The disks, needed unless one is removed. Either a list of C(/dev/...) paths (by any of their names), or a
            dictionary that chooses by C(model), C(vendor),
            C(serial) (shell patterns), C(type) (V(ssd), V(hdd), V(nvme)), C(min_size), C(max_size) (such as V(900G)).
          - With C(count), that many of the node's matching disks have an OSD in the end; without, all of them.
        type: raw
      id:
        description: Number of the OSD that is to be removed. Take the element out of the list again afterwards; Ceph
          gives the number to the next OSD.
        type: int
      replaces:
        description: Number of the OSD that the one on the only disk of O(osds[].devices) replaces. It is removed
          when that one is up and has the data.
        type: int
      state:
        description: With V(absent) the OSD O(osds[].id) is removed. With V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
      allow_undersized:
        description: Whether the OSD is removed even where pools are left without places for all their copies.
        type: bool
        default: false
      device_class:
        description: CRUSH device class; found out by Ceph if it is not given.
        type: str
      encrypted:
        description: Whether the data is encrypted on the disk.
        type: bool
      db_device:
        description: Disk for the database, as a path.
        type: str
      db_size:
        description: Its size in GiB.
        type: float
      wal_device:
        description: Disk for the write-ahead log, as a path.
        type: str
      wal_size:
        description: Its size in GiB.
        type: float
      osds_per_device:
        description: Number of OSDs on each disk.
        type: int
      allow_raid_controller:
        description: Whether disks that look like logical drives of a RAID controller are accepted.
        type: bool
        default: false
  replace_lost:
    description:
      - Whether OSDs are removed that are down and whose disk their node does not have any more, on the nodes that
        O(osds) names. That is done after new ones are made, in the same safe order, so that a disk put in the place
        of a dead one is all that it takes.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for one OSD to be made, and for all to be up.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: An OSD on every NVMe disk of every node
  quorate.pve.ceph_osds:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    osds:
      - node: "*"
        devices: {type: nvme, min_size: 3T}

- name: Another disk for a bad one
  quorate.pve.ceph_osds:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    osds:
      - {node: pve1, devices: [/dev/nvme3n1], replaces: 4}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: OSD on /dev/nvme0n1 of pve1, fields: {}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._ceph_osds import ELEMENT, run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    osds={"type": "list", "elements": "dict", "required": True, "options": ELEMENT},
    replace_lost={"type": "bool", "default": False},
    timeout={"type": "int", "default": 600},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
