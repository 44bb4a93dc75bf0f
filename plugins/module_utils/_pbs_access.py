# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""API tokens and access rules of a backup server (facts §20.5). Private to this collection."""

from __future__ import annotations

from typing import Any

from ._access_rules import RULE_KEYS, RULE_LABEL, RuleCollection, rule_fields
from ._api_tokens import TOKEN_FIELDS, USERS, TokenCollection, token_url
from ._errors import InputError
from ._pbs import PbsCollection
from ._plan import Change, Wanted, raise_all
from ._spec import Field, Item, Spec
from ._values import BOOLEAN

WITH_TOKENS = {"include_tokens": True}

TOKENS = Spec(
    kind="API token",
    option="tokens",
    keys=("tokenid",),
    path=USERS,
    item_path=USERS,
    digest=True,
    fields=(*TOKEN_FIELDS, Field("enable", BOOLEAN, default=True)),
)


class Tokens(TokenCollection, PbsCollection):
    """The API tokens of all users of a backup server."""

    spec = TOKENS
    with_tokens = WITH_TOKENS

    def changed_settings(self, change: Change) -> dict[str, Any]:
        """``delete`` is a list here (facts §20.1)."""
        payload = {**TOKENS.payload(change.set), **self.held(change)}
        if change.unset:
            payload["delete"] = [TOKENS.field(name).api_name for name in change.unset]
        return payload

    def delete(self, change: Change) -> None:
        """DELETE; the file stays."""
        self.api.client.delete(token_url(change.key), self.held(change))

    def renew(self, change: Change, payload: dict[str, Any]) -> str:
        """PUT with ``regenerate``."""
        return str(self.api.client.put(token_url(change.key), {**payload, "regenerate": True})["secret"])


ROLES = (
    *("Admin", "Audit", "NoAccess"),
    *("DatastoreAdmin", "DatastoreReader", "DatastoreBackup", "DatastorePowerUser", "DatastoreAudit"),
    *("RemoteAudit", "RemoteAdmin", "RemoteSyncOperator", "RemoteSyncPushOperator"),
    *("RemoteDatastorePowerUser", "RemoteDatastoreAdmin"),
)

ACLS = Spec(
    kind="rule",
    option="acls",
    keys=RULE_KEYS,
    label_format=RULE_LABEL,
    path="/access/acl",
    item_path="/access/acl",
    digest=True,
    fields=rule_fields(),
)


class Acls(RuleCollection, PbsCollection):
    """Entries of acl.cfg."""

    spec = ACLS

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Roles that no server has are found before anything is written."""
        raise_all(
            [
                InputError(
                    f"there is no role {want.item['role']}", where=want.where, hint=f"There are: {', '.join(ROLES)}."
                )
                for want in wanted
                if want.item["role"] not in ROLES
            ]
        )
        return wanted

    def rule(self, item: Item) -> dict[str, Any]:
        """A rule in the API's names, for the list as it was read."""
        return {**super().rule(item), **({"digest": self._digest} if self._digest else {})}

    def subjects(self) -> dict[str, set[str]]:
        """Users and their API tokens."""
        users = self.api.client.get(USERS, **WITH_TOKENS)
        tokens = {str(token["tokenid"]) for user in users for token in user.get("tokens") or []}
        return {"user": {str(user["userid"]) for user in users}, "API token": tokens}
