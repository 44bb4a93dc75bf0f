#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set options of the datacenter."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_options
short_description: Set options of a Proxmox VE datacenter
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Sets what C(/etc/pve/datacenter.cfg) holds. Options that are not named are left alone.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  options:
    description:
      - Options by the API's own names, such as C(ha), C(crs), C(migration), C(replication), C(bwlimit), C(max_workers),
        C(mac_prefix), C(keyboard), C(registered-tags), C(next-id), C(description). Underscores may stand for hyphens.
      - An option made of several settings is a dictionary; it is merged with those that are set, a setting of V(null) is removed.
      - An option of V(null) is left alone.
    type: dict
    default: {}
  absent:
    description: Names of options to remove, so that the server's default holds.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Guests move away from a node that shuts down
  quorate.pve.cluster_options:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    options:
      ha: {shutdown_policy: migrate}
      crs: {ha: static, ha-rebalance-on-start: true}
      migration: {type: secure, network: 198.51.100.0/24}
      registered-tags: [gold, silver]
    absent: [bwlimit]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields).
  returned: always
  type: list
  elements: dict
  sample: [{action: update, object: options, fields: {ha: {before: null, after: {shutdown_policy: migrate}}}}]
options:
  description: The options as they are now (in check mode, were).
  returned: success
  type: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""
