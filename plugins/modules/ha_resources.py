#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage HA resources."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ha_resources
short_description: Manage what Proxmox VE's HA manager looks after
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Puts guests under HA, says what they should be doing, and takes them out again. The guest itself is never removed.
  - Settings that are not given, or V(null), are left alone; an empty string unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  resources:
    description: The resources.
    type: list
    elements: dict
    required: true
    suboptions:
      sid:
        description: The resource, such as V(vm:101) or V(ct:200).
        type: str
        required: true
      state:
        description:
          - What the manager is to bring about. V(stopped) is recovered when its node fails, V(disabled) is not, V(ignored) is
            left alone by the manager. V(enabled) is another word for V(started).
          - V(absent) takes it out of HA; the guest keeps running.
          - Not given, a new resource is V(started), and one that exists is left as it is.
        type: str
        choices: [started, enabled, stopped, disabled, ignored, absent]
      max_restart:
        description: How often a start that failed is tried again on the same node; the server's default is 1.
        type: int
      max_relocate:
        description: How many other nodes are tried after that; the server's default is 1.
        type: int
      failback:
        description: Whether it returns to the node of the highest priority (Proxmox VE 9; the server's default is V(true)).
        type: bool
      comment:
        description: Comment.
        type: str
  wait:
    description: Whether to wait until the manager shows every changed resource in its wanted state.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for that. The manager acts every ten seconds.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Two guests under HA
  quorate.pve.ha_resources:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    resources:
      - {sid: "vm:101", state: started, max_restart: 2}
      - {sid: "vm:102", state: started, failback: false, comment: stays where it is}
      - {sid: "vm:103", state: absent}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: "HA resource vm:101", fields: {max_restart: {before: null, after: 2}}}]
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
