#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take a node into maintenance and out of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_maintenance
short_description: Take a Proxmox VE node into maintenance, or out of it
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - In maintenance the HA manager moves all running resources away from the node and gives it no new ones; they return
    when it ends. It outlives reboots.
  - There is no API call for this, so C(ha-manager) is run on one of the hosts over SSH.
  - The status shows maintenance before the node is empty. This module waits until both is so, and, at the end of
    maintenance, until the resources are back.
  - Guests that are not under HA stay where they are, with a warning.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  node:
    description: Name of the node.
    type: str
    required: true
  state:
    description: Whether it is to be in maintenance.
    type: str
    choices: [enabled, disabled]
    default: enabled
  nodes:
    description:
      - Where to run the command, the first one that can be reached; any member of the cluster will do. Not given, the
        hosts of O(api_hosts).
    type: list
    elements: dict
    default: []
    suboptions:
      node:
        description: Name of the node.
        type: str
      address:
        description: Its address for SSH.
        type: str
        required: true
      host_key:
        description: Its SSH host key, as in known_hosts without the name, C(ssh-ed25519 AAAA...).
        type: str
  wait:
    description: Whether to wait until the node is empty, or its resources are back.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for that. Live migrations of large guests take their time.
    type: int
    default: 1800
  ssh_user:
    description: User of the hosts to log in as.
    type: str
    default: root
  ssh_port:
    description: TCP port of SSH.
    type: int
    default: 22
  ssh_password:
    description: Password of O(ssh_user); O(api_password) if both are root's and this one is not given.
    type: str
  ssh_private_key_file:
    description: Private key to log in with; without a password, the agent's and the user's own keys are tried too.
    type: path
  ssh_known_hosts:
    description: File with the hosts' keys, for hosts without O(nodes[].host_key); the user's own otherwise.
    type: path
  ssh_timeout:
    description: Seconds that the command may take.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Empty a node
  quorate.pve.node_maintenance:
    api_hosts: [192.0.2.11, 192.0.2.12]
    api_password: "{{ vault_root_password }}"
    node: pve1

- name: Bring its guests back
  quorate.pve.node_maintenance:
    api_hosts: [192.0.2.11, 192.0.2.12]
    api_password: "{{ vault_root_password }}"
    node: pve1
    state: disabled
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: maintenance of pve1, fields: {enabled: {before: false, after: true}}}]
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
state:
  description: The node's state as the HA manager has it, such as V(online) or V(maintenance).
  returned: success
  type: str
guests_left:
  description: Numbers of running guests on a node in maintenance that are not under HA.
  returned: success
  type: list
  elements: int
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._maintenance import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._shell import OPTIONS

ARGUMENT_SPEC = arguments(
    node={"type": "str", "required": True},
    state={"type": "str", "choices": ["enabled", "disabled"], "default": "enabled"},
    nodes={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "node": {"type": "str"},
            "address": {"type": "str", "required": True},
            "host_key": {"type": "str", "no_log": False},
        },
    },
    wait={"type": "bool", "default": True},
    timeout={"type": "int", "default": 1800},
    **{**OPTIONS, "ssh_timeout": {"type": "int", "default": 30}},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
