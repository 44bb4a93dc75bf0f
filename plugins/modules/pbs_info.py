#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a backup server has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_info
short_description: Read what a Proxmox Backup Server has
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Reads the datastores, how full they are, and the newest backup of each group, as far as the login may see them.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.reads
options:
  datastores:
    description: Datastores to read, which must be there. All that the login may see if it is not given.
    type: list
    elements: str
    default: []
  groups:
    description: Whether the groups of backups are read, too.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: What is there
  quorate.pve.pbs_info:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
"""

RETURN = r"""
version:
  description: Version of the server.
  returned: success
  type: str
datastores:
  description: The datastores, with C(store); C(total), C(used) and C(avail) in bytes; C(error), what the server said
    instead; and C(groups), each with C(ns), C(type), C(id), C(count), C(owner) and C(newest) in seconds since 1970.
  returned: success
  type: list
  elements: dict
newest:
  description: The newest of all backups, in seconds since 1970.
  returned: success
  type: int
privileges:
  description: What this login may do, as lists of privileges by path.
  returned: success
  type: dict
  sample: {/datastore/main: [Datastore.Audit, Datastore.Backup]}
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import finish
from ansible_collections.quorate.pve.plugins.module_utils._pbs import pbs_arguments
from ansible_collections.quorate.pve.plugins.module_utils._pbs_info import run

ARGUMENT_SPEC = pbs_arguments(
    datastores={"type": "list", "elements": "str", "default": []},
    groups={"type": "bool", "default": True},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
