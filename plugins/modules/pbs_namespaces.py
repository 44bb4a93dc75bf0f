#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage namespaces of datastores."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_namespaces
short_description: Manage namespaces in the datastores of a Proxmox Backup Server
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Makes namespaces, with those above them, and removes them.
  - A namespace with backups is only removed with an explicit O(namespaces[].destroy).
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  namespaces:
    description: The namespaces.
    type: list
    elements: dict
    required: true
    suboptions:
      store:
        description: Datastore.
        type: str
        required: true
      ns:
        description: Path of the namespace, such as C(site/cluster).
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      destroy:
        description: Whether the backups in it go with it when O(namespaces[].state=absent).
        type: bool
"""

EXAMPLES = r"""
- name: A namespace for each cluster
  quorate.pve.pbs_namespaces:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    namespaces:
      - {store: main, ns: ha-lab}
      - {store: main, ns: branches/north}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: namespace main/ha-lab, fields: {ns: {before: null, after: ha-lab}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._pbs_namespaces import NAMESPACES, Namespaces

ARGUMENT_SPEC = pbs_arguments(**NAMESPACES.argument_spec(), **PURGE)

run = Namespaces.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
