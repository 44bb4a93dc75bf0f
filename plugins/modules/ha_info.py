#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the state of the HA manager."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ha_info
short_description: Read the state of Proxmox VE's HA manager
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Returns what the HA manager and the nodes' resource managers are doing, and can wait until all is at rest.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  wait_for_rest:
    description:
      - Whether to wait until every service is in the state asked for and nothing moves. A service in the state C(error) ends the
        wait with a failure.
      - In check mode there is no waiting.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for that.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Nothing moves any more
  quorate.pve.ha_info:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    wait_for_rest: true
"""

RETURN = r"""
quorate:
  description: Whether the node that answered is in a quorate partition.
  returned: success
  type: bool
master:
  description: C(node), C(state) (V(active), V(idle), V(dead)) and C(timestamp) of the manager; null if there was never one.
  returned: success
  type: dict
fencing:
  description: C(armed) state of fencing as the server words it; null before Proxmox VE 9.1.
  returned: success
  type: str
nodes:
  description: The nodes, each with C(node), C(lrm) (what its resource manager is doing), C(state) (what the manager thinks of it).
  returned: success
  type: list
  elements: dict
services:
  description:
    - The resources, each with C(sid), C(node), C(state) (from the status text), C(crm_state), C(request_state), C(rest).
  returned: success
  type: list
  elements: dict
rest:
  description: Whether every service is in the state asked for and every node's resource manager alive or empty.
  returned: success
  type: bool
moving:
  description: What is not at rest, in words.
  returned: success
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""
