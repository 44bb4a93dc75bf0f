#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage traffic control rules of a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_traffic_controls
short_description: Manage traffic control rules of a Proxmox Backup Server
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes rules that limit how fast clients of some networks send and receive, always or at
    times.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
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
        description: Name of the rule.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      network:
        description: Networks of the clients, such as C(192.0.2.0/24); C(0.0.0.0/0) and C(::/0) are all. The rule with
          the longest prefix that fits a client counts.
        type: list
        elements: str
      rate_in:
        description: Limit of what clients send, in bytes per second, such as C(100 MiB).
        type: str
      burst_in:
        description: How much of that may come at once.
        type: str
      rate_out:
        description: Limit of what clients receive.
        type: str
      burst_out:
        description: How much of that may go at once.
        type: str
      timeframe:
        description: When it holds, such as C(mon..fri 8-18); always if it is not given.
        type: list
        elements: str
      comment:
        description: Comment.
        type: str
"""

EXAMPLES = r"""
- name: By day backups leave the line to others
  quorate.pve.pbs_traffic_controls:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    rules: [{name: office-hours, network: [192.0.2.0/24], rate_in: 20 MiB, timeframe: ["mon..fri 8-18"]}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: traffic control rule day, fields: {rate_in: {before: null, after: 20 MiB}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, finish
from ansible_collections.quorate.pve.plugins.module_utils._pbs import BYTE_COUNT, PbsCollection, pbs_arguments
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import Form

# a parameter that is given once for each of its values, in any order
SET = Form(lambda value: sorted({str(each) for each in value}) or None, list, "list", "str")

SPEC = Spec(
    kind="traffic control rule",
    option="rules",
    keys=("name",),
    path="/config/traffic-control",
    item_path="/config/traffic-control/{name}",
    digest=True,
    fields=(
        Field("name", required=True),
        Field("network", SET, needed=True),
        Field("rate_in", BYTE_COUNT, "rate-in"),
        Field("burst_in", BYTE_COUNT, "burst-in"),
        Field("rate_out", BYTE_COUNT, "rate-out"),
        Field("burst_out", BYTE_COUNT, "burst-out"),
        Field("timeframe", SET),
        Field("comment"),
    ),
)


class TrafficControls(PbsCollection):
    """Entries of traffic-control.cfg (facts §20.4)."""

    spec = SPEC


ARGUMENT_SPEC = pbs_arguments(**SPEC.argument_spec(), **PURGE)

run = TrafficControls.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
