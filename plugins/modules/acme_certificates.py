#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Order the certificates of nodes from an ACME authority."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_certificates
short_description: Order the certificates of nodes from an ACME authority
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Orders a certificate for the API of a node where there is none yet, where the one that is there does not cover all
    of the node's domains (M(quorate.pve.acme_domains)), and where it ends soon. The node shows it at once.
  - What a node shows from then on is written to O(api_trust_file), so that later tasks know it. When the node has ended
    the connection meanwhile, another member is asked, then the authorities that this machine trusts or O(api_ca_file).
seealso:
  - module: quorate.pve.acme_accounts
  - module: quorate.pve.acme_plugins
  - module: quorate.pve.acme_domains
  - module: quorate.pve.node_certificates
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  certificates:
    description: The nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node, or V(*) for every member. What is said of one node wins over what is said of all.
        type: str
        required: true
      renew_before:
        description: Days before its end from which a certificate is renewed. The servers renew by themselves at 30.
        type: int
        default: 30
      force:
        description: Whether another one is ordered in any case. Every run does, as long as this is on.
        type: bool
        default: false
      state:
        description:
          - Whether it is there; with V(ignore) the element counts as not written.
          - With V(absent) the certificate is revoked, and the node shows that of the cluster again.
        type: str
        choices: [present, absent, ignore]
        default: present
  timeout:
    description: Seconds to wait for the end of one task of the server.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Certificates for the domains that the nodes are configured with
  quorate.pve.acme_certificates:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    certificates:
      - {node: "*"}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: ACME certificate of pve1, fields: {domains: {before: null, after: [a.example]}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._acme_certificates import CERTIFICATES, AcmeCertificates
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(**CERTIFICATES.argument_spec(), timeout={"type": "int", "default": 300})

run = AcmeCertificates.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
