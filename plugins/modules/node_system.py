#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set time servers, watchdog and the limit of ZFS's cache on nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_system
short_description: Set time servers, watchdog and the limit of ZFS's cache on nodes
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Writes files of nodes that the API does not reach, over SSH. What is not given stays.
  - Says which nodes have to be started anew before everything is in force; nothing is rebooted.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  systems:
    description: The nodes with their settings.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      chrony_servers:
        description: Time servers of chrony; the whole list of C(/etc/chrony/sources.d/quorate.sources). Other files
          with servers are left alone.
        type: list
        elements: str
      watchdog_module:
        description: Module of the watchdog, such as V(softdog) or V(ipmi_watchdog), in C(/etc/default/pve-ha-manager).
        type: str
      zfs_arc_max:
        description: What ZFS may keep in its cache, such as V(8G), in C(/etc/modprobe.d/zfs.conf).
        type: str
  nodes:
    description: How the nodes are reached.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address to reach it by over SSH, and its API.
        type: str
        required: true
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
"""

EXAMPLES = r"""
- name: Time servers, and 8 GiB for ZFS
  quorate.pve.node_system:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    nodes:
      - {node: pve1, address: 192.0.2.11}
      - {node: pve2, address: 192.0.2.12}
    systems:
      - {node: "*", chrony_servers: [192.0.2.1], zfs_arc_max: 8G}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: system of pve1, fields: {zfs_arc_max: {before: null, after: 8589934592}}}]
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
reboot_needed:
  description: Nodes that have to be started anew, with the reasons.
  returned: success
  type: dict
  sample: {pve1: [the limit of ZFS's cache is read when its module is loaded]}
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES, ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._node_system import SYSTEMS, NodeSystems

ARGUMENT_SPEC = arguments(**SYSTEMS.argument_spec(), nodes={**NODES, "required": True}, **ssh_options(900))

run = NodeSystems.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
