#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage remotes of a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_remotes
short_description: Manage the servers that a Proxmox Backup Server pulls from
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes remotes. Before one is made or its login changed, the other server is asked
    from the machine where the module runs whether it has this certificate and takes this login; if it cannot be
    reached, that is a warning.
  - Settings that are not given, or V(null), are left alone; an empty string unsets them.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  remotes:
    description: The remotes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the remote.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      host:
        description: Name or address of the other server.
        type: str
      port:
        description: TCP port of its API.
        type: int
      auth_id:
        description: User or API token there, which may read the datastore (role C(DatastoreReader)).
        type: str
      password:
        description: Password or token secret. Sent on creation, later only with O(update_secrets).
        type: str
      password_file:
        description: File with O(remotes[].password) on the machine where the module runs, as M(quorate.pve.pbs_tokens)
          writes it.
        type: path
      fingerprint:
        description: SHA-256 fingerprint of its certificate, which may not change unnoticed.
        type: str
      comment:
        description: Comment.
        type: str
  update_secrets:
    description: Whether secrets of remotes that exist are sent again, which always counts as a change; the server never
      shows them.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The second server knows the first one
  quorate.pve.pbs_remotes:
    api_hosts: [192.0.2.102]
    api_password: "{{ vault_root_password }}"
    remotes:
      - name: pbs1
        host: 192.0.2.101
        auth_id: sync@pbs!pbs2
        password_file: secrets/pbs1-sync
        fingerprint: "{{ hostvars.pbs1.pbs_fingerprint }}"
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: remote pbs1, fields: {host: {before: null, after: 192.0.2.101}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._pbs_remotes import REMOTES, Remotes

ARGUMENT_SPEC = pbs_arguments(
    **REMOTES.argument_spec(), **PURGE, update_secrets={"type": "bool", "default": False, "no_log": False}
)

run = Remotes.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
