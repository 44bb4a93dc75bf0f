#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage API tokens."""

from __future__ import annotations

DOCUMENTATION = r"""
module: api_tokens
short_description: Manage API tokens of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes API tokens.
  - The server says a token's secret once. It is put into a file of mode 0600 on the machine where the module runs, and
    printed nowhere.
  - The token of this very login is never removed.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  tokens:
    description: The tokens.
    type: list
    elements: dict
    required: true
    suboptions:
      tokenid:
        description: Token as C(user@realm!name). The user must be there.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      comment:
        description: Comment.
        type: str
      expire:
        description: Second since 1970 from which the token may not be used any more; 0 is never.
        type: int
      privsep:
        description:
          - Whether the token may do only what M(quorate.pve.acls) gives to the token itself, and never more
            than its user has. Otherwise it may do all that its user may. The server's default is V(true).
        type: bool
      secret_file:
        description: File for the secret. Needed to create the token; missing directories are made.
        type: path
      regenerate:
        description:
          - Whether a token whose file is missing gets a new secret. What uses the old one stops working. On
            a server before 9.1 the token is removed and made anew, with its rules.
        type: bool
"""

EXAMPLES = r"""
- name: A token for the monitoring
  quorate.pve.api_tokens:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    tokens: [{tokenid: "monitoring@pve!zabbix", secret_file: secrets/zabbix}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: "API token ann@pve!laptop", fields: {comment: {before: null, after: laptop}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._pve_access import TOKENS, Tokens

ARGUMENT_SPEC = arguments(**TOKENS.argument_spec(), **PURGE)

run = Tokens.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
