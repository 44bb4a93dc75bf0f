#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage datastores of a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_datastores
short_description: Manage datastores of a Proxmox Backup Server
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes datastores. The data in a datastore is only removed with an explicit
    O(datastores[].destroy_data).
  - When a datastore goes, the server also removes its jobs and the access rules for it.
  - Settings that are not given, or V(null), are left alone; an empty string or mapping unsets them.
  - What is kept of the backups is the business of M(quorate.pve.pbs_prune_jobs).
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  datastores:
    description: The datastores.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name, at least three characters.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      path:
        description: Directory on the server, made if it is missing. Fixed at creation.
        type: str
      comment:
        description: Comment.
        type: str
      gc_schedule:
        description: Calendar event that says when space that no backup uses any more is freed, such as C(daily).
        type: str
      verify_new:
        description: Whether every new backup is verified at once.
        type: bool
      notification_mode:
        description: How the server tells about the jobs of this datastore.
        type: str
        choices: [legacy-sendmail, notification-system]
      maintenance_mode:
        description: V(read-only) or V(offline); an empty string puts it back into service.
        type: str
      tuning:
        description: >-
          Settings for experts, such as C({chunk-order: none}) or C({sync-level: file}).
        type: dict
      reuse_datastore:
        description: Whether a directory that holds a datastore already is taken over.
        type: bool
      destroy_data:
        description: Whether the data goes with the datastore when O(datastores[].state=absent).
        type: bool
  timeout:
    description: Seconds to wait for one datastore to be made or removed.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: One datastore
  quorate.pve.pbs_datastores:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    datastores:
      - {name: main, path: /srv/backup/main, gc_schedule: daily, verify_new: true}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: datastore main, fields: {path: {before: null, after: /srv/backup/main}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._pbs import PbsCollection, pbs_arguments
from ansible_collections.quorate.pve.plugins.module_utils._plan import Change
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import BOOLEAN, PROPERTIES, Form, split_properties

# `type=read-only,message=…`, of which only the type is managed
MAINTENANCE = Form(lambda value: split_properties(str(value), "type").get("type"), str, "str")

SPEC = Spec(
    kind="datastore",
    option="datastores",
    keys=("name",),
    path="/config/datastore",
    item_path="/config/datastore/{name}",
    digest=True,
    fields=(
        Field("name", required=True),
        Field("path", fixed=True, needed=True),
        Field("comment"),
        Field("gc_schedule", api="gc-schedule"),
        Field("verify_new", BOOLEAN, "verify-new", default=False),
        Field(
            "notification_mode",
            api="notification-mode",
            default="notification-system",
            choices=("legacy-sendmail", "notification-system"),
        ),
        Field("maintenance_mode", MAINTENANCE, "maintenance-mode"),
        Field("tuning", PROPERTIES),
        Field("reuse_datastore", BOOLEAN, "reuse-datastore", listed=False),
        Field("destroy_data", BOOLEAN, listed=False, sent=False),
    ),
)


class Datastores(PbsCollection):
    """Entries of datastore.cfg; making and removing one is a task (facts §20.4)."""

    spec = SPEC

    def delete(self, change: Change) -> None:
        """Remove it from the configuration, and its data only if that is said of this one."""
        destroy = bool(change.element.get("destroy_data"))
        path = SPEC.fill(SPEC.item_path, change.actual)
        self.finish(self.api.client.delete(path, {"destroy-data": destroy, **self.held(change)}), change)


ARGUMENT_SPEC = pbs_arguments(**SPEC.argument_spec(), **PURGE, timeout={"type": "int", "default": 300})

run = Datastores.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
