#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say what would keep guests from failing over."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ha_eligibility
short_description: Say what would keep guests of a Proxmox VE cluster from failing over
version_added: 0.3.0
author: [Quorate contributors (@quorate)]
description:
  - Reads the guests' configurations, storages, replication jobs, HA rules and backups, and says for each guest what
    would keep it from starting on another node, or from being of use there.
  - Checks are V(nodes) (HA may start it nowhere else), V(disk) (local, and not replicated to where HA may start it),
    V(storage) (not on all nodes that it may run on), V(iso) (an image of local storage in its drive), V(passthrough)
    (a device or disk of its host), V(cpu) (the host's processor, and different ones), V(agent) (no guest agent),
    V(autostart) (whether what it is for starts by itself is not known), V(backup) (none, and no job).
  - What the variables would make of the cluster can be given, so that it can be judged before it is made.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  guests:
    description: Numbers of the guests to judge; all of them if neither this nor O(only_ha) is given.
    type: list
    elements: int
  only_ha:
    description: Whether only the guests under HA, and those of O(planned_resources), are judged.
    type: bool
    default: false
  services_known:
    description: Numbers, names or tags of guests of which it is known that what they are for starts by itself.
    type: list
    elements: str
    default: []
  severity:
    description: What the warnings of a check count as, by C(ha_) and the check's name, V(error), V(warning) or V(info).
    type: dict
    default: {}
  planned_nodes:
    description: Names of the nodes that guests may run on, if they are not those that there are.
    type: list
    elements: str
    default: []
  planned_resources:
    description: As for M(quorate.pve.ha_resources), what shall be under HA.
    type: list
    elements: dict
    default: []
  planned_guests:
    description: As for M(quorate.pve.guests), what shall be there.
    type: list
    elements: dict
    default: []
  planned_storages:
    description: As for M(quorate.pve.storages), what shall be there.
    type: list
    elements: dict
    default: []
  planned_replication:
    description: As for M(quorate.pve.replication_jobs), what shall be there.
    type: list
    elements: dict
    default: []
  planned_affinity:
    description: As for M(quorate.pve.ha_rules), what shall be there.
    type: list
    elements: dict
    default: []
  planned_backup_jobs:
    description: As for M(quorate.pve.backup_jobs), what shall be there.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Which guests would not fail over
  quorate.pve.ha_eligibility:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    only_ha: true
  register: eligibility

- name: All of them would
  ansible.builtin.assert:
    that: eligibility.guests | rejectattr('eligible') | length == 0
    fail_msg: "{{ eligibility.findings | map(attribute='text') | join('; ') }}"
"""

RETURN = r"""
guests:
  description:
    - The guests by number, each with C(vmid), C(sid), C(name), C(node), C(under_ha), C(may_run) (the nodes that HA may
      start it on), C(eligible) (nothing stops it from starting elsewhere), and C(obstacles), each with C(check),
      C(severity), C(text), C(fix) and C(stops). Guests of nodes that do not answer are left out.
  returned: success
  type: list
  elements: dict
findings:
  description: The obstacles of the guests under HA (or of those named) as M(quorate.pve.preflight) words its findings.
  returned: success
  type: list
  elements: dict
errors:
  description: Number of errors among the findings.
  returned: success
  type: int
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._ha_eligibility import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

PLANNED = {"type": "list", "elements": "dict", "default": []}

ARGUMENT_SPEC = arguments(
    guests={"type": "list", "elements": "int"},
    only_ha={"type": "bool", "default": False},
    services_known={"type": "list", "elements": "str", "default": []},
    severity={"type": "dict", "default": {}},
    planned_nodes={"type": "list", "elements": "str", "default": []},
    planned_resources=PLANNED,
    planned_guests=PLANNED,
    planned_storages=PLANNED,
    planned_replication=PLANNED,
    planned_affinity=PLANNED,
    planned_backup_jobs=PLANNED,
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
