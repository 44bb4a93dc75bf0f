#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage verify jobs of a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_verify_jobs
short_description: Manage verify jobs of a Proxmox Backup Server
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes jobs that read backups and compare their checksums.
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
        description: Calendar event that says when it runs; it only runs on demand if it is not given.
        type: str
      ns:
        description: Namespace in the datastore; the whole datastore if it is not given.
        type: str
        aliases: [namespace]
      max_depth:
        description: How many levels of namespaces below that; 0 is that namespace alone.
        type: int
      ignore_verified:
        description: Whether backups that were verified are left out.
        type: bool
      outdated_after:
        description: Days after which a verified backup is verified again.
        type: int
      comment:
        description: Comment.
        type: str
"""

EXAMPLES = r"""
- name: Everything once a month
  quorate.pve.pbs_verify_jobs:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    jobs: [{id: main, store: main, schedule: daily, outdated_after: 30}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: verify job main, fields: {outdated_after: {before: null, after: 30}}}]
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
    kind="verify job",
    option="jobs",
    keys=("id",),
    path="/config/verify",
    item_path="/config/verify/{id}",
    digest=True,
    fields=(
        Field("id", required=True),
        Field("store", needed=True, refers="datastore"),
        Field("schedule"),
        Field("ns", NAMESPACE, aliases=("namespace",)),
        Field("max_depth", INTEGER, "max-depth", default=7),
        Field("ignore_verified", BOOLEAN, "ignore-verified", default=True),
        Field("outdated_after", COUNT, "outdated-after"),
        Field("comment"),
    ),
)


class VerifyJobs(PbsCollection):
    """Entries of verification.cfg."""

    spec = SPEC


ARGUMENT_SPEC = pbs_arguments(**SPEC.argument_spec(), **PURGE)

run = VerifyJobs.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
