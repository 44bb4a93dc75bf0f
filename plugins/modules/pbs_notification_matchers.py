#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage what notifications go where."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_notification_matchers
short_description: Manage what notifications of a Proxmox Backup Server go where
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes matchers, each of which sends the notifications that it fits to its targets.
  - C(default-matcher), which the server brings along and which sends everything to C(mail-to-root), is reset instead of
    removed, and spared by a purge. O(matchers[].disable) silences it.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  matchers:
    description: The matchers.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name, which no other target or matcher has.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      targets:
        description: Where the notifications go. The targets must be there (M(quorate.pve.pbs_notification_endpoints)).
        type: list
        elements: str
      match_severity:
        description:
          - Severities such as C(warning,error). Each element is a condition of its own, and holds for each
            of the severities in it.
        type: list
        elements: str
      match_field:
        description:
          - Conditions such as C(exact:type=verify) or C(regex:datastore=^main). Fields are C(type) (C(gc), C(prune),
            C(sync), C(verify), C(package-updates), C(system-mail)), C(datastore), C(hostname) and C(job-id).
        type: list
        elements: str
      match_calendar:
        description: Times such as C(mon..fri 8-17).
        type: list
        elements: str
      mode:
        description:
          - Whether all conditions have to hold, or any. The default is V(all); without conditions,
            everything fits.
        type: str
        choices: [all, any]
      invert_match:
        description: Whether it is for those that it does not fit.
        type: bool
      comment:
        description: Comment.
        type: str
      disable:
        description: Whether it is switched off.
        type: bool
"""

EXAMPLES = r"""
- name: What went wrong becomes a ticket, and nothing else is told
  quorate.pve.pbs_notification_matchers:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    matchers:
      - {name: problems, targets: [tickets], match_severity: ["warning,error"]}
      - {name: default-matcher, disable: true}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: notification matcher tickets, fields: {targets: {before: null, after: [tickets]}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._dialect import PBS
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, finish
from ansible_collections.quorate.pve.plugins.module_utils._notifications import (
    PBS_NOTIFICATIONS,
    NotificationCollection,
    matcher_spec,
)
from ansible_collections.quorate.pve.plugins.module_utils._pbs import pbs_arguments

SPEC = matcher_spec(PBS_NOTIFICATIONS, "target")


class Matchers(NotificationCollection):
    """Matchers in notifications.cfg."""

    spec = SPEC
    dialect = PBS


ARGUMENT_SPEC = pbs_arguments(**SPEC.argument_spec(), **PURGE)

run = Matchers.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
