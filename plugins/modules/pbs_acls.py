#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage access rules of a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_acls
short_description: Manage who may do what on a Proxmox Backup Server
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Gives roles to users and API tokens on paths, and takes them away.
  - A token may do what both it and its user may do, so that both need a rule.
  - A cluster that makes and restores its own backups needs V(DatastoreBackup) on its namespace or datastore. With
    a namespace it needs V(DatastoreAudit) on the datastore itself, too, or its nodes take the storage for offline.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  acls:
    description: The rules.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path such as C(/datastore/main/ha-lab), C(/remote) or C(/).
        type: str
        required: true
      auth_id:
        description: User or API token.
        type: str
        required: true
      role:
        description: Role.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      propagate:
        description: Whether it holds below the path, too.
        type: bool
"""

EXAMPLES = r"""
- name: The cluster backs up into its namespace
  quorate.pve.pbs_acls:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    acls:
      - {path: /datastore/main/ha-lab, auth_id: pve@pbs, role: DatastoreBackup}
      - {path: /datastore/main/ha-lab, auth_id: "pve@pbs!ha-lab", role: DatastoreBackup}
      - {path: /datastore/main, auth_id: pve@pbs, role: DatastoreAudit, propagate: false}
      - {path: /datastore/main, auth_id: "pve@pbs!ha-lab", role: DatastoreAudit, propagate: false}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: rule /datastore/main pve@pbs DatastoreBackup, fields: {}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, finish
from ansible_collections.quorate.pve.plugins.module_utils._pbs import pbs_arguments
from ansible_collections.quorate.pve.plugins.module_utils._pbs_access import ACLS, Acls

ARGUMENT_SPEC = pbs_arguments(**ACLS.argument_spec(), **PURGE)

run = Acls.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
