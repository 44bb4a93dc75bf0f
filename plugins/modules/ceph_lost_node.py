#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take out of Ceph what was on a node that will not come back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_lost_node
short_description: Take out of Ceph what was on a Proxmox VE node that will not come back
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - Removes the OSDs, the monitor and the host's CRUSH bucket of a node that is switched off for good, with Ceph's own
    commands on another node; the node itself, which the API's calls need, is gone.
  - Removes the keys that its daemons have left with the monitors as well (C(mgr.NODE), C(mds.NODE), C(mon.NODE),
    C(client.crash.NODE)). The API does not list them, so Ceph is asked over SSH whenever it is there.
  - A node that is on is refused; so is one without which placement groups are not active, as it may have the last
    copy of what they hold.
  - Afterwards M(quorate.pve.cluster_member) can take the node out of the cluster, and a new machine may join under its
    name.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  node:
    description: Name of the node.
    type: str
    required: true
  lost:
    description: Must be V(true) if there are OSDs or a monitor to remove; the copies of data that are on the node's
      disks are forgotten.
    type: bool
    default: false
  assume_empty:
    description: In check mode, take the node's OSDs, monitor, manager and metadata server for removed, as steps before
      this one would have done.
    type: bool
    default: false
    version_added: 0.3.0
  nodes:
    description: Nodes with Ceph; the first that is online and lets us in is used.
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
- name: The node pve3 has burnt
  quorate.pve.ceph_lost_node:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    node: pve3
    lost: true
    nodes: [{node: pve1, address: 192.0.2.11}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: delete, object: OSD osd.4 of pve3, fields: {status: {before: down, after: null}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._ceph_lost_node import run
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._shell import OPTIONS

ARGUMENT_SPEC = arguments(
    node={"type": "str", "required": True},
    lost={"type": "bool", "default": False},
    assume_empty={"type": "bool", "default": False},
    nodes={**NODES, "required": True},
    **OPTIONS,
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
