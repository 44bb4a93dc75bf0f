#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a whole cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_startup
short_description: Start a whole Proxmox VE cluster and bring back what ran
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Presses the power buttons of nodes that do not answer, where there is a way, and waits for the others to be
    switched on by hand.
  - When the cluster is quorate, what M(quorate.pve.cluster_shutdown) noted is brought back. Ceph's monitors and
    OSDs are waited for, its flags cleared, C(pause) last; HA takes care again; the guests that HA does not look
    after are started in their order; HA is asked for the states that it was asked for before. When all guests run
    and nothing moves, the note is removed.
  - It can be run again whenever it broke off. Without a note it is about the nodes alone.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.ssh
  - quorate.pve.whole_cluster
options:
  timeout:
    description: Seconds to wait for all nodes, and for each step after that.
    type: int
    default: 1800
  rest_timeout:
    description: Seconds to wait until nothing moves in the cluster, at the end.
    type: int
    default: 900
  ssh_timeout:
    description: Seconds that one command over SSH may take.
    type: int
    default: 60
  without:
    description: Nodes that stay off. Their guests that are not under HA are kept in the note for a later run.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Everything on
  quorate.pve.cluster_startup:
    api_hosts: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    api_password: "{{ vault_root_password }}"
    cluster: ha-pve1
    note: /var/lib/quorate/ha-pve1/shutdown.json
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
  sample: [{action: update, object: node pve1, fields: {power: {before: "off", after: "on"}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._cluster_startup import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._power_machines import OPTIONS

ARGUMENT_SPEC = arguments(
    **OPTIONS,
    timeout={"type": "int", "default": 1800},
    rest_timeout={"type": "int", "default": 900},
    without={"type": "list", "elements": "str", "default": []},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
