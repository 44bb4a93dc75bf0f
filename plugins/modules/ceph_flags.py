#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set and clear Ceph's cluster-wide flags."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_flags
short_description: Set and clear the cluster-wide flags of Ceph on a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Sets and clears flags such as C(noout) for the time of maintenance. Flags that are not named are left alone.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  flags:
    description:
      - Flags and whether they are set. There are C(nobackfill), C(nodeep-scrub), C(nodown), C(noin), C(noout),
        C(norebalance), C(norecover), C(noscrub), C(notieragent), C(noup), C(pause).
    type: dict
    required: true
  timeout:
    description: Seconds to wait for the task.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Do not copy data while a node is restarted
  quorate.pve.ceph_flags:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    flags: {noout: true}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
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
from ansible_collections.quorate.pve.plugins.module_utils._ceph_flags import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    flags={"type": "dict", "required": True},
    timeout={"type": "int", "default": 60},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
