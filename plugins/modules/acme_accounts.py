#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Register accounts with ACME authorities."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_accounts
short_description: Register accounts with ACME authorities
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Manages the accounts in whose names the nodes of a cluster order their certificates.
  - Only C(root@pam) with its password may do this; a password is preferred to an API token here.
  - An account that is removed is deactivated at the authority, for good; another one may be registered under its name.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  accounts:
    description: The accounts. Those that are not named are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the account; nodes order with C(default) unless their configuration says otherwise.
        type: str
        required: true
      contact:
        description: Mail addresses that the authority writes to.
        type: list
        elements: str
      directory:
        description: URL of the authority's directory; fixed. That of Let's Encrypt if it is not given.
        type: str
      terms_agreed:
        description: Whether you agree to the authority's terms of service. Without that no account is registered.
        type: bool
        default: false
      eab_kid:
        description: Id of the key that binds the account to one that you have with the authority already; fixed.
        type: str
      eab_hmac_key:
        description: That key, in base64url, sent on registration only. Keep it in a vault.
        type: str
      state:
        description: Whether it is there; with V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
  timeout:
    description: Seconds to wait for the end of one task of the server.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: An account with Let's Encrypt
  quorate.pve.acme_accounts:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    accounts:
      - {name: default, contact: [admin@example.org], terms_agreed: true}

- name: An account with the company's authority
  quorate.pve.acme_accounts:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    accounts:
      - name: company
        contact: [admin@example.org]
        directory: https://ca.example.org/acme/directory
        terms_agreed: true
        eab_kid: cluster-1
        eab_hmac_key: "{{ vault_eab_key }}"
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: ACME account default, fields: {contact: {before: null, after: [a@example.org]}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._acme_accounts import ACCOUNTS, AcmeAccounts
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(**ACCOUNTS.argument_spec(), timeout={"type": "int", "default": 300})

run = AcmeAccounts.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
