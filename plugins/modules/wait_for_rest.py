#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait until nothing in a cluster moves any more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_rest
short_description: Wait until nothing in a Proxmox VE cluster moves any more
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Waits until all nodes are online, HA, Ceph and replication are as they should be, and no backup or migration runs.
  - Ceph rests when no check is raised and no placement group is on its way to other disks; its health alone is fine
    with the latter.
  - If that does not come about in time, it fails and names what still moves. In check mode there is no waiting.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  areas:
    description:
      - What to look at.
      - With V(groups), after all nodes were brought from release 8 to 9, HA groups that the manager has not turned into
        rules yet.
    type: list
    elements: str
    choices: [nodes, ha, ceph, replication, backup, tasks, groups]
    default: [nodes, ha, ceph, replication, backup, tasks]
  tolerate:
    description: Checks of Ceph, such as V(POOL_NO_REDUNDANCY), that count as healthy.
    type: list
    elements: str
    default: []
  away:
    description: Nodes that may be offline.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Go on when all is calm
  quorate.pve.wait_for_rest:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    areas: [nodes, ha, ceph]
"""

RETURN = r"""
rest:
  description: Whether nothing moves.
  returned: success
  type: bool
areas:
  description: By area, what moves, in words.
  returned: success
  type: dict
moving:
  description: All of that in one list.
  returned: success
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._rest import AREAS, GROUPS, run

ARGUMENT_SPEC = arguments(
    areas={"type": "list", "elements": "str", "choices": [*AREAS, GROUPS], "default": list(AREAS)},
    tolerate={"type": "list", "elements": "str", "default": []},
    away={"type": "list", "elements": "str", "default": []},
    timeout={"type": "int", "default": 900},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
