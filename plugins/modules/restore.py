#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restore a guest from its backup."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Restore a guest of a Proxmox VE cluster from its backup
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - Makes a guest from a backup, under the number that it had or another one, on any node that sees the backup, and
    waits for the end.
  - A guest that is there is overwritten only with O(overwrite), and stopped for that only with O(stop). Before anything
    is written, the backup is looked up, its configuration is read, and the storages for its disks must be there.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.chosen_backup
options:
  vmid:
    description: Number of the restored guest; the one that was backed up if it is not given.
    type: int
  node:
    description: Where to. If it is not given, the node that has the guest to be overwritten, else the one with the most
      free memory.
    type: str
  storage:
    description: Storage for all disks. If it is not given, each goes to the storage that it was on.
    type: str
  live:
    description: Whether a virtual machine runs while it is still being restored. The backup must be on a backup server.
    type: bool
    default: false
  start:
    description: Whether it is started afterwards. If it is not given, it is if the guest that it overwrites ran.
      Under HA the guest that is overwritten returns to the state that was asked for, unless this is V(false).
    type: bool
  unique:
    description: Whether network cards get new addresses, so that it can run beside the guest that was backed up.
    type: bool
    default: false
  disconnect:
    description: Whether the cables of its network cards are pulled.
    type: bool
    default: false
  options:
    description: >-
      Other settings than those of the backup, such as C({name: web-old, onboot: false}). Not for disks.
    type: dict
    default: {}
  pool:
    description: Pool for the guest.
    type: str
  bwlimit:
    description: Limit in KiB/s.
    type: int
  overwrite:
    description: Whether a guest that has the number is overwritten. All that it has now is lost. With this, every run
      restores.
    type: bool
    default: false
  stop:
    description: Whether the guest to be overwritten may be stopped for that, through the HA manager if it is under HA.
    type: bool
    default: false
  keep:
    description: Whether a guest that has the number already will do, so that a run over many guests can be run again.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for the end of the restore.
    type: int
    default: 14400
"""

EXAMPLES = r"""
- name: The guest of a node that is lost runs on another one, from its newest backup
  quorate.pve.restore:
    api_hosts: [192.0.2.12]
    api_password: "{{ vault_root_password }}"
    guest: 104
    vmid: 204
    node: pve2
    live: true

- name: Back to before it was encrypted by somebody else
  quorate.pve.restore:
    api_hosts: [192.0.2.12]
    api_password: "{{ vault_root_password }}"
    guest: 104
    before: "2026-11-20T12:00:00Z"
    overwrite: true
    stop: true
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: guest 204, fields: {node: {before: null, after: pve2}}}]
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
backup:
  description: The backup, with C(type) (V(vm) or V(ct)), C(vmid), C(volid), C(size) in bytes and C(time) in seconds
    since 1970; null if it is not known in check mode.
  returned: success
  type: dict
vmid:
  description: Number of the guest.
  returned: success
  type: int
node:
  description: Its node.
  returned: success
  type: str
seconds:
  description: How long the restore took; null if there was none.
  returned: success
  type: float
bytes:
  description: Size of the disks that were written, of a container the size of the backup; null if there was none.
  returned: success
  type: int
running_after:
  description: Seconds until the guest ran, with O(live); else null.
  returned: success
  type: float
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._restore import ARGUMENTS, run

ARGUMENT_SPEC = arguments(**ARGUMENTS)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
