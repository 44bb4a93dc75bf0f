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
          - What the manager is to bring about. V(stopped) is recovered when its node fails, V(disabled) is not,
            V(ignored) is
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
        description:
          - Whether it returns to the node of the highest priority; the server's default is V(true).
          - On Proxmox VE 8 this is a setting of groups (M(quorate.pve.ha_rules)), and left out here.
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

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._capabilities import has_ha_rules
from ansible_collections.quorate.pve.plugins.module_utils._collection import Collection
from ansible_collections.quorate.pve.plugins.module_utils._ha import wait_for_services
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import DELETE, Change, Wanted
from ansible_collections.quorate.pve.plugins.module_utils._pure.lists import parse_sid
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Item, Key, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import BOOLEAN, INTEGER, Form


def _sid(value: Any) -> str:
    kind, number = parse_sid(str(value))
    return f"{kind}:{number}"


SID = Form(_sid, str, "str")
STATE = Form(lambda value: "started" if value == "enabled" else str(value), str, "str")

# The defaults are those of facts §7.1; GET does not fill them in
SPEC = Spec(
    kind="HA resource",
    option="resources",
    keys=("sid",),
    path="/cluster/ha/resources",
    digest=True,
    item_path="/cluster/ha/resources/{sid}",
    states=(),
    fields=(
        Field("sid", SID, required=True),
        Field(
            "state",
            STATE,
            default="started",
            choices=("started", "enabled", "stopped", "disabled", "ignored", "absent"),
        ),
        Field("max_restart", INTEGER, default=1),
        Field("max_relocate", INTEGER, default=1),
        Field("failback", BOOLEAN, default=True),
        Field("comment"),
    ),
)


class HaResources(Collection):
    """Entries of ha/resources.cfg, and what the manager makes of them."""

    spec = SPEC

    @cached_property
    def _has_failback(self) -> bool:
        return has_ha_rules(self.api.client)

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Compare; where groups have the failback, resources have none."""
        changes = super().plan(wanted, actual, whole=whole)
        if any("failback" in change.set for change in changes) and not self._has_failback:
            without = [replace(want, item={k: v for k, v in want.item.items() if k != "failback"}) for want in wanted]
            changes = super().plan(without, actual, whole=whole)
        return changes

    def check(self, changes: Sequence[Change]) -> None:
        """The guests must be there."""
        for change in changes:
            if change.action != DELETE and not change.actual:
                self.api.check_reference("guest", str(change.item["sid"]).partition(":")[2], change.where)

    def verify(self, wanted: Sequence[Wanted], changes: Sequence[Change]) -> None:
        """Read back, then wait for the manager: what it is told is queued until its next round (facts §22.20)."""
        super().verify(wanted, changes)
        if self.params["wait"]:
            targets = {
                str(change.item["sid"]): None
                if change.action == DELETE
                else str(change.item.get("state") or change.actual.get("state") or "started")
                for change in changes
            }
            wait_for_services(self.api.client, targets, float(self.params["timeout"]))


ARGUMENT_SPEC = arguments(
    **SPEC.argument_spec(),
    **PURGE,
    wait={"type": "bool", "default": True},
    timeout={"type": "int", "default": 300},
)

run = HaResources.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
