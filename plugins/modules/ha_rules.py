#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage HA rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ha_rules
short_description: Manage affinity rules (or groups) of Proxmox VE's HA manager
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Says where HA resources prefer to run, which stay together and which apart.
  - Proxmox VE 9 has rules. Proxmox VE 8 has groups, which is found out by asking the server; a node affinity is then a
    group
    of that name, and its resources are put into the group. Resource affinity needs Proxmox VE 9.
  - The resources must be under HA already (M(quorate.pve.ha_resources)).
  - Settings that are not given, or V(null), are left alone; an empty string unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  rules:
    description: The rules.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the rule or group.
        type: str
        required: true
        aliases: [rule]
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      type:
        description: Kind of rule. Fixed at creation.
        type: str
        choices: [node-affinity, resource-affinity]
        default: node-affinity
      nodes:
        description: >-
          Nodes with their priorities, such as C({pve1: 2, pve2: 1}); a higher number is preferred (V(node-affinity)).
        type: dict
      strict:
        description: Whether the resources run on no other node, even if none of these is online (V(node-affinity)).
        type: bool
      resources:
        description: All the resources, such as V(vm:101).
        type: list
        elements: str
      add_resources:
        description: Resources that are to belong to it beside those that do already.
        type: list
        elements: str
        default: []
      remove_resources:
        description: Resources that are not to belong to it any more; the others stay. A rule keeps at least one.
        type: list
        elements: str
        default: []
      affinity:
        description: Whether the resources stay together (V(positive)) or apart (V(negative)) (V(resource-affinity)).
        type: str
        choices: [positive, negative]
      failback:
        description: Whether the resources return to the node of the highest priority (groups of Proxmox VE 8 only; a
          matter of
          M(quorate.pve.ha_resources) from Proxmox VE 9 on).
        type: bool
      comment:
        description: Comment.
        type: str
      disabled:
        description: Whether the rule is switched off (Proxmox VE 9).
        type: bool
  wait:
    description:
      - Whether to wait, after a change, until the HA manager has acted on it and the running resources of the changed
        rules are at rest.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for that. The manager acts every ten seconds.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: The web servers prefer the first data centre and stay apart
  quorate.pve.ha_rules:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    rules:
      - name: web
        nodes: {pve1: 2, pve2: 2, pve3: 1}
        resources: ["vm:101", "vm:102"]
      - {name: web-apart, type: resource-affinity, affinity: negative, resources: ["vm:103", "vm:104"]}
    purge: true

- name: One more web server, one less
  quorate.pve.ha_rules:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    rules:
      - {name: web, add_resources: ["vm:105"], remove_resources: ["vm:101"]}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: HA rule web, fields: {strict: {before: null, after: false}}}]
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
api:
  description: Whether the server has V(rules) or V(groups).
  returned: success
  type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._api import Api
from ansible_collections.quorate.pve.plugins.module_utils._collection import Collection
from ansible_collections.quorate.pve.plugins.module_utils._errors import ApiError
from ansible_collections.quorate.pve.plugins.module_utils._ha_affinity import (
    RULES,
    WAITING,
    HaGroups,
    HaRules,
    with_members,
)
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(**with_members(RULES.argument_spec(), RULES.option), **PURGE, **WAITING)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Rules if the server has them, else groups."""
    with Api.open(params, check_mode) as api:
        collection: Collection = HaRules(api, params)
        try:
            return collection.manage()
        except ApiError as error:
            if not (error.unknown_path and error.method == "GET"):
                raise
        return HaGroups(api, params).manage()


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
