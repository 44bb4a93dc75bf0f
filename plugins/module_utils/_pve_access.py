# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, API tokens and access rules of a cluster (facts §17). Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._access_rules import RULE_KEYS, RULE_LABEL, RuleCollection, rule_fields
from ._api_tokens import TOKEN_FIELDS, USERS, TokenCollection, token_url
from ._collection import Collection
from ._errors import ApiError, InputError, QuorateError
from ._plan import DELETE, Change, Wanted, raise_all
from ._spec import Field, Item, Key, Spec
from ._values import BOOLEAN, Form

ROOT = "root@pam"
WITH_TOKENS = {"full": True}


class AccessCollection(Collection):
    """What stands in user.cfg. A run never takes its own login away."""

    #: the setting that says whose an object is, and whether nobody may remove the module's own
    owner = ""
    keeps_own = False
    #: what a directory has put there, and would put there again
    of_directories: frozenset[Key] = frozenset()

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """A purge spares the module's own login and what directories look after."""
        connection = self.api.client.connection
        login = connection.token_id or connection.user
        mine = {ROOT, login, login.partition("!")[0]}
        changes: list[Change] = []
        errors: list[QuorateError] = []
        for change in super().plan(wanted, actual, whole=whole):
            if change.action == DELETE:
                own = change.actual.get(self.owner) in mine
                if change.where and own and self.keeps_own:
                    errors.append(InputError("root@pam, and the login of this very run, stay", where=change.where))
                if not change.where and (own or change.key in self.of_directories):
                    continue
            changes.append(change)
        raise_all(errors)
        return changes

    def update(self, change: Change) -> None:
        """PUT; nothing is unset by ``delete`` here, but by an empty text."""
        payload = self.spec.payload(change.set)
        payload |= {self.spec.field(name).api_name: "" for name in change.unset}
        self.finish(self.api.client.put(self.spec.fill(self.spec.item_path, change.actual), payload), change)


TOKENS = Spec(
    kind="API token",
    option="tokens",
    keys=("tokenid",),
    path=USERS,
    item_path=USERS,
    fields=(*TOKEN_FIELDS, Field("privsep", BOOLEAN, default=True)),
)


class Tokens(TokenCollection, AccessCollection):
    """The API tokens of all users of a cluster."""

    spec = TOKENS
    owner = "tokenid"
    keeps_own = True
    with_tokens = WITH_TOKENS

    def full_id(self, user: Mapping[str, Any], token: Mapping[str, Any]) -> str:
        """The list has the name alone."""
        return f"{user['userid']}!{token['tokenid']}"

    def changed_settings(self, change: Change) -> dict[str, Any]:
        """An empty comment unsets it; the server before 9.1 knows no ``delete`` here."""
        return {**TOKENS.payload(change.set), **dict.fromkeys(change.unset, "")}

    def renew(self, change: Change, payload: dict[str, Any]) -> str:
        """PUT with ``regenerate``; where the server has none (before 9.1), the token is made anew with its rules."""
        url = token_url(change.key)
        try:
            return str(self.api.client.put(url, {**payload, "regenerate": True})["value"])
        except ApiError as error:
            if "regenerate" not in error.errors:
                raise
        rules = [rule for rule in self.api.client.get("/access/acl") if rule["ugid"] == change.key[0]]
        kept = {name: value for name, value in change.actual.items() if name not in change.unset}
        self.api.client.delete(url)
        answer = self.api.client.post(url, TOKENS.payload({**kept, **change.set}))
        for rule in rules:
            self.api.client.put(
                "/access/acl",
                {
                    "path": rule["path"],
                    "roles": rule["roleid"],
                    "tokens": rule["ugid"],
                    "propagate": int(rule["propagate"]),
                },
            )
        return str(answer["value"])


ACLS = Spec(
    kind="rule",
    option="acls",
    keys=RULE_KEYS,
    label_format=RULE_LABEL,
    path="/access/acl",
    item_path="/access/acl",
    # groups may be written as in user.cfg
    fields=rule_fields(Form(lambda value: str(value).removeprefix("@"), str, "str"), roles="role"),
)


def kind_of(auth_id: str) -> str:
    """The parameter of the server's call for a user, an API token or a group."""
    return "tokens" if "!" in auth_id else "users" if "@" in auth_id else "groups"


class Acls(RuleCollection, AccessCollection):
    """The access control list of a cluster."""

    spec = ACLS
    owner = "auth_id"

    def rule(self, item: Item) -> dict[str, Any]:
        """Who it is for is another parameter for each kind."""
        who = str(item["auth_id"])
        more = {"propagate": item["propagate"]} if item.get("propagate") is not None else {}
        return {"path": item["path"], "roles": item["role"], kind_of(who): who, **more}

    def subjects(self) -> dict[str, set[str]]:
        """Users, their API tokens, and groups."""
        users = self.api.client.get(USERS, **WITH_TOKENS)
        tokens = {f"{user['userid']}!{token['tokenid']}" for user in users for token in user.get("tokens") or []}
        groups = {str(group["groupid"]) for group in self.api.client.get("/access/groups")}
        return {"user": {str(user["userid"]) for user in users}, "API token": tokens, "group": groups}
