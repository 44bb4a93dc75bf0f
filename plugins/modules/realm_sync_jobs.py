#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage jobs that synchronise realms with their directories."""

from __future__ import annotations

DOCUMENTATION = r"""
module: realm_sync_jobs
short_description: Manage jobs that synchronise realms with their directories
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Manages the jobs that take users and groups over from the directory of a realm, at certain times.
  - Users are called C(NAME@REALM) then, groups C(NAME-REALM).
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
seealso:
  - module: quorate.pve.realms
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  jobs:
    description: The jobs.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Name of the job.
        type: str
        required: true
      realm:
        description: The realm, of type C(ldap) or C(ad); fixed.
        type: str
      schedule:
        description: When, as a calendar event such as V(hourly) or V(mon..fri 06:00).
        type: str
      scope:
        description: What is taken over; the realm's own defaults decide if it is not given.
        type: str
        choices: [users, groups, both]
      remove_vanished:
        description: >-
          What is removed of users and groups that the directory no longer has: any of C(acl) (their rights), C(entry)
          (they themselves) and C(properties) (settings that the directory does not have, of those that it has, too).
        type: list
        elements: str
      enable_new:
        description: Whether new users may log in at once.
        type: bool
      enabled:
        description: Whether the job runs.
        type: bool
      comment:
        description: Comment.
        type: str
      initial_sync:
        description: Whether the job's work is done once when it is made, so that rights can be given to whom it brings.
        type: bool
        default: false
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
  timeout:
    description: Seconds to wait for the end of one task of the server.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Users and groups of the company's directory every hour
  quorate.pve.realm_sync_jobs:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    jobs:
      - {id: company, realm: company, schedule: hourly, scope: both, initial_sync: true}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: realm synchronisation job a, fields: {schedule: {before: null, after: hourly}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._realm_sync import JOBS, RealmSyncJobs

ARGUMENT_SPEC = arguments(**JOBS.argument_spec(), **PURGE, timeout={"type": "int", "default": 300})

run = RealmSyncJobs.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
