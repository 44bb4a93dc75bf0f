#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read Ceph's state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_info
short_description: Read the state of Ceph on a Proxmox VE cluster, or wait for its health
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Returns health, monitors, managers, OSDs and placement groups.
  - With O(wait_for_health), waits until no check is raised but the tolerated ones.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  wait_for_health:
    description: Whether to wait.
    type: bool
    default: false
  tolerate:
    description: Codes of checks that do not count, such as V(POOL_NO_REDUNDANCY).
    type: list
    elements: str
    default: []
  tolerate_offline:
    description:
      - Whether, as long as a member of the cluster is offline, what that raises does not count either, with a warning;
        daemons that are down, and data with fewer copies.
      - Data that cannot be reached counts.
    type: bool
    default: false
  hosts:
    description: Whether it is told which node has which OSDs.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for Ceph's health.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Ceph must be healthy before anything else happens
  quorate.pve.ceph_info:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    wait_for_health: true
    tolerate: [OSDMAP_FLAGS]
"""

RETURN = r"""
installed:
  description: Whether Ceph is installed, configured, and answers.
  returned: always
  type: bool
reason:
  description: Why not, in the server's words.
  returned: when RV(installed) is V(false)
  type: str
health:
  description: HEALTH_OK, HEALTH_WARN or HEALTH_ERR.
  returned: when RV(installed)
  type: str
checks:
  description: Text of every raised check by its code.
  returned: when RV(installed)
  type: dict
healthy:
  description: Whether no check is raised but the tolerated ones.
  returned: when RV(installed)
  type: bool
fsid:
  description: Identity of the Ceph cluster.
  returned: when RV(installed)
  type: str
monitors:
  description: Names of the monitors.
  returned: when RV(installed)
  type: list
  elements: str
quorum:
  description: Names of those that are in quorum.
  returned: when RV(installed)
  type: list
  elements: str
manager:
  description: Name of the active manager.
  returned: when RV(installed)
  type: str
osds:
  description: Numbers of OSDs, C(total), C(up) and C(in).
  returned: when RV(installed)
  type: dict
pgs:
  description: Number of placement groups by state.
  returned: when RV(installed)
  type: dict
bytes:
  description: C(total) and C(used) bytes.
  returned: when RV(installed)
  type: dict
hosts:
  description: Numbers of the OSDs of every node.
  returned: when O(hosts=true)
  type: dict
  sample: {pve1: [0, 1], pve2: [2, 3]}
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._ceph_info import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    wait_for_health={"type": "bool", "default": False},
    tolerate={"type": "list", "elements": "str", "default": []},
    tolerate_offline={"type": "bool", "default": False},
    hosts={"type": "bool", "default": False},
    timeout={"type": "int", "default": 600},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
