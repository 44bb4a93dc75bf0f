#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shut a whole cluster down."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_shutdown
short_description: Shut a whole Proxmox VE cluster down
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Everything must be there and at rest. Then what runs, and what HA is asked for, is noted; HA's resources are
    switched off (V(disabled), so that none is recovered elsewhere while nodes come back one by one), other guests
    are shut down in the opposite of their start order, HA is set aside so that no watchdog fires when quorum goes,
    Ceph's flags C(noout), C(norecover), C(norebalance), C(nobackfill), C(nodown) and C(pause) are set, and the
    nodes are shut down, those with Ceph monitors last, and last of all the one that the API calls go through.
  - The note is made once. A run that was cut off is taken up by the next one. What fails before the first node goes
    is put back; afterwards run it again, or M(quorate.pve.cluster_startup).
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
  - quorate.pve.whole_cluster
options:
  timeout:
    description: Seconds to wait for each step.
    type: int
    default: 1800
  rest_timeout:
    description: Seconds to wait until nothing moves in the cluster, before it begins.
    type: int
    default: 900
  ssh_timeout:
    description: Seconds that one command over SSH may take.
    type: int
    default: 60
  confirm:
    description: Whether it is meant.
    type: bool
    default: false
  stubborn:
    description:
      - What is done when a guest that is not under HA has not shut down in time, V(stop) cuts its power, V(leave)
        gives up and puts everything back. HA gives its own guests the time that it always gives them, and then cuts
        their power.
    type: str
    choices: [stop, leave]
    default: leave
  guests:
    description: Another choice for single guests, by their number.
    type: dict
    default: {}
  guest_timeout:
    description: Seconds that a guest has to shut down, if its option C(startup) has no C(down).
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Everything off
  quorate.pve.cluster_shutdown:
    api_hosts: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    api_password: "{{ vault_root_password }}"
    cluster: ha-pve1
    note: /var/lib/quorate/ha-pve1/shutdown.json
    confirm: true
    nodes:
      - {node: pve1, address: 192.0.2.11, power: {ipmi: {host: 192.0.2.111, password: "{{ vault_ipmi_password }}"}}}
      - {node: pve2, address: 192.0.2.12}
      - {node: pve3, address: 192.0.2.13}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: node pve1, fields: {power: {before: "on", after: "off"}}}]
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
"off":
  description: Nodes that are off now.
  returned: success
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._cluster_shutdown import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._power_guests import LEAVE, POLICIES
from ansible_collections.quorate.pve.plugins.module_utils._power_machines import OPTIONS

ARGUMENT_SPEC = arguments(
    **OPTIONS,
    timeout={"type": "int", "default": 1800},
    rest_timeout={"type": "int", "default": 900},
    confirm={"type": "bool", "default": False},
    stubborn={"type": "str", "choices": list(POLICIES), "default": LEAVE},
    guests={"type": "dict", "default": {}},
    guest_timeout={"type": "int", "default": 180},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
