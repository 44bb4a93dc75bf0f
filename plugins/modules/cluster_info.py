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
options: {}
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
    - The members, sorted by name, each with C(name), C(nodeid), C(votes), C(address), C(online), C(local) and C(links), a
      list of C(number) and C(address).
  returned: success
  type: list
  elements: dict
links:
  description: Numbers of the links that corosync.conf names.
  returned: success
  type: list
  elements: int
votes:
  description: C(expected) votes, those C(present), and the C(quorum) that is needed.
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
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""
