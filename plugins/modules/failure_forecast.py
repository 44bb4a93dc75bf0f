#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say where guests land when a node is lost, and whether they fit."""

from __future__ import annotations

DOCUMENTATION = r"""
module: failure_forecast
short_description: Say where guests land when a node is lost, and whether they fit
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Computes for the loss of every single node, or of the sets of nodes given, on which node the HA manager would start
    every guest, by its own rules and scheduler, and whether the memory is there. The scheduler counts services by
    default and does not ask for room.
  - Memory of a node is what it has, less what the host itself, its OSDs and ZFS's cache take.
  - The module succeeds whether all fit or not (RV(fits)).
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  losses:
    description: What to compute instead of every single node that is online.
    type: list
    elements: dict
    default: []
    suboptions:
      nodes:
        description: Names of nodes that are lost at the same time, such as those of a data centre.
        type: list
        elements: str
        required: true
  voters:
    description: Nodes that only vote, and take no guests.
    type: list
    elements: str
    default: []
  host_memory:
    description: What a host needs for itself.
    type: str
    default: 1G
  osd_memory:
    description: What each OSD takes.
    type: str
    default: 4G
  zfs_cache:
    description: What ZFS's cache may take on a node with a ZFS storage; if not given, a tenth of the memory and 16G at
      most, as the installer sets it.
    type: str
"""

EXAMPLES = r"""
- name: Where would they go
  quorate.pve.failure_forecast:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
  register: forecast

- name: One node may be lost
  ansible.builtin.assert:
    that: forecast.fits
    fail_msg: "{{ forecast.text }}"
"""

RETURN = r"""
losses:
  description:
    - One entry a loss, with C(node), C(fits), C(landings) (each guest under HA with C(sid), C(target) or null,
      C(memory) in bytes, C(fits)), C(down) (guests that run there and that HA does not move), C(used) and C(capacity)
      (bytes, by node, afterwards), C(fullest) (the node with the least room left), C(load) (the used part of it, 1 is
      all) and C(text).
  returned: success
  type: list
  elements: dict
fits:
  description: Whether all that HA recovers fits after each of them.
  returned: success
  type: bool
tightest:
  description: The entry of C(losses) that leaves the least room; null if there is none.
  returned: success
  type: dict
scheduler:
  description: Mode of the scheduler, V(basic), V(static) or V(dynamic). Dynamic is computed as static, because what is
    measured changes all the time.
  returned: success
  type: str
text:
  description: In words, what does not fit, or how tight it becomes.
  returned: success
  type: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._forecast import run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(
    losses={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"nodes": {"type": "list", "elements": "str", "required": True}},
    },
    voters={"type": "list", "elements": "str", "default": []},
    host_memory={"type": "str", "default": "1G"},
    osd_memory={"type": "str", "default": "4G"},
    zfs_cache={"type": "str"},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
