#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read how old backups are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: Read how old the newest backups of a Proxmox VE cluster's guests are
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - What was written after a guest's newest backup is lost when its data is. This reads how old the newest backup of
    each guest is on any of the cluster's storages, and which backup job promises how much.
  - A job promises a backup no older than one and a half times the longest pause between two of its runs, unless
    O(max_ages) says otherwise. For a guest that several jobs take, the strictest one counts.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  storages:
    description: Storages with backups that count; all of the cluster if it is not given.
    type: list
    elements: str
  guests:
    description: Numbers of the guests; all of the cluster but templates if it is not given.
    type: list
    elements: int
  max_ages:
    description: >-
      By job, how old the newest backup of its guests may be, such as C({hourly: 2h}).
    type: dict
    default: {}
  window:
    description: The line and the time that there are for backups, for RV(forecasts).
    type: dict
    suboptions:
      rate:
        description: Bytes per second, such as C(100 MiB).
        type: str
        required: true
      window:
        description: How long a run may take, such as C(6h).
        type: str
        required: true
      changed:
        description: Share of the disks that is written anew on a day, such as C(5%). It is 3 % if it is not given.
        type: str
"""

EXAMPLES = r"""
- name: Read how old the backups are
  quorate.pve.backup_info:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    max_ages: {hourly: 2h}
  register: backups

- name: Every guest under HA has a backup that is young enough
  ansible.builtin.assert:
    that: not backups.late_ha
    fail_msg: "{{ backups.late_ha | join('; ') }}"
"""

RETURN = r"""
guests:
  description: The guests by their number, each with C(vmid), C(name), C(ha) (whether it is under HA), C(job) (null if
    no job takes it), C(max_age) (seconds; null if nothing is promised), C(volid), C(time) and C(age) of its newest
    backup (null without one) and C(late) (in words what is wrong; null if nothing is).
  returned: success
  type: list
  elements: dict
late:
  description: In words, each guest that no job takes, or whose newest backup is missing or older than its job allows.
  returned: success
  type: list
  elements: str
late_ha:
  description: Those of RV(late) that are under HA.
  returned: success
  type: list
  elements: str
forecasts:
  description: With O(window), for each job C(job), the number of its C(guests), the C(bytes) on their disks, how much
    of that is C(changed) between two runs, C(seconds) of an ordinary and of the C(first) run, whether it C(fits), and
    all of it as C(text).
  returned: success
  type: list
  elements: dict
unread:
  description: Storages that could not be read.
  returned: success
  type: list
  elements: str
now:
  description: The time at the servers, in seconds since 1970.
  returned: success
  type: int
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._backup_info import ARGUMENTS, run
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(**ARGUMENTS)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
