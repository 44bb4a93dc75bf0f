#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the state of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Read the state of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Returns members, links, quorum, totem settings and versions of the cluster that O(api_hosts) reaches.
  - A standalone node is described likewise, with RV(cluster) set to V(null).
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  resources:
    description: Whether guests, storages and nodes are listed too, as the cluster last saw them.
    type: bool
    default: false
  details:
    description:
      - What is read beside that. V(nodes) is the state, size and certificate of each node, V(ha) the HA manager's view,
        V(storages) where each storage is and how full, with one call each; V(versions) and V(subscriptions) take a call
        to each node that is online, side by side.
    type: list
    elements: str
    choices: [nodes, versions, subscriptions, ha, storages]
    default: []
"""

EXAMPLES = r"""
- name: Look at the cluster
  quorate.pve.cluster_info:
    api_hosts: [192.0.2.11, 192.0.2.12]
    api_token_id: monitor@pve!look
    api_token_secret: "{{ vault_token }}"
  register: state

- name: Say who is there
  ansible.builtin.debug:
    msg: "{{ state.cluster }}: {{ state.nodes | selectattr('online') | map(attribute='name') | join(', ') }}"

- name: Read everything that there is to know of a cluster
  quorate.pve.cluster_info:
    api_hosts: [192.0.2.11, 192.0.2.12]
    api_token_id: monitor@pve!look
    api_token_secret: "{{ vault_token }}"
    resources: true
    details: [nodes, versions, subscriptions, ha, storages]
"""

RETURN = r"""
cluster:
  description: Name of the cluster, or null on a standalone node.
  returned: success
  type: str
quorate:
  description: Whether the partition that answered is quorate. A standalone node always is.
  returned: success
  type: bool
config_version:
  description: Version of corosync.conf; 0 on a standalone node.
  returned: success
  type: int
nodes:
  description:
    - The members, sorted by name. What is asked for by O(details) is null for a node that is offline, or where the
      login may not see it.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      type: str
    nodeid:
      description: Number in corosync.conf; 0 on a standalone node.
      type: int
    votes:
      description: Votes that it has.
      type: int
    address:
      description: Address that its name resolves to.
      type: str
    online:
      description: Whether it is a member of the partition that answered.
      type: bool
    local:
      description: Whether it is the node that answered.
      type: bool
    links:
      description: Its addresses, each with C(number) and C(address).
      type: list
      elements: dict
    fingerprint:
      description: SHA-256 fingerprint of its certificate, with V(nodes) in O(details).
      type: str
    uptime:
      description: Seconds since it was started, with V(nodes) in O(details).
      type: int
    cpus:
      description: Number of its processors, with V(nodes) in O(details).
      type: int
    cpu:
      description: The part of them that is in use, 0 to 1, with V(nodes) in O(details).
      type: float
    memory:
      description: Bytes of memory, with V(nodes) in O(details).
      type: int
    memory_used:
      description: Bytes of memory in use, with V(nodes) in O(details).
      type: int
    version:
      description: Version of its manager such as V(9.2.1), with V(versions) in O(details).
      type: str
    subscription:
      description: C(status), C(level), C(product) and C(next_due), with V(subscriptions) in O(details).
      type: dict
links:
  description: Numbers of the links that corosync.conf names.
  returned: success
  type: list
  elements: int
votes:
  description: C(expected) votes, those C(present), the C(quorum) that is needed, and those of the C(witness) among
    them.
  returned: success
  type: dict
totem:
  description: The totem section of corosync.conf; null on a standalone node.
  returned: success
  type: dict
version:
  description: C(version), C(release) and C(repoid) of the node that answered.
  returned: success
  type: dict
ha:
  description:
    - C(quorate), the name of the C(master) (or null), C(fencing) (V(armed) and the like; null where the server does not
      say it), C(nodes) with the state of each local resource manager by name, and C(services), each with C(sid),
      C(node), C(state) and C(request_state).
  returned: with V(ha) in O(details)
  type: dict
storages:
  description:
    - Every storage that is configured and visible, each with C(storage), C(type), C(content), C(shared), C(enabled),
      and C(nodes), each with C(node), C(available), and C(total) and C(used) bytes.
  returned: with V(storages) in O(details)
  type: list
  elements: dict
resources:
  description: What C(/cluster/resources) lists, each with its C(type) (V(qemu), V(lxc), V(storage), V(node), ...).
  returned: when O(resources=true)
  type: list
  elements: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._cluster_info import DETAILS, run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    resources={"type": "bool", "default": False},
    details={"type": "list", "elements": "str", "choices": list(DETAILS), "default": []},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
