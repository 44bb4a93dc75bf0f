#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage users."""

from __future__ import annotations

DOCUMENTATION = r"""
module: users
short_description: Manage users of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes users. With a user go its API tokens, its rights and its place in groups.
  - C(root@pam) and the user of this very login are never removed. A purge also spares the users of directories and
    OpenID providers, which would come back with their next synchronisation or login.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
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
        description: User with its realm, such as C(ann@pve).
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
      groups:
        description: Groups of the user, all of them. They must be there (M(quorate.pve.groups)).
        type: list
        elements: str
      password:
        description:
          - Password of a user of the realm C(pve), of at least eight characters. Sent on creation, later
            only with O(update_secrets). A user with API tokens alone needs none.
        type: str
  update_secrets:
    description: Whether secrets of users that exist are sent again, which always counts as a change; the server
      never shows them.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Somebody for the monitoring, who may look at everything
  quorate.pve.users:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    users: [{userid: monitoring@pve, comment: Zabbix, groups: [watchers]}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: user ann@pve, fields: {comment: {before: null, after: Ann}}}]
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

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._api import Api, Result
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import Change, Wanted
from ansible_collections.quorate.pve.plugins.module_utils._pve_access import ROOT, WITH_TOKENS, AccessCollection
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Item, Key, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import BOOLEAN, INTEGER, SET

SPEC = Spec(
    kind="user",
    option="users",
    keys=("userid",),
    path="/access/users",
    item_path="/access/users/{userid}",
    fields=(
        Field("userid", required=True),
        Field("comment"),
        Field("email"),
        Field("firstname"),
        Field("lastname"),
        Field("enable", BOOLEAN, default=True),
        Field("expire", INTEGER, default=0),
        Field("groups", SET, refers="group"),
        Field("password", secret=True),
    ),
)

# what is set here, and not by a directory or an OpenID provider
OWN_REALMS = ("pam", "pve")


class Users(AccessCollection):
    """Users in user.cfg."""

    spec = SPEC
    owner = "userid"
    keeps_own = True

    @classmethod
    def run(cls, params: Mapping[str, Any], check_mode: bool) -> Result:
        """Passwords are not changed by tokens (facts §3.3)."""
        with Api.open(params, check_mode, by_password=params["update_secrets"]) as api:
            return cls(api, params).manage()

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All users with their groups, in one call."""
        users = self.api.client.get(SPEC.path, **WITH_TOKENS)
        self.of_directories = frozenset(
            (user["userid"],) for user in users if user.get("realm-type", "pve") not in OWN_REALMS
        )
        return self.by_key(users)

    def update(self, change: Change) -> None:
        """A password has a call of its own, which wants that of the caller, too (facts §17)."""
        settings = {name: value for name, value in change.set.items() if name != "password"}
        if settings or change.unset:
            super().update(replace(change, set=settings))
        if "password" in change.set:
            payload = {"userid": change.key[0], "password": change.set["password"]}
            connection = self.api.client.connection
            if connection.user != ROOT:
                payload["confirmation-password"] = connection.password
            self.api.client.put("/access/password", payload)


ARGUMENT_SPEC = arguments(
    **SPEC.argument_spec(), **PURGE, update_secrets={"type": "bool", "default": False, "no_log": False}
)

run = Users.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
