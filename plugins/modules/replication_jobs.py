#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage replication jobs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replication_jobs
short_description: Manage storage replication jobs of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - A job is known by its guest and its target. When a guest moves to the target of its job, the server turns the job round;
    such a job is still the one that was asked for.
  - Removing a job is finished by the source node's scheduler, some time later; it also removes the replicated volumes.
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
      guest:
        description: Number of the guest.
        type: int
        required: true
      target:
        description: Node to replicate to.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the object.
        type: str
        choices: [present, absent, ignore]
        default: present
      schedule:
        description: Calendar event that says when it runs; the server's default is C(*/15), every quarter of an hour.
        type: str
      rate:
        description: Limit in MB/s.
        type: float
      comment:
        description: Comment.
        type: str
      disable:
        description: Whether it is switched off.
        type: bool
      number:
        description: Number of the job among those of the guest; the lowest free one if not given. Fixed at creation.
        type: int
"""

EXAMPLES = r"""
- name: Guest 104 every quarter of an hour to pve2, at night to pve3
  quorate.pve.replication_jobs:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    jobs:
      - {guest: 104, target: pve2, schedule: "*/15", rate: 50}
      - {guest: 104, target: pve3, schedule: "02:00", comment: every night}
    purge: true
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: replication job 104-0 (104 to pve2), fields: {rate: {before: null, after: 50}}}]
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
