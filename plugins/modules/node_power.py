#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Press the power button of nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_power
short_description: Press the power button of nodes
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Switches machines on or off through their management controller (C(ipmitool) on the control node), or by commands
    that the operator has. What is as wanted already is left alone, as far as there is a way to ask.
  - Off is not a shutdown; it is what a power failure is. It has to be confirmed.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  api_hosts:
    description: Not used; the API has nothing to do with it.
    required: false
  action:
    description: What to do.
    type: str
    required: true
    choices: ["on", "off", cycle, status]
  nodes:
    description: The machines, and how their power buttons are reached.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Its name, which V({node}) in commands stands for.
        type: str
        required: true
      "on":
        description: Command on the control node, as a list of words, that switches it on.
        type: list
        elements: str
      "off":
        description: Command that cuts its power.
        type: list
        elements: str
      cycle:
        description: Command that does both; off and on one after another if it is not given.
        type: list
        elements: str
      status:
        description: Command that prints whether it is on or off.
        type: list
        elements: str
      ipmi:
        description: Its management controller.
        type: dict
        suboptions:
          host:
            description: Address.
            type: str
            required: true
          user:
            description: User.
            type: str
            default: ADMIN
          password:
            description: Password; it is handed over in the environment of C(ipmitool).
            type: str
          interface:
            description: Interface of C(ipmitool).
            type: str
            default: lanplus
  confirm:
    description: Whether cutting the power is meant.
    type: bool
    default: false
  timeout:
    description: Seconds for one command, and to wait for the state asked for.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Pull the plug
  quorate.pve.node_power:
    action: "off"
    confirm: true
    nodes:
      - node: pve1
        ipmi: {host: 192.0.2.111, user: admin, password: "{{ vault_ipmi_password }}"}
"""

RETURN = r"""
power:
  description: By node, V(on), V(off), or null if there is no way to ask.
  returned: success
  type: dict
pressed:
  description: Nodes whose button was (in check mode, would be) pressed.
  returned: success
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import CONNECTION, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._power import ACTIONS, OPTIONS, run

ARGUMENT_SPEC = arguments(
    api_hosts={**CONNECTION["api_hosts"], "required": False},
    action={"type": "str", "required": True, "choices": list(ACTIONS)},
    nodes={
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "node": {"type": "str", "required": True},
            **OPTIONS,
        },
    },
    confirm={"type": "bool", "default": False},
    timeout={"type": "int", "default": 60},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
