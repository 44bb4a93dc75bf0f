#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Move a guest to another node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_migration
short_description: Move a guest to another node
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Moves a guest once, by hand. A virtual machine that runs moves live; a container that runs is restarted.
  - A guest under HA is moved by the HA manager, which only queues the request; this module waits until the status shows
    it in its place, or the manager has made four rounds without taking it up. Its rules stand above a move by hand, and
    may bring it back later.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  guest:
    description: Number of the guest.
    type: int
    required: true
  target:
    description: Name of the node.
    type: str
    required: true
  relocate:
    description: Whether a guest under HA is stopped, moved and started again instead of moved live.
    type: bool
    default: false
  with_local_disks:
    description: Whether disks that only the present node has are copied during a live migration.
    type: bool
    default: false
  target_storage:
    description: Storage for such disks, or pairs such as V(tank:fast); the same one if not given.
    type: str
  timeout:
    description: Seconds to wait until it is there.
    type: int
    default: 1800
"""

EXAMPLES = r"""
- name: Make room on the first node
  quorate.pve.guest_migration:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    guest: 101
    target: pve2
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: guest 101, fields: {node: {before: pve1, after: pve2}}}]
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
source:
  description: The node where it was.
  returned: success
  type: str
target:
  description: The node where it is, in check mode would be.
  returned: success
  type: str
pause_ms:
  description: For how many milliseconds a live migration held the guest; null if it did not move, or not live.
  returned: success
  type: int
comigrated:
  description: Resources that move with it because a rule keeps them together (Proxmox VE 9).
  returned: success
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._guest_migration import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    guest={"type": "int", "required": True},
    target={"type": "str", "required": True},
    relocate={"type": "bool", "default": False},
    with_local_disks={"type": "bool", "default": False},
    target_storage={"type": "str"},
    timeout={"type": "int", "default": 1800},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
