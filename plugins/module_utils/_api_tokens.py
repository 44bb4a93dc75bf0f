# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""API tokens of nodes and of backup servers, whose secrets are said once. Private to this collection."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._collection import Collection
from ._errors import InputError, QuorateError
from ._plan import CREATE, UPDATE, Change, Wanted, raise_all
from ._secret_files import begin_secret, has_secret, prepare_directory, was_begun, write_secret
from ._spec import PRESENT, Field, Item, Key
from ._values import BOOLEAN, INTEGER, Form

USERS = "/access/users"
SECRET, IN_FILE, LOST = "secret", "in the file", "lost"


def _tokenid(value: Any) -> str:
    user, mark, name = str(value).partition("!")
    if not (mark and name and "@" in user):
        raise ValueError(f"'{value}' is not like user@realm!name")
    return str(value)


TOKEN_FIELDS = (
    Field("tokenid", Form(_tokenid, str, "str"), required=True, sent=False),
    Field("comment"),
    Field("expire", INTEGER, default=0),
    Field("secret_file", Form(str, str, "path"), needed=True, listed=False, sent=False),
    Field("regenerate", BOOLEAN, listed=False, sent=False),
)


def user_of(key: Key) -> str:
    """The user that a token belongs to."""
    return str(key[0]).partition("!")[0]


def token_url(key: Key) -> str:
    """Where the API has a token."""
    return f"{USERS}/{user_of(key)}/token/{str(key[0]).partition('!')[2]}"


class TokenCollection(Collection):
    """The API tokens of all users. What is written is the token there, and its secret on this machine."""

    #: what makes the list of users show their tokens
    with_tokens: Mapping[str, Any]

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All users with their tokens, in one call."""
        users = self.api.client.get(USERS, **self.with_tokens)
        self._users = {str(user["userid"]) for user in users}
        return self.by_key(
            [{**token, "tokenid": self.full_id(user, token)} for user in users for token in user.get("tokens") or []]
        )

    def full_id(self, user: Mapping[str, Any], token: Mapping[str, Any]) -> str:
        """What a listed token is called."""
        return str(token["tokenid"])

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Beside what differs: tokens whose secret is not where it should be."""
        changes = super().plan(wanted, actual, whole=whole)
        errors: list[QuorateError] = []
        for want in wanted:
            path, key = want.item.get("secret_file"), self.spec.key(want.item)
            if want.state != PRESENT or not path or key not in actual or has_secret(path):
                continue
            # nobody can have used a secret that a run asked for and never kept
            if not want.item.get("regenerate") and not was_begun(path):
                errors.append(
                    InputError(
                        f"the token is there, and its secret is not in {path}; the server said it once",
                        where=f"{want.where}: secret_file",
                        hint="Bring the file back, or say regenerate: true, which ends what uses the old secret.",
                    )
                )
                continue
            change = next((each for each in changes if each.key == key), None)
            if change is None:
                change = Change(UPDATE, self.spec.kind, self.spec.label(want.item), key, want.item, actual[key])
                change = replace(change, where=want.where, element=want.element)
                changes.append(change)
            renewed = replace(change, before={**change.before, SECRET: LOST}, after={**change.after, SECRET: IN_FILE})
            changes[changes.index(change)] = renewed
        raise_all(errors)
        return changes

    def check(self, changes: Sequence[Change]) -> None:
        """The token's user must be there."""
        for change in changes:
            user = user_of(change.key)
            if change.action == CREATE and user not in self._users:
                if not self.api.check_mode:
                    raise InputError(
                        f"there is no user {user}", where=change.where, hint=f"There are: {', '.join(self._users)}."
                    )
                self.api.unknown.append(f"{change.where}: there is no user {user} yet")

    def create(self, change: Change) -> None:
        """POST, and keep the secret of the answer."""
        path = str(change.item["secret_file"])
        prepare_directory(path, f"{change.where}: secret_file")
        begin_secret(path)
        answer = self.api.client.post(token_url(change.key), self.spec.payload(change.item))
        write_secret(path, str(answer["value"]))

    def update(self, change: Change) -> None:
        """PUT; a new secret, if the old one is lost, is in the answer."""
        payload = self.changed_settings(change)
        if SECRET not in change.after:
            self.api.client.put(token_url(change.key), payload)
            return
        path = str(change.item.get("secret_file"))
        prepare_directory(path, f"{change.where}: secret_file")
        write_secret(path, self.renew(change, payload))

    @abstractmethod
    def changed_settings(self, change: Change) -> dict[str, Any]:
        """What is sent to set and to unset what differs."""

    @abstractmethod
    def renew(self, change: Change, payload: dict[str, Any]) -> str:
        """Change a token and give it a new secret, which is returned."""

    def delete(self, change: Change) -> None:
        """DELETE; the file stays."""
        self.api.client.delete(token_url(change.key))
