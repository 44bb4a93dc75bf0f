#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage guests."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guests
short_description: Manage virtual machines of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates virtual machines, changes their configuration and starts or stops them.
  - A guest that lives on another node than O(guests[].node) stays there; where guests run is a matter of migration and
    HA.
  - Guests under HA are not started or stopped here; M(quorate.pve.ha_resources) says what they should be doing.
  - Nothing is destroyed without O(guests[].destroy).
  - Settings that are not given, or V(null), are left alone; an empty string, list or dictionary value unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  guests:
    description: The guests.
    type: list
    elements: dict
    required: true
    suboptions:
      vmid:
        description: Number of the guest.
        type: int
        required: true
      state:
        description: Whether it is there. V(absent) needs O(guests[].destroy). With V(ignore) the element counts as not
          written.
        type: str
        choices: [present, absent, ignore]
        default: present
      node:
        description: Node on which it is created.
        type: str
      name:
        description: Name of the guest.
        type: str
      type:
        description: Kind of guest. Fixed at creation.
        type: str
        choices: [qemu]
        default: qemu
      memory:
        description: Memory in MiB.
        type: int
      balloon:
        description: Memory in MiB that the guest can be brought down to; V(0) switches that off.
        type: int
      cores:
        description: Cores a socket.
        type: int
      sockets:
        description: Sockets.
        type: int
      cpu:
        description: CPU type and flags, such as V(x86-64-v2-AES).
        type: str
      ostype:
        description: Kind of operating system, such as V(l26).
        type: str
      scsihw:
        description: SCSI controller, such as V(virtio-scsi-single).
        type: str
      agent:
        description: Whether the guest agent is used, as the API writes it, such as V(1) or V(enabled=1).
        type: str
      boot:
        description: Boot order, such as V(order=scsi0).
        type: str
      description:
        description: Notes.
        type: str
      tags:
        description: Tags.
        type: list
        elements: str
      onboot:
        description: Whether it starts with its node (without HA).
        type: bool
      protection:
        description: Whether removing it and its disks is forbidden.
        type: bool
      disks:
        description:
          - >-
            Disks by their bus and number, such as C({scsi0: "tank:4"}) for 4 GiB on the storage C(tank), with options
            after
            commas as the API writes them.
          - A disk that is there may grow, never shrink or move; its options are compared with the given ones.
        type: dict
      nets:
        description: >-
          Network cards such as C({net0: "virtio,bridge=vmbr0"}). The MAC address is kept if none is given.
        type: dict
      options:
        description: Any other option of the guest's configuration by its own name, compared as text.
        type: dict
      started:
        description: Whether it is running. Left alone if not given.
        type: bool
      destroy:
        description: Must be V(true) for O(guests[].state=absent) to stop the guest and destroy it with its disks.
        type: bool
        default: false
  timeout:
    description: Seconds to wait for one guest to be created, started, stopped or destroyed.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Two web servers
  quorate.pve.guests:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    guests:
      - {vmid: 101, node: pve1, name: web1, memory: 2048, cores: 2, disks: {scsi0: "tank:8"}, started: true}
      - vmid: 102
        node: pve2
        name: web2
        memory: 2048
        cores: 2
        disks: {scsi0: "tank:8,discard=on"}
        nets: {net0: "virtio,bridge=vmbr0"}
        tags: [web, gold]
        started: true
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: guest 101 (web1), fields: {memory: {before: null, after: 2048}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._guests import GUESTS, Guests
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(**GUESTS.argument_spec(), timeout={"type": "int", "default": 300})

run = Guests.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
