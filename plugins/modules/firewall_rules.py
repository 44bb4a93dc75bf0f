#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage rules of firewalls."""

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_rules
short_description: Manage rules of firewalls
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Manages rules of the cluster, of nodes, of guests and of security groups. A rule is known by a key in its
    comment, never by its position, which shifts with every change.
  - Rules of one firewall stand in the order of the list; rules without a key are left where they are.
  - Rules that would keep this machine out of a firewall that is on are refused, and what cuts it off all the
    same is put back by a node itself, see M(quorate.pve.firewall_options).
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
  - quorate.pve.connection.set
options:
  rules:
    description: The rules, in their order.
    type: list
    elements: dict
    required: true
    suboptions:
      scope:
        description: Whose firewall it is.
        type: str
        choices: [cluster, node, guest, group]
        default: cluster
      node:
        description: The node, with O(rules[].scope=node).
        type: str
      guest:
        description: Number of the guest, with O(rules[].scope=guest).
        type: int
      group:
        description: The security group, with O(rules[].scope=group).
        type: str
      key:
        description: What the rule is known by, a word. It stands in the rule's comment, in brackets.
        type: str
        required: true
      type:
        description: Direction, or V(group) to insert a security group. Needed to create it.
        type: str
        choices: [in, out, forward, group]
      action:
        description: V(ACCEPT), V(DROP), V(REJECT), or the name of a security group. Needed to create it.
        type: str
      enable:
        description: Whether it counts.
        type: bool
        default: true
      macro:
        description: Predefined service, such as V(SSH), in place of protocol and ports.
        type: str
      proto:
        description: Protocol, such as V(tcp).
        type: str
      source:
        description: Addresses, networks, ranges, aliases, or C(+set).
        type: str
      dest:
        description: Likewise, where to.
        type: str
      sport:
        description: Source ports.
        type: str
      dport:
        description: Ports, such as V(80,443) or V(5900:5999).
        type: str
      iface:
        description: Interface; that of a guest is C(net0).
        type: str
      log:
        description: Log level.
        type: str
      icmp_type:
        description: Type of ICMP packets.
        type: str
      comment:
        description: Comment, behind the key.
        type: str
      state:
        description: Whether it is there; with V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
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
- name: Let the control node in, and the web servers be reached
  quorate.pve.firewall_rules:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    nodes:
      - {node: pve1, address: 192.0.2.11}
      - {node: pve2, address: 192.0.2.12}
    rules:
      - {key: control-api, type: in, action: ACCEPT, proto: tcp, dport: "8006", source: 192.0.2.5}
      - {key: control-ssh, type: in, action: ACCEPT, macro: SSH, source: 192.0.2.5}
      - {scope: group, group: web, key: https, type: in, action: ACCEPT, macro: HTTPS}
      - {scope: guest, guest: 101, key: web, type: group, action: web}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: firewall rule control-ssh, fields: {macro: {before: null, after: SSH}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._firewall_rules import RULES, FirewallRules
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES, ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(
    **RULES.argument_spec(), **PURGE, nodes={**NODES, "default": []}, **ssh_options(60), **OPTIONS
)

run = FirewallRules.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
