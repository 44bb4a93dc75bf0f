#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage backup jobs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_jobs
short_description: Manage backup jobs of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes the jobs that back up guests at set times. A job is known by its name.
  - Settings that are not given, or V(null), are left alone; an empty string, list or mapping unsets them.
  - A job takes the guests listed, all of them, or those of a pool; giving another selection replaces the one it had.
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
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      schedule:
        description: Calendar event that says when it runs, such as C(2,14:00) or C(hourly).
        type: str
      storage:
        description: Storage for the backups.
        type: str
      guests:
        description: Numbers of the guests.
        type: list
        elements: int
      all:
        description: Whether it takes all guests.
        type: bool
      exclude:
        description: Numbers of guests to leave out of all.
        type: list
        elements: int
      pool:
        description: Pool of guests.
        type: str
      node:
        description: Node to which the job is restricted.
        type: str
      mode:
        description: How consistency is reached.
        type: str
        choices: [snapshot, suspend, stop]
      enabled:
        description: Whether it is switched on.
        type: bool
      repeat_missed:
        description: Whether a run that was missed is made up for.
        type: bool
      prune_backups:
        description: >-
          What is kept, such as C({keep-last: 3}). A token with the least rights may not prune, then this is the backup
          server's business.
        type: dict
      compress:
        description: Compression; backup servers have their own.
        type: str
        choices: ["0", "1", gzip, lzo, zstd]
      notes_template:
        description: Notes, in which C({{guestname}}), C({{node}}), C({{vmid}}) and C({{cluster}}) are filled in.
        type: str
      protected:
        description: Whether the backups are protected from removal.
        type: bool
      notification_mode:
        description: How it tells of its end.
        type: str
        choices: [auto, legacy-sendmail, notification-system]
      mailto:
        description: Addresses for mail, if the mode says so.
        type: str
      bwlimit:
        description: Limit in KiB/s; 0 is without.
        type: int
      fleecing:
        description: >-
          Image that takes the guest's writes meanwhile, such as C({enabled: true, storage: tank}).
        type: dict
      comment:
        description: Comment.
        type: str
"""

EXAMPLES = r"""
- name: Twice a day, and hourly for two guests
  quorate.pve.backup_jobs:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    jobs:
      - {id: twice-a-day, schedule: "2,14:00", storage: backup, all: true, exclude: [105, 106]}
      - {id: hourly, schedule: hourly, storage: backup, guests: [105, 106]}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: backup job hourly, fields: {schedule: {before: null, after: hourly}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._collection import Collection
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._pure.lists import split_list
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import (
    BOOLEAN,
    INTEGER,
    PROPERTIES,
    Form,
    properties_form,
)


def _numbers(value: object) -> list[int] | None:
    items = split_list(value) if isinstance(value, str) else list(value or [])  # type: ignore[call-overload]
    return sorted({int(item) for item in items}) or None


GUESTS = Form(_numbers, lambda numbers: ",".join(map(str, numbers)), "list", "int")

SPEC = Spec(
    kind="backup job",
    option="jobs",
    keys=("id",),
    path="/cluster/backup",
    item_path="/cluster/backup/{id}",
    fields=(
        Field("id", required=True),
        Field("schedule", needed=True),
        Field("storage", refers="storage"),
        Field("guests", GUESTS, "vmid", refers="guest"),
        Field("all", BOOLEAN, default=False),
        Field("exclude", GUESTS),
        Field("pool"),
        Field("node", refers="node"),
        Field("mode", default="snapshot", choices=("snapshot", "suspend", "stop")),
        Field("enabled", BOOLEAN, default=True),
        Field("repeat_missed", BOOLEAN, "repeat-missed", default=False),
        Field("prune_backups", properties_form(hyphens=True), "prune-backups"),
        Field("compress", default="0", choices=("0", "1", "gzip", "lzo", "zstd")),
        Field("notes_template", api="notes-template"),
        Field("protected", BOOLEAN, default=False),
        Field(
            "notification_mode",
            api="notification-mode",
            default="auto",
            choices=("auto", "legacy-sendmail", "notification-system"),
        ),
        Field("mailto"),
        Field("bwlimit", INTEGER, default=0),
        Field("fleecing", PROPERTIES),
        Field("comment"),
    ),
)


class BackupJobs(Collection):
    """Entries of jobs.cfg of the type vzdump (facts §13)."""

    spec = SPEC


ARGUMENT_SPEC = arguments(**SPEC.argument_spec(), **PURGE)

run = BackupJobs.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
