#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Give the API of nodes certificates of their own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_certificates
short_description: Give the API of nodes certificates of their own
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Uploads a certificate with its key for the API of a node, or removes it; the API shows it at once.
  - What a node shows from then on is written to O(api_trust_file), so that later tasks know it.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  certificates:
    description: The certificates.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      certificate:
        description: The certificate in PEM, with those of the authorities between it and the root behind it.
        type: str
      key:
        description: Its private key in PEM; the one that is there is used if it is not given. Keep it in a vault.
        type: str
      force:
        description: Whether it takes the place of another certificate that the node was given.
        type: bool
        default: false
      state:
        description: Whether it is there; with V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
"""

EXAMPLES = r"""
- name: A certificate of the company's authority
  quorate.pve.node_certificates:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    certificates:
      - node: pve1
        certificate: "{{ lookup('ansible.builtin.file', 'pve1.pem') }}"
        key: "{{ vault_pve1_key }}"
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: certificate of pve1, fields: {fingerprint: {before: null, after: 'AA:BB'}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._node_certificates import CERTIFICATES, NodeCertificates

ARGUMENT_SPEC = arguments(**CERTIFICATES.argument_spec())

run = NodeCertificates.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
