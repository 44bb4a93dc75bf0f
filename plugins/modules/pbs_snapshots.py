#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage what is known of backups on a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_snapshots
short_description: Protect, annotate, hand over and forget backups on a Proxmox Backup Server
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - Sets protection and notes of single backups, owner and notes of a group (all backups of one guest or host), and
    forgets them. Backups are made by nodes, and pruned by rules in M(quorate.pve.pbs_prune_jobs).
  - Settings that are not given, or V(null), are left alone; an empty string unsets notes. Backups that are not listed
    are left alone.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
options:
  snapshots:
    description: The snapshots, and groups.
    type: list
    elements: dict
    required: true
    suboptions:
      store:
        description: Datastore.
        type: str
        required: true
      ns:
        description: Namespace.
        type: str
        aliases: [namespace]
      type:
        description: Kind of what was backed up.
        type: str
        choices: [vm, ct, host]
        default: vm
      id:
        description: Number of the guest or name of the host.
        type: str
        required: true
      time:
        description: When it was made, such as C(2026-11-20T02:00:00Z) or in seconds since 1970; V(newest) is the last
          one. Without it, the element is about the group.
        type: str
      state:
        description: V(absent) forgets it, a group with all its snapshots. With V(ignore) the element counts as not
          written.
        type: str
        choices: [present, absent, ignore]
        default: present
      forget:
        description: Has to be V(true) for what shall be forgotten. The data is gone with the next garbage collection.
        type: bool
      protected:
        description: Whether the snapshot is never pruned or forgotten.
        type: bool
      notes:
        description: Notes.
        type: str
      owner:
        description: User or API token that may add to the group.
        type: str
"""

EXAMPLES = r"""
- name: The state before the upgrade stays
  quorate.pve.pbs_snapshots:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    snapshots:
      - {store: main, ns: ha-lab, id: "104", time: newest, protected: true, notes: before the upgrade}

- name: A guest that is long gone
  quorate.pve.pbs_snapshots:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    snapshots: [{store: main, ns: ha-lab, id: "999", state: absent, forget: true}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: snapshot main/ha-lab/vm/104/1795305600,
            fields: {protected: {before: false, after: true}}}]
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
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import finish
from ansible_collections.quorate.pve.plugins.module_utils._pbs import pbs_arguments
from ansible_collections.quorate.pve.plugins.module_utils._pbs_snapshots import SNAPSHOTS, Snapshots

ARGUMENT_SPEC = pbs_arguments(**SNAPSHOTS.argument_spec())

run = Snapshots.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
