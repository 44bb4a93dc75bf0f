#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Back up guests now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Back up guests of a Proxmox VE cluster now
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Backs guests up and waits for the end, on all nodes at the same time.
  - With O(max_age), only those whose newest backup on the storage is older.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  storage:
    description: Storage for the backups.
    type: str
    required: true
  guests:
    description: Numbers of the guests.
    type: list
    elements: int
    default: []
  all:
    description: Whether it takes all guests of the cluster.
    type: bool
    default: false
  exclude:
    description: Numbers of guests to leave out.
    type: list
    elements: int
    default: []
  mode:
    description: How consistency is reached.
    type: str
    choices: [snapshot, suspend, stop]
    default: snapshot
  max_age:
    description: How old the newest backup of a guest may be, such as C(24h), by the servers' clock. Without it, a
      backup is made in any case.
    type: str
  notes_template:
    description: Notes, in which C({{guestname}}), C({{node}}), C({{vmid}}) and C({{cluster}}) are filled in.
    type: str
  protected:
    description: Whether the backups are protected from removal.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for the end on one node.
    type: int
    default: 14400
"""

EXAMPLES = r"""
- name: Every guest has a backup that is no older than a day
  quorate.pve.backup:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    storage: backup
    all: true
    max_age: 24h
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: backup of 101 on backup, fields: {node: {before: null, after: pve1}}}]
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
backups:
  description: The newest backup of each of the guests, with C(type) (V(vm) or V(ct)), C(vmid), C(volid), C(size) in
    bytes and C(time) in seconds since 1970.
  returned: success
  type: list
  elements: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._backup_now import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    storage={"type": "str", "required": True},
    guests={"type": "list", "elements": "int", "default": []},
    all={"type": "bool", "default": False},
    exclude={"type": "list", "elements": "int", "default": []},
    mode={"type": "str", "choices": ["snapshot", "suspend", "stop"], "default": "snapshot"},
    max_age={"type": "str"},
    notes_template={"type": "str"},
    protected={"type": "bool", "default": False},
    timeout={"type": "int", "default": 14400},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
