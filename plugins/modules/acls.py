#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage access rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acls
short_description: Manage who may do what on a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Gives roles to users, groups and API tokens on paths, and takes them away.
  - An API token with O(quorate.pve.api_tokens#module:tokens[].privsep) may do what both it and its user may do, so that
    both need a rule.
  - A purge spares the rules of C(root@pam) and of this very login.
extends_documentation_fragment:
  - quorate.pve.connection
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
        description: Path such as C(/), C(/vms/101), C(/pool/web), C(/storage/tank) or C(/access).
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      auth_id:
        description: User C(ann@pve), API token C(ann@pve!laptop), or group C(watchers).
        type: str
        required: true
      role:
        description: Role.
        type: str
        required: true
      propagate:
        description: Whether it holds below the path, too.
        type: bool
"""

EXAMPLES = r"""
- name: The monitoring may look at everything
  quorate.pve.acls:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    acls:
      - {path: /, auth_id: monitoring@pve, role: PVEAuditor}
      - {path: /, auth_id: "monitoring@pve!zabbix", role: PVEAuditor}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: rule / ann@pve PVEAuditor, fields: {}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._pve_access import ACLS, Acls

ARGUMENT_SPEC = arguments(**ACLS.argument_spec(), **PURGE)

run = Acls.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
