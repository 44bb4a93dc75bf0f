# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options of modules that switch a whole cluster off or on."""

from __future__ import annotations


class ModuleDocFragment:
    """What both have: the machines, how their power buttons are reached, and where is noted what ran."""

    DOCUMENTATION = r"""
options:
  cluster:
    description: Its name, as the note has it.
    type: str
    required: true
  nodes:
    description: All nodes of the cluster.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Its address, for the API and SSH.
        type: str
        required: true
      host_key:
        description: Its SSH host key, as in known_hosts without the name, C(ssh-ed25519 AAAA...).
        type: str
      power:
        description: How its power button is reached, as M(quorate.pve.node_power) has it.
        type: dict
        suboptions:
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
  note:
    description: File on the machine where the module runs with what ran before.
    type: path
    required: true
  tolerate:
    description: Checks of Ceph, such as V(POOL_NO_REDUNDANCY), that count as healthy.
    type: list
    elements: str
    default: []
  command_timeout:
    description: Seconds that one command for a power button may take.
    type: int
    default: 60
"""
