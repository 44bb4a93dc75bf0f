#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage resource pools."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pools
short_description: Manage resource pools of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes pools with the guests and storages in them. With a pool go the rules for its path; what
    is in it stays.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  pools:
    description: The pools.
    type: list
    elements: dict
    required: true
    suboptions:
      poolid:
        description: Name of the pool; C(a/b) lies in the pool C(a).
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
      guests:
        description:
          - Numbers of the guests in the pool, all of them. If it is not given, whoever makes guests puts
            them where they belong.
        type: list
        elements: int
      storages:
        description: Storages in the pool, all of them.
        type: list
        elements: str
      allow_move:
        description: Whether guests are taken out of the pool in which they are. A guest is in one pool at most.
        type: bool
"""

EXAMPLES = r"""
- name: A pool of the web servers
  quorate.pve.pools:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    pools: [{poolid: web, guests: [101, 102], storages: [tank]}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: pool web, fields: {guests: {before: null, after: ["101", "102"]}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._collection import Collection
from ansible_collections.quorate.pve.plugins.module_utils._errors import QuorateError, StateError
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._parallel import all_or_error, side_by_side
from ansible_collections.quorate.pve.plugins.module_utils._plan import CREATE, DELETE, Change, Wanted, raise_all
from ansible_collections.quorate.pve.plugins.module_utils._pure.lists import natural_sorted
from ansible_collections.quorate.pve.plugins.module_utils._run_marker import POOL as MARKER
from ansible_collections.quorate.pve.plugins.module_utils._spec import PRESENT, Field, Item, Key, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import BOOLEAN, SET, Form

PATH = "/pools"
NUMBERS = Form(SET.normalise, ",".join, "list", "int")

SPEC = Spec(
    kind="pool",
    option="pools",
    keys=("poolid",),
    path=PATH,
    item_path=PATH,
    # the marker of a run that is under way
    kept=frozenset({(MARKER,)}),
    fields=(
        Field("poolid", required=True),
        Field("comment"),
        Field("guests", NUMBERS, "vms", refers="guest"),
        Field("storages", SET, "storage", refers="storage"),
        Field("allow_move", BOOLEAN, "allow-move", listed=False),
    ),
)
MEMBERS = ("guests", "storages")


class Pools(Collection):
    """Pools in user.cfg. They are named in the query, as their names may have slashes."""

    spec = SPEC

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The list, and the members of those that matter, side by side."""
        found = self.by_key(self.api.client.get(PATH))
        named = {SPEC.key(want.item): want for want in wanted}
        purge = self.params["purge"]
        look = [
            key for key in found if (key in named and self._has_members(named[key])) or (purge and key not in named)
        ]
        return {**found, **dict(zip(look, all_or_error(side_by_side(self._read, look)), strict=True))}

    def everything(self) -> dict[Key, Item]:
        """All of them with their members."""
        keys = list(super().everything())
        return dict(zip(keys, all_or_error(side_by_side(self._read, keys)), strict=True))

    def _has_members(self, want: Wanted) -> bool:
        return want.state != PRESENT or any(want.element.get(name) is not None for name in MEMBERS)

    def _read(self, key: Key) -> Item:
        (pool,) = self.api.client.get(PATH, poolid=key[0])
        members = pool.get("members") or []
        guests = [member["vmid"] for member in members if member.get("vmid")]
        storages = [member["storage"] for member in members if member["type"] == "storage"]
        return SPEC.seen({**pool, "vms": guests, "storage": storages})

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """A pool goes after those in it, and comes before them; what releases guests comes before what takes them."""

        def order(change: Change) -> tuple[int, int]:
            depth = str(change.key[0]).count("/")
            if change.action == DELETE:
                return (1, -depth)
            return (2, depth) if change.action == CREATE else (0, depth)

        return sorted(super().plan(wanted, actual, whole=whole), key=order)

    def check(self, changes: Sequence[Change]) -> None:
        """Guests are not taken out of other pools unless that is said."""
        super().check(changes)
        released = {
            guest
            for change in changes
            for guest in set(change.actual.get("guests") or []) - set(change.set.get("guests") or [])
            if change.action == DELETE or "guests" in (*change.set, *change.unset)
        }
        errors: list[QuorateError] = []
        for change in changes:
            if change.action == DELETE or change.item.get("allow_move"):
                continue
            for guest in set(change.set.get("guests") or []) - released:
                pool = self.api.guests.get(int(guest), {}).get("pool")
                if pool not in (None, change.key[0]):
                    hint = f"Take it out of {pool}, or say allow_move: true."
                    where = f"{change.where}: guests"
                    errors.append(StateError(f"guest {guest} is in the pool {pool}", where=where, hint=hint))
        raise_all(errors)

    def apply(self, changes: Sequence[Change]) -> None:
        """Members leave first, whatever pool they go to."""
        for change in changes:
            try:
                self._change_members(change, leave=True)
            except QuorateError as error:
                raise error.at(change.where or change.object) from error
        super().apply(changes)

    def create(self, change: Change) -> None:
        """POST knows no members (facts §21)."""
        self.api.client.post(PATH, {name: change.item[name] for name in ("poolid", "comment") if name in change.item})
        self._change_members(change)

    def update(self, change: Change) -> None:
        """PUT adds members; they have left before."""
        if "comment" in (*change.set, *change.unset):
            self.api.client.put(PATH, {"poolid": change.key[0], "comment": change.set.get("comment", "")})
        self._change_members(change)

    def delete(self, change: Change) -> None:
        """DELETE, of a pool that is empty by now."""
        self.api.client.delete(PATH, {"poolid": change.key[0]})

    def _change_members(self, change: Change, *, leave: bool = False) -> None:
        payload: Item = {}
        for name in MEMBERS:
            if change.action != DELETE and name not in (*change.set, *change.unset):
                continue
            there, wanted = set(change.actual.get(name) or []), set(change.set.get(name) or [])
            members = there - wanted if leave else wanted - there
            if members:
                payload[SPEC.field(name).api_name] = ",".join(natural_sorted(members))
        if payload:
            more = {"delete": True} if leave else {"allow-move": True} if change.item.get("allow_move") else {}
            self.api.client.put(PATH, {"poolid": change.key[0], **payload, **more})


ARGUMENT_SPEC = arguments(**SPEC.argument_spec(), **PURGE)

run = Pools.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
