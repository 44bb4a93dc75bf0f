#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Install Ceph on nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_install
short_description: Install Ceph's packages on the nodes of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Runs C(pveceph install) over SSH on every node that has no Ceph yet, side by side; the API has no call for it.
  - Nodes that have Ceph are left as they are, whatever its release; moving to a newer one is an upgrade.
  - With nothing to install, no node is logged in to.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
options:
  nodes:
    description: The nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address or name to reach it by over SSH.
        type: str
        required: true
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
  release:
    description: Ceph's release, such as V(squid).
    type: str
    required: true
  repository:
    description: Repository to install from. V(enterprise) needs a subscription.
    type: str
    choices: [enterprise, no-subscription, test]
    default: enterprise
"""

EXAMPLES = r"""
- name: Ceph on three nodes
  quorate.pve.ceph_install:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    release: squid
    repository: no-subscription
    nodes:
      - {node: pve1, address: 192.0.2.11}
      - {node: pve2, address: 192.0.2.12}
      - {node: pve3, address: 192.0.2.13}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: Ceph's packages on pve1, fields: {release: {before: null, after: squid}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._ceph_config import install as run
from ansible_collections.quorate.pve.plugins.module_utils._hosts import NODES
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._shell import OPTIONS

ARGUMENT_SPEC = arguments(
    nodes={**NODES, "required": True},
    release={"type": "str", "required": True},
    repository={"type": "str", "choices": ["enterprise", "no-subscription", "test"], "default": "enterprise"},
    **OPTIONS,
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
