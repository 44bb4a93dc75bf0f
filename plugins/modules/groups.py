#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage groups of users."""

from __future__ import annotations

DOCUMENTATION = r"""
module: groups
short_description: Manage groups of users of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes groups. Who belongs to them is said with the users (M(quorate.pve.users)); with a group
    go its rights.
  - A purge spares the groups of directories, whose names end in C(-) and the realm.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  groups:
    description: The groups.
    type: list
    elements: dict
    required: true
    suboptions:
      groupid:
        description: Name of the group.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      comment:
        description: Comment.
        type: str
"""

EXAMPLES = r"""
- name: Who may look
  quorate.pve.groups:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    groups: [{groupid: watchers, comment: may look at everything}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: group watchers, fields: {groupid: {before: null, after: watchers}}}]
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

from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import Wanted
from ansible_collections.quorate.pve.plugins.module_utils._pve_access import AccessCollection
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Item, Key, Spec

SPEC = Spec(
    kind="group",
    option="groups",
    keys=("groupid",),
    path="/access/groups",
    item_path="/access/groups/{groupid}",
    fields=(Field("groupid", required=True), Field("comment")),
)

DIRECTORIES = ("ad", "ldap")


class Groups(AccessCollection):
    """Groups in user.cfg."""

    spec = SPEC

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All groups; what could be removed is told from what a directory looks after."""
        found = super().observe(wanted)
        if self.params["purge"]:
            realms = [
                str(realm["realm"]) for realm in self.api.client.get("/access/domains") if realm["type"] in DIRECTORIES
            ]
            self.of_directories = frozenset(
                key for key in found if str(key[0]).endswith(tuple(f"-{r}" for r in realms))
            )
        return found


ARGUMENT_SPEC = arguments(**SPEC.argument_spec(), **PURGE)

run = Groups.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
