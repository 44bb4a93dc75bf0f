#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run a sync job of a backup server now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_sync
short_description: Run a sync job of a Proxmox Backup Server now
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Runs a sync job and waits for its end, unless the groups that it shall bring are there already.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
options:
  job:
    description: Name of the job.
    type: str
    required: true
  groups:
    description: Groups that must be on this server afterwards. Without any, the job is run in any case.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description: Kind of what was backed up.
        type: str
        choices: [vm, ct, host]
        default: vm
      id:
        description: Number of the guest or name of the host.
        type: str
        required: true
  max_age:
    description: How old the newest backup of each group may be, such as C(24h). Any will do if it is not given.
    type: str
  timeout:
    description: Seconds to wait for the end.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: The first backups are on the second server, too
  quorate.pve.pbs_sync:
    api_hosts: [192.0.2.102]
    api_password: "{{ vault_root_password }}"
    job: from-pbs1
    groups: [{id: "101"}, {id: "102"}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: run of sync job from-pbs1, fields: {groups: {before: null, after: [vm/101]}}}]
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
groups:
  description: The groups that the job's datastore and namespace have, with C(ns), C(type), C(id), C(count), C(owner)
    and C(newest), the second since 1970 of the newest backup.
  returned: success
  type: list
  elements: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import finish
from ansible_collections.quorate.pve.plugins.module_utils._pbs import pbs_arguments
from ansible_collections.quorate.pve.plugins.module_utils._pbs_sync_now import run

ARGUMENT_SPEC = pbs_arguments(
    job={"type": "str", "required": True},
    groups={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "type": {"type": "str", "choices": ["vm", "ct", "host"], "default": "vm"},
            "id": {"type": "str", "required": True},
        },
    },
    max_age={"type": "str"},
    timeout={"type": "int", "default": 3600},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
