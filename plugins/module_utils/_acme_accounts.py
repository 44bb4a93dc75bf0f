# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts with authorities that speak ACME. Private to this collection."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._collection import Collection
from ._errors import InputError
from ._parallel import all_or_error, side_by_side
from ._plan import CREATE, Change, Wanted, raise_all
from ._spec import Field, Item, Key, Spec
from ._values import BOOLEAN, SET, Form

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
"""The server's default (facts: the published schema)."""

ACCOUNTS = Spec(
    kind="ACME account",
    option="accounts",
    keys=("name",),
    path="/cluster/acme/account",
    item_path="/cluster/acme/account/{name}",
    fields=(
        Field("name", required=True),
        Field("contact", Form(SET.normalise, ",".join, "list", "str"), needed=True),
        Field("directory", default=LETS_ENCRYPT, fixed=True),
        Field("terms_agreed", BOOLEAN, initial=False, listed=False, sent=False),
        Field("eab_kid", api="eab-kid", fixed=True),
        Field("eab_hmac_key", api="eab-hmac-key", secret=True),
    ),
)


class AcmeAccounts(Collection):
    """Accounts: registered once, for good; where the authority is and what they are bound to cannot be changed."""

    spec = ACCOUNTS

    @classmethod
    def run(cls, params: Mapping[str, Any], check_mode: bool) -> Result:
        """The whole module. Accounts are root@pam's business, tokens have no say in it (facts §3.3)."""
        with Api.open(params, check_mode, by_password=True) as api:
            return cls(api, params).manage()

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The accounts that are named; the list has their names only."""
        there = {str(each["name"]) for each in self.api.client.get(ACCOUNTS.path)}
        named = [want.item for want in wanted if want.item["name"] in there]
        return {ACCOUNTS.key(item): item for item in all_or_error(side_by_side(self._read, named))}

    def check(self, changes: Sequence[Change]) -> None:
        """Nothing is agreed to on anybody's behalf."""
        super().check(changes)
        errors = [
            InputError(
                f"terms_agreed: the authority's terms have to be agreed to: {terms}",
                where=change.where,
                hint="Read them, then say terms_agreed: true.",
            )
            for change in changes
            if change.action == CREATE and not change.item.get("terms_agreed") and (terms := self._terms(change.item))
        ]
        raise_all(errors)

    def create(self, change: Change) -> None:
        """Register, in the name of who has agreed to the terms."""
        payload = {**ACCOUNTS.payload(change.item), "tos_url": self._terms(change.item) or None}
        self.finish(self.api.client.post(ACCOUNTS.path, payload), change)

    def _terms(self, item: Item) -> str:
        """Where the terms are; empty if there are none."""
        return str(self.api.client.get("/cluster/acme/tos", directory=item.get("directory") or LETS_ENCRYPT) or "")

    def _read(self, wanted: Item) -> Item:
        found = self.api.client.get(ACCOUNTS.fill(ACCOUNTS.item_path, wanted))
        known = found.get("account") or {}
        bound = _bound_to(known)
        item: Item = {
            "name": wanted["name"],
            "contact": SET.normalise([str(each).removeprefix("mailto:") for each in known.get("contact") or ()]),
            "directory": found.get("directory"),
            # not every authority says it; then it is taken to be as it was asked for
            "eab_kid": bound if bound is not None else wanted.get("eab_kid"),
        }
        return {name: value for name, value in item.items() if value is not None}


def _bound_to(account: Mapping[str, Any]) -> str | None:
    """The id of the key that an account was bound by, as its own signed message says (RFC 8555 §7.3.4)."""
    try:
        protected = str(account["externalAccountBinding"]["protected"])
        return str(json.loads(urlsafe_b64decode(protected + "=" * (-len(protected) % 4)))["kid"])
    except (KeyError, TypeError, ValueError):
        return None
