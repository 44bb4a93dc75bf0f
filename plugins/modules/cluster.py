#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create a cluster on a standalone node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: Create a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Turns the standalone node that O(api_hosts) reaches into the first member of a cluster, and waits until that is quorate.
  - A node that is already a member of the cluster of this name is left as it is; one that is in another cluster is an error.
  - Needs C(root@pam) with its password; the server refuses API tokens here.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  name:
    description: Name of the cluster, at most 15 letters, digits and hyphens.
    type: str
    required: true
  links:
    description:
      - Addresses of this node on the cluster's networks. Without it, link 0 is the address that the node's name resolves to.
      - Links of a cluster that exists already are compared with these; the API cannot change them.
    type: list
    elements: dict
    default: []
    suboptions:
      number:
        description: Number of the link, 0 to 7. All members have the same link numbers.
        type: int
        required: true
      address:
        description: This node's address (or name) on the link.
        type: str
        required: true
      priority:
        description: Among the links that work, the one with the highest number carries the traffic. Fixed at creation.
        type: int
  votes:
    description: Votes of this node, 1 if not given.
    type: int
  nodeid:
    description: Number of this node in the cluster, 1 if not given.
    type: int
  token_coefficient:
    description: Milliseconds by which every member beyond the second prolongs the token time-out (Proxmox VE 9.2 and newer).
    type: int
  timeout:
    description: Seconds to wait for the cluster to become quorate.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: The first member
  quorate.pve.cluster:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    api_fingerprints: ["{{ pve_fingerprint }}"]
    name: ha-lab
    links:
      - {number: 0, address: 192.0.2.11, priority: 10}
      - {number: 1, address: 198.51.100.11, priority: 20}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields).
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: cluster ha-lab, fields: {name: {before: null, after: ha-lab}}}]
name:
  description: Name of the cluster.
  returned: success
  type: str
nodes:
  description: Names of its members.
  returned: success
  type: list
  elements: str
quorate:
  description: Whether it is quorate.
  returned: success
  type: bool
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""
