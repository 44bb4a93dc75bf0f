#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage roles."""

from __future__ import annotations

DOCUMENTATION = r"""
module: roles
short_description: Manage roles of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes roles, which are sets of privileges. With a role go the rules that give it.
  - The server's own roles cannot be changed, and are never removed.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  roles:
    description: The roles.
    type: list
    elements: dict
    required: true
    suboptions:
      roleid:
        description: Name of the role. Names that begin with C(PVE) are for the server's own.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      privs:
        description: Privileges, such as V(VM.Audit), all of them.
        type: list
        elements: str
"""

EXAMPLES = r"""
- name: Who may start and stop guests and nothing else
  quorate.pve.roles:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    roles: [{roleid: Operator, privs: [VM.Audit, VM.PowerMgmt]}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: role Operator, fields: {privs: {before: null, after: [VM.Audit, VM.PowerMgmt]}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import Change, Wanted, raise_all
from ansible_collections.quorate.pve.plugins.module_utils._pve_access import AccessCollection
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Item, Key, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import SET

SPEC = Spec(
    kind="role",
    option="roles",
    keys=("roleid",),
    path="/access/roles",
    item_path="/access/roles/{roleid}",
    fields=(Field("roleid", required=True), Field("privs", SET)),
)


class Roles(AccessCollection):
    """Roles in user.cfg."""

    spec = SPEC

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All roles but the server's own."""
        answers = self.api.client.get(SPEC.path)
        own = {str(role["roleid"]) for role in answers if role.get("special")}
        self._privileges = {name for role in answers for name in SPEC.seen(role).get("privs") or []}
        raise_all(
            [
                InputError(
                    f"{want.item['roleid']} is a role of the server's own, which cannot be changed", where=want.where
                )
                for want in wanted
                if want.item["roleid"] in own
            ]
        )
        return self.by_key([role for role in answers if role["roleid"] not in own])

    def check(self, changes: Sequence[Change]) -> None:
        """Privileges differ between releases; Administrator has all that this one knows."""
        raise_all(
            [
                InputError(
                    f"there is no privilege {name} on this server",
                    where=f"{change.where}: privs",
                    hint=f"There are: {', '.join(sorted(self._privileges))}.",
                )
                for change in changes
                for name in change.set.get("privs") or []
                if name not in self._privileges
            ]
        )


ARGUMENT_SPEC = arguments(**SPEC.argument_spec(), **PURGE)

run = Roles.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
