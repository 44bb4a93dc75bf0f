#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configure Ceph."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_config
short_description: Write the first configuration of Ceph on a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Makes C(/etc/pve/ceph.conf) as C(pveceph init) does, once a cluster.
  - A configuration that is there is compared; other networks than the wanted ones are an error, because monitors have
    addresses in them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  network:
    description: Public network, which monitors and clients use, such as C(10.0.0.0/24).
    type: str
    required: true
  cluster_network:
    description: Network for the OSDs' own traffic; the public one if it is not given.
    type: str
  size:
    description: Default number of copies of new pools.
    type: int
    default: 3
  min_size:
    description: Default number of copies that must be there for a new pool to take writes.
    type: int
    default: 2
  cephx:
    description: Whether clients have to log in.
    type: bool
    default: true
  node:
    description: Member that does it; the one that answers if it is not given.
    type: str
"""

EXAMPLES = r"""
- name: Ceph with a network of its own for the OSDs
  quorate.pve.ceph_config:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    network: 10.0.0.0/24
    cluster_network: 10.20.0.0/24
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: configuration of Ceph, fields: {network: {before: null, after: 10.0.0.0/24}}}]
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
fsid:
  description: Identity of the Ceph cluster.
  returned: when it is configured
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._ceph_config import configure as run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    network={"type": "str", "required": True},
    cluster_network={"type": "str"},
    size={"type": "int", "default": 3},
    min_size={"type": "int", "default": 2},
    cephx={"type": "bool", "default": True},
    node={"type": "str"},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
