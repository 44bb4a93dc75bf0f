#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage prune jobs of a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_prune_jobs
short_description: Manage prune jobs of a Proxmox Backup Server
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes jobs that remove old backups. At least one of the numbers to keep must be given,
    else such a job does nothing.
  - Settings that are not given, or V(null), are left alone; an empty string or 0 unsets them.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
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
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      store:
        description: Datastore.
        type: str
      schedule:
        description: Calendar event that says when it runs, such as C(daily).
        type: str
      ns:
        description: Namespace in the datastore; the whole datastore if it is not given.
        type: str
        aliases: [namespace]
      max_depth:
        description: How many levels of namespaces below that; 0 is that namespace alone.
        type: int
      keep_last:
        description: How many of the newest backups of a guest are kept.
        type: int
      keep_hourly:
        description: For how many hours the newest backup is kept.
        type: int
      keep_daily:
        description: For how many days the newest backup is kept.
        type: int
      keep_weekly:
        description: For how many weeks the newest backup is kept.
        type: int
      keep_monthly:
        description: For how many months the newest backup is kept.
        type: int
      keep_yearly:
        description: For how many years the newest backup is kept.
        type: int
      disable:
        description: Whether it is switched off.
        type: bool
      comment:
        description: Comment.
        type: str
"""

EXAMPLES = r"""
- name: A week of days, a month of weeks
  quorate.pve.pbs_prune_jobs:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    jobs: [{id: main, store: main, schedule: daily, keep_daily: 7, keep_weekly: 4}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: prune job main, fields: {keep_daily: {before: null, after: 7}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._pbs import COUNT, NAMESPACE, PbsCollection, pbs_arguments
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import BOOLEAN, INTEGER

SPEC = Spec(
    kind="prune job",
    option="jobs",
    keys=("id",),
    path="/config/prune",
    item_path="/config/prune/{id}",
    digest=True,
    fields=(
        Field("id", required=True),
        Field("store", needed=True, refers="datastore"),
        Field("schedule", needed=True),
        Field("ns", NAMESPACE, aliases=("namespace",)),
        Field("max_depth", INTEGER, "max-depth"),
        Field("keep_last", COUNT, "keep-last"),
        Field("keep_hourly", COUNT, "keep-hourly"),
        Field("keep_daily", COUNT, "keep-daily"),
        Field("keep_weekly", COUNT, "keep-weekly"),
        Field("keep_monthly", COUNT, "keep-monthly"),
        Field("keep_yearly", COUNT, "keep-yearly"),
        Field("disable", BOOLEAN, default=False),
        Field("comment"),
    ),
)


class PruneJobs(PbsCollection):
    """Entries of prune.cfg."""

    spec = SPEC


ARGUMENT_SPEC = pbs_arguments(**SPEC.argument_spec(), **PURGE)

run = PruneJobs.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
