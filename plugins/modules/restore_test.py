#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Test that backups can be restored."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_test
short_description: Test that backups of a Proxmox VE cluster can be restored
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - Restores the newest backup of a guest under a free number, with new network addresses and the cables of its network
    cards pulled, starts it, waits for its agent if it has one, and destroys it again, also after a failure.
  - Each result is added to a file as a line of JSON. The guest whose last good test is longest ago comes first, so that
    a scheduled run goes round all of them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  guests:
    description: Numbers of the guests; all that have a backup if it is not given.
    type: list
    elements: int
  count:
    description: How many of them are tested in this run.
    type: int
    default: 1
  every:
    description: How long a good test holds, such as C(7d); a guest that was tested since then is left out. Without
      it, a test is made in any case.
    type: str
  results:
    description: File on the machine where the module runs for the results, readable for its owner alone.
    type: path
    required: true
  source:
    description: Storage with the backups; all that the node has for backups if it is not given.
    type: str
  node:
    description: Where to; the first node that is online if it is not given.
    type: str
  storage:
    description: Storage for the disks. If it is not given, each goes to the storage that it was on.
    type: str
  first_vmid:
    description: The first number of those from which a free one is taken.
    type: int
    default: 9000
  boot_timeout:
    description: Seconds to wait until the restored guest runs and its agent answers.
    type: int
    default: 300
  timeout:
    description: Seconds to wait for a restore.
    type: int
    default: 14400
"""

EXAMPLES = r"""
- name: Every day one of the guests, each at least once a month
  quorate.pve.restore_test:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    node: pve3
    storage: tank
    every: 30d
    results: /var/log/restore-tests.jsonl
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: restore test of guest 104, fields: {node: {before: null, after: pve3}}}]
done:
  description: Entries of RV(plan) that went well, if others did not.
  returned: failure
  type: list
  elements: dict
not_done:
  description: Entries of RV(plan) that failed.
  returned: failure
  type: list
  elements: dict
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
tests:
  description: The tests as they stand in the file, each with C(vmid), C(backup), C(node), C(time), C(ok), C(seconds)
    and C(bytes) of the restore, C(boot_seconds), C(agent) (whether it has one that answered) and C(error) of a failed
    one.
  returned: success
  type: list
  elements: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._restore_test import ARGUMENTS, run

ARGUMENT_SPEC = arguments(**ARGUMENTS)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
