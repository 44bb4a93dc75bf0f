#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a node's packages up to date, or to the next release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apt_upgrade
short_description: Bring the packages of one Proxmox VE node up to date, or to the next release
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Lets the node ask its repositories, installs what is pending (C(apt-get dist-upgrade) over SSH, because the API has
    no upgrade), boots it anew if another kernel would run then, and waits until the cluster has it back.
  - With O(release) the node's repositories become those of the next release first, if the node's own checklist allows
    it.
  - It does not take guests away from the node; see M(quorate.pve.node_maintenance), and C(playbooks/upgrade.yml) for a
    whole cluster.
  - In check mode nothing is asked of the repositories; what is told is as of the node's last look.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  node:
    description: Name of the node.
    type: str
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
  state:
    description:
      - With V(upgraded) what is pending is installed.
      - With V(refreshed) the repositories are asked only; RV(needed) says whether there is anything to do.
    type: str
    choices: [refreshed, upgraded]
    default: upgraded
  release:
    description:
      - Major release that the node shall have, at most one above its present one.
      - Refused while another node is further behind or offline, while Ceph is older than the release needs, or for what
        the checklist (C(pve8to9)) calls a failure; what it warns of becomes a warning.
    type: str
    choices: ["8", "9"]
  reboot:
    description: Whether the node is booted anew when another kernel would run then, or after a change of release.
    type: str
    choices: [if_needed, never]
    default: if_needed
  allow_running_guests:
    description: Boot the node anew although guests run on it, which the node then shuts down or, under HA, sends away.
    type: bool
    default: false
  timeout:
    description: Seconds for the repositories to answer, and for the node to come back.
    type: int
    default: 900
  ssh_timeout:
    description: Seconds that one command may take.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: What is pending
  quorate.pve.apt_upgrade:
    api_hosts: [192.0.2.12, 192.0.2.13]
    api_password: "{{ vault_root_password }}"
    node: pve1
    nodes: [{node: pve1, address: 192.0.2.11}]
    state: refreshed
  register: updates

- name: Install it, and boot anew for a new kernel
  quorate.pve.apt_upgrade:
    api_hosts: [192.0.2.12, 192.0.2.13]
    api_password: "{{ vault_root_password }}"
    node: pve1
    nodes: [{node: pve1, address: 192.0.2.11}]
  when: updates.needed
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
version:
  description: Version of Proxmox VE that the node has now.
  returned: always
  type: str
kernel:
  description: Release of the kernel that runs.
  returned: success
  type: str
pending:
  description: Packages that could be upgraded still, as C(package), C(old) and C(new).
  returned: always
  type: list
  elements: dict
needed:
  description: Whether anything is left to do, a boot for a new kernel included.
  returned: always
  type: bool
reboot_needed:
  description: Whether another kernel would run after a boot.
  returned: success
  type: bool
rebooted:
  description: Whether the node was booted anew.
  returned: always
  type: bool
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
from ansible_collections.quorate.pve.plugins.module_utils._apt_upgrade import run
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES, ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    node={"type": "str", "required": True},
    nodes={**NODES, "required": True},
    state={"type": "str", "choices": ["refreshed", "upgraded"], "default": "upgraded"},
    release={"type": "str", "choices": ["8", "9"]},
    reboot={"type": "str", "choices": ["if_needed", "never"], "default": "if_needed"},
    allow_running_guests={"type": "bool", "default": False},
    timeout={"type": "int", "default": 900},
    **ssh_options(3600),
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
