#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage users of a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_users
short_description: Manage users of a Proxmox Backup Server
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes users. With a user go its API tokens and its rights.
  - Settings that are not given, or V(null), are left alone; an empty string unsets them.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  users:
    description: The users.
    type: list
    elements: dict
    required: true
    suboptions:
      userid:
        description: User with its realm, such as C(pve@pbs).
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
      email:
        description: Where notifications to this user go.
        type: str
      firstname:
        description: First name.
        type: str
      lastname:
        description: Last name.
        type: str
      enable:
        description: Whether the user may log in.
        type: bool
      expire:
        description: Second since 1970 from which the user may not log in any more; 0 is never.
        type: int
      password:
        description: Password (realm C(pbs)). Sent on creation, later only with O(update_secrets). A user with API
          tokens alone needs none.
        type: str
  update_secrets:
    description: Whether secrets of users that exist are sent again, which always counts as a change; the server never
      shows them.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A user to own the tokens of the clusters
  quorate.pve.pbs_users:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    users: [{userid: pve@pbs, comment: clusters}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: user pve@pbs, fields: {comment: {before: null, after: clusters}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import BOOLEAN, INTEGER

SPEC = Spec(
    kind="user",
    option="users",
    keys=("userid",),
    path="/access/users",
    item_path="/access/users/{userid}",
    digest=True,
    kept=frozenset({("root@pam",)}),
    fields=(
        Field("userid", required=True),
        Field("comment"),
        Field("email"),
        Field("firstname"),
        Field("lastname"),
        Field("enable", BOOLEAN, default=True),
        Field("expire", INTEGER, default=0),
        Field("password", secret=True),
    ),
)


class Users(PbsCollection):
    """Entries of user.cfg."""

    spec = SPEC


ARGUMENT_SPEC = pbs_arguments(
    **SPEC.argument_spec(), **PURGE, update_secrets={"type": "bool", "default": False, "no_log": False}
)

run = Users.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
