#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set options of firewalls, and switch them on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_options
short_description: Set options of firewalls, and switch them on
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Sets options of the firewall of the cluster, of nodes and of guests, by their names on the server.
  - A firewall that is on and would not let this machine in on O(ports) is refused before anything is changed.
  - What is changed of the cluster's or a node's firewall is watched, a node puts it back by itself if this
    machine does not reach the nodes any more (O(rollback_after)).
  - The firewall of the cluster is changed last.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  firewalls:
    description: The firewalls.
    type: list
    elements: dict
    required: true
    suboptions:
      scope:
        description: Whose firewall it is.
        type: str
        choices: [cluster, node, guest]
        default: cluster
      node:
        description: The node, with O(firewalls[].scope=node).
        type: str
      guest:
        description: Number of the guest, with O(firewalls[].scope=guest).
        type: int
      options:
        description: Options by their names on the server, such as C(enable), C(policy_in), C(macfilter). Those
           that are not named stay; with V(null) the server's default returns.
        type: dict
        required: true
  nodes:
    description: How the nodes are reached over SSH; needed where the firewall of the cluster or of a node is on.
    type: list
    elements: dict
    default: []
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
  rollback_after:
    description:
      - Seconds after which a node puts the configuration of before back by itself, unless it is told that this machine
        still reaches the nodes.
    type: int
    default: 60
  timeout:
    description: Seconds to wait until the rules are in force.
    type: int
    default: 60
  ports:
    description: TCP ports of the nodes that this machine must be able to reach.
    type: list
    elements: int
    default: [8006, 22]
  allow_lock_out:
    description: Whether a firewall that does not let this machine in is put in force all the same. What cuts it off is
      taken back even then, if O(nodes) are given.
    type: bool
    default: false
  ssh_timeout:
    description: Seconds that one command may take.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Switch the firewall on
  quorate.pve.firewall_options:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    nodes:
      - {node: pve1, address: 192.0.2.11}
      - {node: pve2, address: 192.0.2.12}
    firewalls:
      - options: {enable: true, policy_in: DROP}
      - {scope: guest, guest: 101, options: {enable: true, macfilter: true}}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: firewall of the cluster, fields: {enable: {before: '0', after: '1'}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._firewall_guard import OPTIONS
from ansible_collections.quorate.pve.plugins.module_utils._firewall_options import FIREWALLS, FirewallOptions
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES, ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(**FIREWALLS.argument_spec(), nodes={**NODES, "default": []}, **ssh_options(60), **OPTIONS)

run = FirewallOptions.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
