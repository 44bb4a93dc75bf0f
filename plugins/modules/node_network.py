#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage bonds, bridges and VLANs of nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_network
short_description: Manage bonds, bridges and VLANs of nodes
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Stages changes through the API, and puts them in force with a way back. Before that, a timer on the node is
    set that restores its interfaces; it is called off when the node's API is reached afterwards. A node that
    cannot be reached puts its interfaces back by itself, and the task fails with what happened.
  - One node goes first, and the others side by side when it came through; so a mistake costs one node its
    network for O(rollback_after) seconds, which are less than its watchdog waits.
  - Nothing is left staged after a failure. Changes that somebody else has staged are an error.
  - A change that takes away the address that the API or corosync uses is refused, see O(allow_address_change).
  - The API has no parameter for the LACP rate; it is written into the staged file over SSH.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  interfaces:
    description: The interfaces.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      name:
        description: Name of the interface, such as V(bond0), V(vmbr1), V(vmbr1.20).
        type: str
        required: true
      type:
        description: Its type. Needed to create it, and fixed then.
        type: str
        choices: [bond, bridge, eth, vlan]
      cidr:
        description: IPv4 address with the length of its network, such as V(192.0.2.11/24); empty for none.
        type: str
      cidrs:
        description: The IPv4 addresses by node, for an element that is meant for several nodes.
        type: raw
      gateway:
        description: IPv4 gateway.
        type: str
      cidr6:
        description: IPv6 address with the length of its network.
        type: str
      gateway6:
        description: IPv6 gateway.
        type: str
      mtu:
        description: MTU in bytes. It must be set for the ports and slaves as well.
        type: int
      autostart:
        description: Whether it is brought up at boot.
        type: bool
        default: true
      comments:
        description: Comment.
        type: str
      bridge_ports:
        description: Ports of a bridge; the whole list.
        type: list
        elements: str
      bridge_vlan_aware:
        description: Whether guests' VLAN tags pass a bridge.
        type: bool
      bridge_vids:
        description: VLANs of a bridge, such as V(2-4094).
        type: str
      bond_slaves:
        description: Cards of a bond; the whole list.
        type: list
        elements: str
      bond_mode:
        description: Mode of a bond, such as V(802.3ad) for LACP or V(active-backup).
        type: str
      bond_primary:
        description: The card that a bond with V(active-backup) prefers.
        type: str
      bond_xmit_hash_policy:
        description: How packets are spread over the cards, such as V(layer3+4).
        type: str
      bond_lacp_rate:
        description: How often LACP partners tell each other that they are there; with V(fast) a dead link is
          found in three seconds instead of ninety.
        type: str
        choices: [fast, slow]
      vlan_id:
        description: Number of a VLAN whose name does not say it.
        type: int
      vlan_raw_device:
        description: Interface under a VLAN whose name does not say it.
        type: str
      state:
        description: Whether it is there; with V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
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
  rollback_after:
    description: Seconds after which a node puts its interfaces back by itself, unless it is reached.
    type: int
    default: 40
  timeout:
    description: Seconds to wait for a node after its interfaces were changed.
    type: int
    default: 30
  allow_address_change:
    description: Whether an address that the API or corosync uses may be changed or removed.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A bond with a bridge for guests on every node
  quorate.pve.node_network:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    nodes:
      - {node: pve1, address: 192.0.2.11}
      - {node: pve2, address: 192.0.2.12}
    interfaces:
      - {node: "*", name: bond0, type: bond, bond_slaves: [nic1, nic2], bond_mode: 802.3ad, bond_lacp_rate: fast}
      - {node: "*", name: vmbr1, type: bridge, bridge_ports: [bond0], bridge_vlan_aware: true, mtu: 9000}
      - {node: "*", name: bond0.20, type: vlan, cidrs: {pve1: 198.51.100.11/24, pve2: 198.51.100.12/24}}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: interface vmbr1 on pve1, fields: {type: {before: null, after: bridge}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES, ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._node_network import INTERFACES, NodeNetwork

ARGUMENT_SPEC = arguments(
    **INTERFACES.argument_spec(),
    nodes={**NODES, "required": True},
    **ssh_options(900),
    rollback_after={"type": "int", "default": 40},
    timeout={"type": "int", "default": 30},
    allow_address_change={"type": "bool", "default": False},
)

run = NodeNetwork.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
