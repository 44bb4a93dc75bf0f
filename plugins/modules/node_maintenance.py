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
  - quorate.pve.ssh
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
  others:
    description:
      - What is done with running guests that are not under HA, which the manager leaves alone.
      - With V(migrate) they move to the node with the most free memory, live if they are virtual machines, restarted if
        they are containers; a replicated one to where its replicas are. With V(shutdown) they are shut down.
      - At the end of the maintenance they are brought back, or started again.
    type: str
    choices: [migrate, shutdown, leave]
    default: leave
  guests:
    description:
      - Another choice for single guests, by their number.
      - One under HA that must not be moved live is given V(shutdown). HA is asked to stop it before the maintenance
        begins, and to start it when it has ended. It cannot be left.
    type: dict
    default: {}
  note:
    description: File on the machine where the module runs that notes what is done with such guests, until they are
      back. Needed if there are any to move or shut down.
    type: path
  ceph_noout:
    description: Whether Ceph is told not to copy elsewhere what this node's OSDs hold, for the time of the maintenance.
      That needs Ceph's administration key on one of the hosts.
    type: bool
    default: false
  recall:
    description:
      - Whether resources that the manager leaves where they are at the end of the maintenance, because their failback
        is off, are moved back by a request.
    type: bool
    default: false
  on_failure:
    description:
      - What becomes of a maintenance that fails before the node is empty.
      - With V(put_back) what this run did is undone, guests that were moved or shut down included. One that an
        earlier run, or somebody else, had begun is left as it is; so is one in a cluster between two releases if
        guests would have to return to the older one.
      - With V(stay) it is left as far as it came, for another run to go on.
    type: str
    choices: [put_back, stay]
    default: put_back
  shutdown_timeout:
    description: Seconds that a guest has to shut down, before it is stopped.
    type: int
    default: 180
  wait:
    description: Whether to wait until the node is empty, or its resources are back.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for that. Live migrations of large guests take their time.
    type: int
    default: 1800
  ssh_timeout:
    description: Seconds that one command may take.
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
state:
  description: The node's state as the HA manager has it, such as V(online) or V(maintenance).
  returned: success
  type: str
guests_left:
  description: Numbers of running guests on a node in maintenance that are not under HA and stay there.
  returned: success
  type: list
  elements: int
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._hosts import ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._maintenance import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

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
    others={"type": "str", "choices": ["migrate", "shutdown", "leave"], "default": "leave"},
    guests={"type": "dict", "default": {}},
    note={"type": "path"},
    ceph_noout={"type": "bool", "default": False},
    recall={"type": "bool", "default": False},
    on_failure={"type": "str", "choices": ["put_back", "stay"], "default": "put_back"},
    shutdown_timeout={"type": "int", "default": 180},
    wait={"type": "bool", "default": True},
    timeout={"type": "int", "default": 1800},
    **ssh_options(30),
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
