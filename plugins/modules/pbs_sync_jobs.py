#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage sync jobs of a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_sync_jobs
short_description: Manage sync jobs of a Proxmox Backup Server
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes jobs that copy backups from another server, or from another datastore of the same
    server.
  - That the remote has the datastore is checked before a job is made.
  - Settings that are not given, or V(null), are left alone; an empty string, empty list or 0 unsets them.
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
      sync_direction:
        description: Whether backups are fetched from there (V(pull)) or sent there (V(push)). Fixed at creation.
        type: str
        choices: [pull, push]
      remote:
        description: The other server; without one, another datastore of this server. A job that pushes needs one.
        type: str
      remote_store:
        description: Datastore there.
        type: str
      remote_ns:
        description: Namespace there.
        type: str
      schedule:
        description: Calendar event that says when it runs; it only runs on demand if it is not given.
        type: str
      ns:
        description: Namespace to put the backups into.
        type: str
        aliases: [namespace]
      max_depth:
        description: How many levels of namespaces below that; 0 is that namespace alone.
        type: int
      owner:
        description: User or API token that owns the backups here (V(pull)); the server takes C(root@pam) if it is not
          given.
        type: str
      group_filter:
        description: Which groups, such as C(type:vm), C(group:vm/100), C(exclude:group:vm/101).
        type: list
        elements: str
      remove_vanished:
        description: Whether what is gone there goes here, too. Then this server is no protection against deletion
          there.
        type: bool
      transfer_last:
        description: How many of the newest backups of each group are copied at most.
        type: int
      resync_corrupt:
        description: Whether a backup that failed verification here is fetched anew.
        type: bool
      verified_only:
        description: Whether only backups are sent that were verified (V(push)).
        type: bool
      encrypted_only:
        description: Whether only backups are sent that are encrypted (V(push)).
        type: bool
      rate_in:
        description: Limit of what is received, in bytes per second, such as C(100 MiB).
        type: str
      burst_in:
        description: How much of that may come at once.
        type: str
      rate_out:
        description: Limit of what is sent.
        type: str
      burst_out:
        description: How much of that may go at once.
        type: str
      worker_threads:
        description: How many groups are copied side by side.
        type: int
      comment:
        description: Comment.
        type: str
"""

EXAMPLES = r"""
- name: The second server pulls every hour
  quorate.pve.pbs_sync_jobs:
    api_hosts: [192.0.2.102]
    api_password: "{{ vault_root_password }}"
    jobs: [{id: from-pbs1, store: main, remote: pbs1, remote_store: main, schedule: hourly}]

- name: What was verified goes to the first server every night, slowly
  quorate.pve.pbs_sync_jobs:
    api_hosts: [192.0.2.102]
    api_password: "{{ vault_root_password }}"
    jobs:
      - id: to-pbs1
        sync_direction: push
        store: main
        remote: pbs1
        remote_store: main
        verified_only: true
        rate_out: 20 MiB
        schedule: daily
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: sync job from-pbs1, fields: {remote: {before: null, after: pbs1}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._pbs import pbs_arguments
from ansible_collections.quorate.pve.plugins.module_utils._pbs_sync import SYNC_JOBS, SyncJobs

ARGUMENT_SPEC = pbs_arguments(**SYNC_JOBS.argument_spec(), **PURGE)

run = SyncJobs.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
